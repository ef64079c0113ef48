"""The curve of a run on held-out text."""

from __future__ import annotations

import math
from pathlib import Path

from training.checkpoints import load_tokenizer
from training.evaluation.curve import HeldOutCurve, target_bytes
from training.packing import Row


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
