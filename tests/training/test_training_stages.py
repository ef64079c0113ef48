"""The whole training group on a tiny random model, from small upstream tables to the comparison."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from foundation.language.settings import LanguageSettings
from foundation.sources.data import DataFolder
from foundation.stages import Stage, StageResult, Workplace
from foundation.store import Store
from foundation.store.builds import hardware
from training.errors import CheckpointError, TrainingError
from training.preview import preview_rows
from training.report import before_after, bits_per_byte_table
from training.settings import TrainingSettings
from training.stages import stages
from training.weights import weights_digest

FIT = {"steps": 3, "warmup_steps": 1}
SETTINGS = {
    "running": {"runner": "in_process"},
    "base": {"kind": "tiny"},
    "tokens": {"row_tokens": 128, "token_budget": 2000, "validation_tokens": 200, "replay_share": 0.1},
    "adaptation": {**FIT, "lora": {"rank": 4, "alpha": 8}},
    "instruction": {**FIT, "max_tokens": 700},
    "chat": FIT,
    "evalita": {**FIT, "max_tokens": 700},
    "evaluation": {"threads": 1, "passages": 2, "passage_characters": 100, "window_tokens": 64, "answer_tokens": 4, "evalita_rows_per_task": 2, "evalita_answer_tokens": 3},
}
LINE = (
    "clean_corpus", "replay_text", "evaluation_text", "translated_instructions", "translated_chats", "evalita_instructions",
    "evalita_report", "base_model", "chat_base_model", "adaptation_tokens", "adapted_model", "adapted_chat_model",
    "instruction_model", "chat_model", "evalita_model", "language_report", "evalita_answers", "model_comparison",
)  # fmt: skip


def sections(settings: TrainingSettings, language: LanguageSettings) -> dict[str, Any]:
    named = {f"training.{name}": getattr(settings, name) for name in type(settings).model_fields}
    return {name: value for name, value in named.items() if value is not None} | {
        "language": language,
        "language.templates": language.templates,
    }


def test_the_whole_line(
    stage_runner: Callable[..., StageResult], upstream: tuple[Stage, ...], language: LanguageSettings, tmp_path: Path
) -> None:
    settings = TrainingSettings.model_validate(SETTINGS)
    graph = upstream + stages(settings)
    made = {asset: stage_runner(graph, sections(settings, language), asset) for asset in LINE}

    for base, linked in (("base_model", "chat_base_model"), ("adapted_model", "adapted_chat_model")):
        for path in (path for path in made[base].published.files.rglob("*") if path.is_file()):
            twin = made[linked].published.files / path.relative_to(made[base].published.files)
            assert twin.stat().st_ino == path.stat().st_ino, f"{linked} copies {path.name}"

    tokens = made["adaptation_tokens"].published
    assert tokens.statistics["replay"]["documents"] > 0
    total = sum(tokens.statistics[split]["tokens"] for split in ("train", "validation"))
    assert total == tokens.read("documents")["tokens_used"].sum()
    assert tokens.statistics["train"]["tokens"] == 2000

    curve = made["adapted_model"].record.observations["held_out_curve"]
    assert [point["step"] for point in curve] == [0, 1, 2, 3]
    assert all(5 < point["bits_per_byte"] < 12 for point in curve)
    assert set(made["adapted_model"].plots) == {"Training loss", "Held-out bits per byte"}
    assert "held_out_curve" not in made["chat_model"].record.observations, "there are no validation rows"
    for asset in ("adapted_model", "instruction_model", "chat_model"):
        files = made[asset].published.files
        config = json.loads((files / "adapter" / "adapter_config.json").read_text())
        assert config["base_model_name_or_path"].partition("@")[0] in ("base_model", "adapted_model", "adapted_chat_model")
        assert_no_paths_of_this_machine(files)
        assert made[asset].published.read("log").height == 3
    assert not (made["evalita_model"].published.files / "adapter").exists()
    assert made["instruction_model"].published.statistics["dropped"] == {"benchmark_overlap": 1}

    for asset in ("adapted_model", "instruction_model", "chat_model", "evalita_model"):
        assert_the_record_is_whole(made[asset], made["base_model"])

    report = made["language_report"]
    scores = report.published.read("bits_per_byte")
    assert scores.height == 7 * 3
    assert set(scores.select("model", "form").unique().iter_rows()) == {
        ("base_model", "base"), ("base_model", "nf4_base"), ("adapted_model", "export"), ("adapted_model", "adapter_on_nf4"),
        *((name, "export") for name in ("instruction_model", "chat_model", "evalita_model")),
    }  # fmt: skip
    assert (scores["low"] <= scores["high"]).all()
    changes = {(row["model"], row["form"]): (row["against"], row["against_form"]) for row in report.published.read("changes").to_dicts()}
    assert changes["adapted_model", "adapter_on_nf4"] == ("base_model", "nf4_base")
    assert changes["adapted_model", "export"] == changes["chat_model", "export"] == ("base_model", "base")
    assert ("base_model", "nf4_base") not in changes
    assert report.published.read("passages").height == 7 * 3 * 2
    measured = report.published.read("answer_measures")
    assert measured["prompts"].unique().to_list() == [len(language.prompts)]
    assert dict(scores.select("text", "language").unique().iter_rows()) == {"in_domain": "it", "out_of_source": "it", "source_language": "en"}
    assert set(report.published.read("generations")["model"]) == {"base_model", "adapted_model", "instruction_model", "chat_model"}
    assert scores["bits_per_byte"].is_between(4, 20).all(), "random weights know nothing: log2(259) = 8.02 bits a byte"
    assert [gate.name for gate in report.record.gates] == list(next(stage.gates for stage in graph if stage.asset == "language_report"))
    assert {gate.value for gate in report.record.gates if gate.name.endswith("_not_worse")} == {"not compared"}, "there is no version before"
    for asset in ("adapted_model", "instruction_model", "chat_model"):
        merging = made[asset].published.statistics["merging"]
        assert merging["published"] == "base16" and set(merging["bits_per_byte"]) == {"as_trained", "base16", "dequantized"}
        assert [gate.name for gate in made[asset].record.gates] == ["merge_keeps_quality"]
    table = bits_per_byte_table(report.published)
    assert [row["model"] for row in table][:2] == ["base_model", "adapted_model"]
    assert len(before_after(report.published)) == len(language.prompts)

    answers = made["evalita_answers"].published.read("answers")
    assert answers.group_by("task").len()["len"].to_list() == [2, 2]
    comparison = {(row["measure"], row["set"]): row for row in made["model_comparison"].published.read("comparison").to_dicts() if row["model"] == "evalita_model"}
    assert comparison["macro_f1", "wic"]["difference_percent"] == pytest.approx(20)
    assert comparison["accuracy", "xcopa"]["difference_percent"] is None

    declared = {stage.asset: stage for stage in graph}
    workplace = Workplace(
        store=Store(tmp_path / "home" / "store"), home=tmp_path / "home", profile="test", sections=sections(settings, language),
        snapshots=(), data=DataFolder(None), seed=20260101,
    )  # fmt: skip
    (pieces,) = preview_rows(declared["chat_model"], workplace, declared, rows=1)
    assert [piece for piece, loss in pieces if loss][1] == "È tutto.<|im_end|>"
    assert next(piece for piece, loss in pieces if not loss).endswith("<|im_start|>assistant\n")
    with pytest.raises(TrainingError, match="no examples to preview"):
        next(preview_rows(declared["adapted_model"], workplace, declared, rows=1))

    again = stage_runner(graph, sections(settings, language), "adapted_model")
    assert again.reused


def assert_the_record_is_whole(result: StageResult, base: StageResult) -> None:
    """What a model was made of and on what, in its build record alone."""
    record, log = result.record, result.published.read("log")
    assert record.inputs["seed"] == 20260101 and record.profile == "test" and "profile" in record.inputs
    assert record.inputs["config"] and record.inputs["code_version"]
    assert all(set(version) >= {"version", "data_version"} for version in record.inputs["upstream"].values()) and len(record.inputs["upstream"]) >= 2
    assert record.statistics["base_weights_sha256"] == base.published.statistics["weights_sha256"] == weights_digest(base.published.files)
    assert record.statistics["weights_sha256"] == weights_digest(result.published.files / "merged")
    assert record.statistics["tokens"] == log["tokens"].max() > 0 and record.statistics["targets"] == log["targets"].sum() > 0
    assert {"torch", "transformers", "peft", "bitsandbytes", "tokenizers", "safetensors"} <= set(record.environment["packages"])
    assert {"python", "cpus", "gpus", "machine", "memory_gib"} <= set(record.environment)
    assert record.observations["hardware"] == hardware()
    assert record.observations["fitting_seconds"] > 0 and record.observations["peak_memory_mb"] > 0


def assert_no_paths_of_this_machine(folder: Path) -> None:
    for path in folder.rglob("*.json"):
        if path.name != "tokenizer.json":
            text = path.read_text()
            assert "/tmp" not in text and "/home" not in text, f"{path} holds a path of this machine"


def test_a_chat_line_of_its_own_is_trained_from_its_own_base() -> None:
    settings = TrainingSettings.model_validate({**SETTINGS, "chat_base": {"kind": "tiny", "seed": 1}})
    declared = {stage.asset: stage for stage in stages(settings)}
    assert declared["adapted_chat_model"].upstream == ("chat_base_model", "adaptation_tokens", "evaluation_text")
    assert declared["chat_base_model"].sections == ("training.chat_base",)
    assert "chat_base_model" in declared["adaptation_tokens"].upstream
    assert declared["adapted_chat_model"].sections == ("training.adaptation", "training.merging")


def test_the_same_base_written_out_is_still_one_line() -> None:
    settings = TrainingSettings.model_validate({**SETTINGS, "chat_base": SETTINGS["base"], "chat_adaptation": SETTINGS["adaptation"]})
    declared = {stage.asset: stage for stage in stages(settings)}
    assert declared["adapted_chat_model"].upstream == ("adapted_model",)


def test_a_missing_column_names_table_and_column(
    stage_runner: Callable[..., StageResult], upstream: tuple[Stage, ...], broken_corpus: Stage, language: LanguageSettings
) -> None:
    settings = TrainingSettings.model_validate(SETTINGS)
    graph = (*(stage for stage in upstream if stage.asset != "clean_corpus"), broken_corpus, *stages(settings))
    for asset in ("clean_corpus", "replay_text", "base_model"):
        stage_runner(graph, sections(settings, language), asset)
    with pytest.raises(TrainingError, match=r"clean_corpus@.*table text: columns \['text'\] are missing"):
        stage_runner(graph, sections(settings, language), "adaptation_tokens")


def test_rows_longer_than_the_model_are_refused_before_anything_is_trained(
    stage_runner: Callable[..., StageResult], upstream: tuple[Stage, ...], language: LanguageSettings
) -> None:
    settings = TrainingSettings.model_validate({**SETTINGS, "tokens": {"row_tokens": 2000}})
    graph = (*upstream, *stages(settings))
    for name in ("clean_corpus", "replay_text", "base_model"):
        stage_runner(graph, sections(settings, language), name)
    with pytest.raises(CheckpointError, match=r"training.tokens.row_tokens is 2000 tokens, and the model in .* reads at most 1024"):
        stage_runner(graph, sections(settings, language), "adaptation_tokens")


def test_examples_longer_than_the_model_are_refused_before_anything_is_trained(
    stage_runner: Callable[..., StageResult], upstream: tuple[Stage, ...], language: LanguageSettings
) -> None:
    settings = TrainingSettings.model_validate({**SETTINGS, **{name: {"steps": 1, "max_tokens": 2000} for name in ("instruction", "chat", "evalita")}})
    graph = (*upstream, *stages(settings))
    for name in LINE[:6] + LINE[7:12]:
        stage_runner(graph, sections(settings, language), name)
    for name in ("instruction", "chat", "evalita"):
        with pytest.raises(CheckpointError, match=rf"training.{name}.max_tokens is 2000 tokens, and the model in .* reads at most 1024"):
            stage_runner(graph, sections(settings, language), f"{name}_model")


def test_a_real_base_of_the_chat_line_wants_a_budget_too() -> None:
    chat_base = {"kind": "hub", "repository": "owner/model", "revision": "0" * 40, "licence": "MIT"}
    with pytest.raises(ValueError, match=r"tokens.token_budget is missing"):
        TrainingSettings.model_validate({"base": {"kind": "tiny"}, "chat_base": chat_base})


def test_evalita_has_no_key_that_does_nothing() -> None:
    """Its rows do not say what they have in common with benchmarks, so that none can be left out for it."""
    with pytest.raises(ValueError, match="exclude_benchmark_overlap"):
        TrainingSettings.model_validate({**SETTINGS, "evalita": {"exclude_benchmark_overlap": True}})
