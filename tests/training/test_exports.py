"""Exports of a published model: every form is whole, says what it is, and reads back; the commands too."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from foundation.language.settings import LanguageSettings
from foundation.settings import file_sha256
from foundation.stages import Stage, StageResult
from tests.training.test_training_stages import SETTINGS, sections
from tests.training.tiny_families import FAMILIES, write_family
from training.base import byte_tokenizer
from training.checkpoints import load_config, load_model, load_tokenizer
from training.errors import ExportError
from training.exports import gguf_file
from training.exports.formats import RECORD, export_model
from training.exports.gguf_check import check_gguf
from training.exports.gguf_file import write_gguf
from training.exports.gguf_tensors import encoded, permuted, rope_factors
from training.exports.gguf_vocabulary import vocabulary_of
from training.settings import TrainingSettings
from training.stages import stages
from training.weights import weights_digest


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny SmolLM2, whose tokenizer has merges: GGUF knows no other."""
    folder = tmp_path_factory.mktemp("small") / "base"
    write_family(next(family for family in FAMILIES if family.model == "SmolLM2"), folder)
    return folder


def test_every_form_of_a_published_model(
    small: Path,
    stage_runner: Callable[..., StageResult], upstream: tuple[Stage, ...], language: LanguageSettings, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    settings = TrainingSettings.model_validate({**SETTINGS, "base": {"kind": "folder", "path": small, "licence": "Llama-3.2"}, "merging": {"passages": 1, "passage_characters": 60, "window_tokens": 64}})
    graph: Any = upstream + stages(settings)
    made = {
        asset: stage_runner(graph, sections(settings, language), asset)
        for asset in ("clean_corpus", "replay_text", "evaluation_text", "base_model", "adaptation_tokens", "adapted_model")
    }
    model, base = made["adapted_model"].published, made["base_model"].published.files
    merged = model.files / "merged"
    out = {form: export_model(model, form, tmp_path / form).folder for form in ("merged", "adapter", "difference", "gguf")}  # type: ignore[arg-type]
    for form, folder in out.items():
        record = json.loads((folder / RECORD).read_text())
        assert record["model"] == str(model) and record["form"] == form and record["base"]["weights_sha256"] == weights_digest(base)
        assert {name: file_sha256(folder / name) for name in record["files"]} == record["files"]
        assert all(path.stat().st_mode & 0o777 == 0o644 for path in folder.rglob("*") if path.is_file())
        assert (folder / "NOTICE").read_text().startswith("Built with Llama.")
        assert str(tmp_path) not in (folder / RECORD).read_text()
    assert weights_digest(out["merged"]) == weights_digest(merged) and load_tokenizer(out["merged"]).chat_template
    assert (out["adapter"] / "adapter_config.json").read_bytes() == (model.files / "adapter" / "adapter_config.json").read_bytes()
    assert check_gguf(out["gguf"] / "adapted-model-F16.gguf", merged, "f16").mean_divergence < 1e-5

    command(monkeypatch, "train", "apply-difference", str(base), str(out["difference"]), str(tmp_path / "again"))
    assert weights_digest(merged) in capsys.readouterr().out
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == (merged / "model.safetensors").read_bytes()
    command(monkeypatch, "train", "digest", str(base))
    assert capsys.readouterr().out.strip() == weights_digest(base)
    with pytest.raises(SystemExit) as stopped:
        command(monkeypatch, "train", "apply-difference", str(merged), str(out["difference"]), str(tmp_path / "wrong"))
    said = capsys.readouterr().err
    assert stopped.value.code == 1 and "is not the base of this difference" in said and not (tmp_path / "wrong").exists()
    with pytest.raises(ExportError, match="exists; give a new folder"):
        export_model(model, "merged", tmp_path / "merged")


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    from dagster_project.cli import main

    monkeypatch.setattr(sys, "argv", ["transumanza", *arguments])
    try:
        main()
    except SystemExit as ended:
        if ended.code:
            raise


# -- GGUF ---------------------------------------------------------------------------------------------------------------


def test_rows_of_q_that_stay_where_they_were_are_found(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing fails when they do: the model is merely worse. The check has to see it, whatever the model."""
    monkeypatch.setattr(gguf_file, "heads_to_permute", lambda *_: None)
    write_gguf(small, tmp_path / "model.gguf", "f16", name="x")
    with pytest.raises(ExportError, match="read back, its next tokens diverge"):
        check_gguf(tmp_path / "model.gguf", small, "f16")


def test_a_changed_token_and_changed_metadata_are_found(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = vocabulary_of

    def swapped(*arguments: Any) -> Any:
        found = real(*arguments)
        tokens = list(found.tokens)
        tokens[100], tokens[101] = tokens[101], tokens[100]
        return type(found)(**{**vars(found), "tokens": tuple(tokens)})

    monkeypatch.setattr(gguf_file, "vocabulary_of", swapped)
    write_gguf(small, tmp_path / "model.gguf", "f16", name="x")
    with pytest.raises(ExportError, match=r"the token .* \(of 2\) has the id 10[01] after reading back"):
        check_gguf(tmp_path / "model.gguf", small, "f16")
    monkeypatch.undo()
    monkeypatch.setattr(gguf_file, "head_dim_of", lambda _: 32)
    write_gguf(small, tmp_path / "other.gguf", "f16", name="x")
    with pytest.raises(ExportError, match=r"metadata \{'attention.key_length': 32"):
        check_gguf(tmp_path / "other.gguf", small, "f16")


def test_q8_rounds_and_stays_near(small: Path, tmp_path: Path) -> None:
    write_gguf(small, tmp_path / "model.gguf", "q8_0", name="x", licence="mit")
    found = check_gguf(tmp_path / "model.gguf", small, "q8_0")
    assert 0 < found.mean_divergence < 0.01


def test_the_permutation_interleaves_the_halves_of_each_head() -> None:
    rows = np.arange(8.0)[:, None] * np.ones((1, 3))
    assert permuted(rows, 2)[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7]
    assert permuted(np.arange(4.0), 1).tolist() == [0, 2, 1, 3]


def test_rope_factors_are_those_of_transformers(tmp_path: Path) -> None:
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    scaling = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
    config = LlamaConfig(hidden_size=512, num_attention_heads=4, max_position_embeddings=131072, rope_parameters=scaling)
    expected, _ = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")
    plain = 1.0 / 500000.0 ** (torch.arange(0, 128, 2, dtype=torch.float64) / 128)
    factors = rope_factors(config.rope_parameters, 128)
    assert set(factors[[0, -1]]) == {1.0, 8.0}
    assert torch.allclose(plain / torch.tensor(factors), expected.double(), rtol=1e-5)


@pytest.mark.parametrize(("value", "message"), [(float("nan"), "not finite"), (1e5, "F16 ends at 65504")])
def test_weights_that_f16_cannot_hold_are_refused(value: float, message: str) -> None:
    with pytest.raises(ExportError, match=message):
        encoded("w", torch.full((2, 32), value), "f16", None)


def test_tokenizers_that_llama_cpp_would_read_otherwise_are_refused(small: Path) -> None:
    from tokenizers import pre_tokenizers

    tokenizer = load_tokenizer(small)
    assert vocabulary_of(tokenizer, len(tokenizer) + 1).types[-1] == 5, "rows without a token are marked as unused"
    with pytest.raises(ExportError, match=r"ids up to \d+, and the embedding 200 rows"):
        vocabulary_of(tokenizer, 200)
    with pytest.raises(ExportError, match="no merges"):
        vocabulary_of(byte_tokenizer(64), 300)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Punctuation(), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    with pytest.raises(ExportError, match="would not cut text as this tokenizer does"):
        vocabulary_of(tokenizer, len(tokenizer))


def test_positions_scaled_in_another_way_are_refused(small: Path, tmp_path: Path) -> None:
    target = tmp_path / "yarn"
    config = load_config(small)
    config.rope_parameters = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 256}
    model = load_model(small)
    model.config = config
    model.save_pretrained(target)
    load_tokenizer(small).save_pretrained(target)
    assert load_file(target / "model.safetensors")
    with pytest.raises(ExportError, match="positions are scaled by 'yarn'"):
        write_gguf(target, tmp_path / "model.gguf", "f16", name="x")
