"""The curve of a run on held-out text."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from tqdm import tqdm

from training.adapters.lora import quantized_with_adapter
from training.checkpoints import load_tokenizer
from training.evaluation.curve import HeldOutCurve, target_bytes
from training.fitting import fit
from training.packing import Row
from training.recipes import mean_loss
from training.settings import AdaptationSettings


def test_bytes_are_those_of_the_targets(tiny: Path) -> None:
    tokenizer = load_tokenizer(tiny)
    ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("neve", "è", "il gregge")]
    ids[0].append(tokenizer.eos_token_id)
    row = Row([token for document in ids for token in document], [len(document) for document in ids])
    assert target_bytes([row], tokenizer) == len("eve") + len("�".encode()) + len("l gregge")


def test_a_run_that_goes_on_keeps_its_points(tmp_path: Path) -> None:
    values = iter(range(100, 0, -1))

    def curve() -> HeldOutCurve:
        return HeldOutCurve(lambda: next(values) * math.log(2), 10, steps=7, every=3, path=tmp_path / "curve.json")

    first = curve()
    for done in range(7):
        first(done)
    assert first.points == [{"step": 0, "bits_per_byte": 10.0}, {"step": 3, "bits_per_byte": 9.9}, {"step": 6, "bits_per_byte": 9.8}]
    again = curve()  # killed after step 6, with a checkpoint of step 4
    for done in range(4, 8):
        again(done)
    assert [point["step"] for point in again.points] == [0, 3, 6, 7]
    assert again.points[2]["bits_per_byte"] == 9.7, "step 6 was taken again, and looked at again"
    assert curve().points == again.points


def test_ten_looks_where_no_interval_is_named(tmp_path: Path) -> None:
    curve = HeldOutCurve(lambda: 1.0, 1, steps=56, every=None, path=tmp_path / "curve.json", writes=False)
    for done in range(57):
        curve(done)
    assert [point["step"] for point in curve.points] == [0, 6, 12, 18, 24, 30, 36, 42, 48, 54, 56]
    assert not (tmp_path / "curve.json").exists()


def test_looking_changes_no_weight(tiny: Path, tmp_path: Path) -> None:
    """With dropout, whose random numbers a look must not use up."""
    rows = [Row(list(range(40 + shift, 72 + shift)), [32]) for shift in range(4)]
    settings = AdaptationSettings.model_validate({"steps": 3, "warmup_steps": 1, "lora": {"rank": 4, "dropout": 0.2}})

    def trained(work: Path, *, looking: bool) -> tuple[dict[str, torch.Tensor], list[int]]:
        model = quantized_with_adapter(tiny, settings.lora, "cpu", compute_dtype="float32", seed=1)
        looks: list[int] = []

        def look(done: int) -> None:
            looks.append(done)
            assert mean_loss(model, rows, settings, 2) is not None and not model.training

        fitted = fit(model, rows, settings, seed=3, pad_token=2, work=work, progress=silent, look=look if looking else None)
        assert [entry["step"] for entry in fitted.log] == [1, 2, 3]
        return {name: parameter.detach().clone() for name, parameter in model.named_parameters() if parameter.requires_grad}, looks

    plain, none = trained(tmp_path / "plain", looking=False)
    looked, looks = trained(tmp_path / "looked", looking=True)
    assert (none, looks) == ([], [0, 1, 2, 3])
    assert all(torch.equal(plain[name], looked[name]) for name in plain)


def silent(total: int | None, label: str, unit: str) -> tqdm:
    return tqdm(total=total, disable=True)
