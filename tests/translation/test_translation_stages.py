"""The stages end to end: identity, the toy Argos package, Apertium where it is cached; any number of workers."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from foundation.language.identification import IdentificationSettings
from foundation.language.sentences import SentenceSettings
from foundation.language.source_language import SourceCleaning, SourceTasks
from foundation.stages import Stage, StageContext, StageReport
from foundation.store import TableSpec
from tests.translation.conftest import PAIRS
from translation.report import side_by_side
from translation.settings import GateSettings, Reason, TranslationSettings
from translation.stages import stages
from translation.translated import failure_rates

ITEMS = TableSpec(
    name="items",
    schema=pa.schema([pa.field(name, pa.string(), nullable=False) for name in ("benchmark", "item_id", "text")]),
    key=("benchmark", "item_id"),
)
LOOSE = {"min_kept_share": 0.0, "min_target_share": 0.0}


def benchmark_sets(context: StageContext) -> StageReport:
    with context.staging.table(ITEMS) as table:
        table.write([{"benchmark": "toy", "item_id": "1", "text": "questa frase di prova non sta in nessun testo tradotto qui sotto oggi"}])
    return StageReport()


@pytest.fixture
def line(stage_runner: Callable[..., Any], tiny_identifier: Path) -> Callable[..., dict[str, Any]]:
    """Run all stages of the workshop; returns results by asset."""

    def run(settings: dict[str, Any], data: Path | None = None, workers: int = 1) -> dict[str, Any]:
        top = TranslationSettings.model_validate(settings)
        sections = {
            **{f"translation.{name}": getattr(top, name) for name in type(top).model_fields},
            "language.identification": IdentificationSettings(model=tiny_identifier, label="it", source_label="en"),
            "language.source_sentences": SentenceSettings(),
            "language.source_cleaning": SourceCleaning(),
            "language.source_tasks": SourceTasks({}),
        }
        graph = (Stage(asset="benchmark_sets", version="1", group="evalita", build=benchmark_sets, tables=(ITEMS,)), *stages(top))
        return {stage.asset: stage_runner(graph, sections, stage.asset, data=data, workers=workers) for stage in graph}

    return run


def test_identity_gives_the_samples_back(line: Any) -> None:
    results = line({"engine": {"engine": "identity"}, "gates": LOOSE})
    chats = results["translated_chats"].published
    rows = chats.read("chats").to_dicts()
    assert len(rows) >= 24
    assert all(row["messages"] == row["source_messages"] for row in rows)
    assert all(row["flags"] == ["not_translated"] and row["engine"] == "identity" for row in rows)
    instructions = results["translated_instructions"].published.read("instructions")
    assert (instructions["response"] == instructions["source_response"]).all()
    assert results["translated_chats"].record.statistics["rows_read"] == len(rows) + chats.read("quarantine").height
    examples = side_by_side(chats, results["translated_instructions"].published, 5)
    assert [example["kind"] for example in examples] == ["chat", "instruction"] * 2 + ["chat"]


def test_nothing_changed_means_nothing_done(line: Any) -> None:
    settings = {"engine": {"engine": "identity"}, "gates": LOOSE, "sources": {"max_chats": 3, "max_instructions": 5}}
    assert not any(result.reused for result in line(settings).values())
    assert all(result.reused for result in line(settings).values())
    changed = line({**settings, "gates": {**LOOSE, "max_length_ratio": 2.0}})
    assert [asset for asset, result in changed.items() if not result.reused] == ["translated_chats", "translated_instructions"]


def test_the_set_gates_speak_up(line: Any) -> None:
    result = line({"engine": {"engine": "identity"}, "sources": {"max_chats": 3, "max_instructions": 5}})["translated_instructions"]
    verdicts = {gate.name: gate.passed for gate in result.record.gates}
    assert verdicts == {"kept_share": True, "target_language_share": False, "failure_rates": True}


def test_toy_argos_package_end_to_end(line: Any, toy_package: Path, tmp_path: Path) -> None:
    import json

    data = tmp_path / "data"
    for folder in ("argos", "dolly", "chat/ultrachat"):
        (data / folder).mkdir(parents=True)
    shutil.copy(toy_package, data / "argos")
    instruction = {"instruction": "the cat sees the red dog .", "context": "", "response": "- the dog has the book .\n- the old cat wants the bread XQ1Z .", "category": "open_qa"}
    (data / "dolly/databricks-dolly-15k.jsonl").write_text(json.dumps(instruction) + "\n")
    chat = {"id": "7", "data": ["the friend finds the train .", "the train has the garden .\n\n```\ncode stays\n```"]}
    (data / "chat/ultrachat/a.jsonl").write_text(json.dumps(chat) + "\n")
    results = line({"engine": {"target_code": "it"}, "gates": {**LOOSE, "min_language_score": 0.0}}, data=data)
    row = results["translated_instructions"].published.read("instructions").to_dicts()[0]
    assert row["instruction"] == "il gatto vede il cane rosso ."
    assert row["response"] == "- il cane ha il libro .\n- il gatto vecchio vuole il pane XQ1Z ."
    assert row["engine"] == "argos"
    assert row["score"] < 0
    messages = results["translated_chats"].published.read("chats").to_dicts()[0]["messages"]
    assert messages[1]["content"] == "il treno ha il giardino .\n\n```\ncode stays\n```"
    record = results["translated_chats"].record
    assert record.data_version == record.version  # float32 on the CPU is reproducible
    int8 = line({"engine": {"target_code": "it", "argos": {"compute_type": "int8"}}, "gates": {**LOOSE, "min_language_score": 0.0}}, data=data)
    assert int8["translated_chats"].record.data_version != int8["translated_chats"].record.version


@pytest.mark.usefixtures("apertium")
def test_apertium_end_to_end_and_worker_counts(line: Any, home: Path) -> None:
    settings = {
        "engine": {"engine": "apertium", "apertium": {"pairs": list(PAIRS)}, "shard_characters": 1_000},
        "sources": {"max_chats": 2, "max_instructions": 12},
        "gates": {**LOOSE, "max_untranslated_share": 0.4, "max_numbers_changed": 1},
    }
    results = line(settings)
    record = results["translated_instructions"].record
    assert record.statistics["kept"] >= 10
    assert record.statistics["engine"]["kind"] == "apertium"
    shutil.rmtree(home / "store")
    again = line(settings, workers=2)
    for asset in ("translated_chats", "translated_instructions"):
        assert again[asset].record.version == results[asset].record.version


def test_failure_rates_name_what_goes_beyond_its_limit() -> None:
    limits: dict[Reason, float] = {"truncated": 0.05, "repetition": 0.1}
    passed = failure_rates({"truncated": 4, "repetition": 1, "language": 90}, 100, limits)
    assert passed.passed and (passed.value, passed.threshold) == (0.04, 0.05) and "for truncated" in passed.description
    failed = failure_rates({"truncated": 6, "repetition": 30}, 100, limits)
    assert not failed.passed and (failed.value, failed.threshold) == (0.3, 0.1)
    assert "repetition 0.3000 of at most 0.1, truncated 0.0600 of at most 0.05" in failed.description
    assert failure_rates({}, 0, limits).passed and failure_rates({"language": 5}, 5, {}).value is None


def test_only_reasons_that_there_are_can_have_a_limit() -> None:
    with pytest.raises(ValueError, match="max_reason_shares"):
        GateSettings(max_reason_shares={"boredom": 0.1})  # type: ignore[dict-item]
