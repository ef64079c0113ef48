"""Weight differences: exact to the last bit, and refused on any other base."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from training.checkpoints import load_model, load_tokenizer, save_checkpoint
from training.errors import CheckpointError, ExportError
from training.exports.difference import RECORD, _delta, _restored, apply_difference, write_difference
from training.weights import weights_digest


@pytest.fixture
def trained(tiny: Path, tmp_path: Path) -> Path:
    """The tiny model with one projection moved, in two weight files, with a template of its own."""
    model = load_model(tiny)
    torch.manual_seed(3)
    with torch.no_grad():
        model.get_parameter("model.layers.0.mlp.up_proj.weight").add_(torch.randn(128, 64) * 0.1)
    tokenizer = load_tokenizer(tiny)
    tokenizer.chat_template = "{{ 'ciao' }}"
    save_checkpoint(model, tokenizer, tmp_path / "trained", "bfloat16")
    return tmp_path / "trained"


def test_base_and_difference_give_the_trained_files_back(tiny: Path, trained: Path, tmp_path: Path) -> None:
    found = write_difference(tiny, trained, tmp_path / "difference", base_name="base_model@1")
    assert found.changed == 1 and found.base_sha256 == weights_digest(tiny) != found.result_sha256
    assert list(load_file(tmp_path / "difference" / "model.safetensors")) == ["model.layers.0.mlp.up_proj.weight"]
    assert apply_difference(tiny, tmp_path / "difference", tmp_path / "again") == weights_digest(trained)
    for path in trained.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes(), path.name
    assert load_tokenizer(tmp_path / "again").chat_template == "{{ 'ciao' }}"
    assert not (tmp_path / "again" / RECORD).exists()


def test_files_of_another_cut_are_the_same_base(tiny: Path, trained: Path, tmp_path: Path) -> None:
    write_difference(tiny, trained, tmp_path / "difference", base_name="b")
    tensors = load_file(tiny / "model.safetensors")
    cut = tmp_path / "cut"
    cut.mkdir()
    names = sorted(tensors)
    for index, part in enumerate((names[:5], names[5:])):
        save_file({name: tensors[name] for name in part}, cut / f"model-{index}.safetensors")
    assert apply_difference(cut, tmp_path / "difference", tmp_path / "again") == weights_digest(trained)


def test_another_base_is_refused_and_nothing_is_written(tiny: Path, trained: Path, tmp_path: Path) -> None:
    write_difference(tiny, trained, tmp_path / "difference", base_name="the base of the test")
    with pytest.raises(ExportError, match=r"is not the base of this difference.*the base of the test has"):
        apply_difference(trained, tmp_path / "difference", tmp_path / "again")
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("damage", ["weights", "config", "missing", "outside"])
def test_a_damaged_difference_is_refused_and_leaves_nothing(tiny: Path, trained: Path, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "difference"
    write_difference(tiny, trained, folder, base_name="b")
    if damage == "weights":
        deltas = load_file(folder / "model.safetensors")
        save_file({name: delta + 1 for name, delta in deltas.items()}, folder / "model.safetensors")
    elif damage == "config":
        (folder / "config.json").write_text("{}")
    elif damage == "missing":
        (folder / "tokenizer.json").unlink()
    else:
        document = json.loads((folder / RECORD).read_text())
        document["files"]["../stolen"] = "0"
        (folder / RECORD).write_text(json.dumps(document))
    messages = {"weights": "difference was damaged", "config": r"config\.json was changed", "missing": "lacks tokenizer.json", "outside": "outside its folder"}
    with pytest.raises(ExportError, match=messages[damage]):
        apply_difference(tiny, folder, tmp_path / "again")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["difference", "trained"]


def test_models_of_other_shapes_have_no_difference(tiny: Path, trained: Path, tmp_path: Path) -> None:
    tensors = load_file(trained / "model.safetensors")
    other = Path(shutil.copytree(trained, tmp_path / "other"))
    save_file({**tensors, "extra": torch.zeros(2)}, other / "model.safetensors")
    with pytest.raises(ExportError, match=r"do not hold the same tensors \(extra"):
        write_difference(tiny, other, tmp_path / "difference", base_name="b")
    tensors["model.norm.weight"] = tensors["model.norm.weight"].float()
    save_file(tensors, other / "model.safetensors")
    with pytest.raises(ExportError, match="needs one type and shape"):
        write_difference(tiny, other, tmp_path / "difference", base_name="b")


def test_a_truncated_weight_file_is_named(tiny: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(tiny, tmp_path / "copy"))
    (copy / "model.safetensors").write_bytes((tiny / "model.safetensors").read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"model\.safetensors is not a whole safetensors file"):
        weights_digest(copy)


@given(st.lists(st.tuples(st.integers(0, 2**16 - 1), st.integers(0, 2**16 - 1)), min_size=1, max_size=40), st.sampled_from(["bfloat16", "float16"]))
@settings(max_examples=60, deadline=None)
def test_every_bit_pattern_comes_back(pairs: list[tuple[int, int]], kind: str) -> None:
    """Infinities, NaN payloads, signed zeros: a sum of floats would lose them."""
    old, new = (torch.tensor([pair[side] - 2**15 for pair in pairs], dtype=torch.int16).view(getattr(torch, kind)) for side in (0, 1))
    restored = _restored(old, _delta("x", old, new))
    assert torch.equal(restored.view(torch.int16), new.view(torch.int16))
