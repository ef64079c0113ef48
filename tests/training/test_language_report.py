"""Versions of models against one another: the gate that stops a worse one, and the comparison that shows them all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from foundation.language.settings import LanguageSettings
from foundation.stages import Stage, StageResult
from foundation.store import GateFailed
from tests.training.made_models import MODELS, model_stages
from training.settings import TrainingSettings
from training.stages import stages

SOURCES = ("clean_corpus", "evaluation_text", "evalita_report", "base_model", *MODELS)
EVALUATION = {"passages": 3, "passage_characters": 80, "window_tokens": 64, "answer_tokens": 3, "compare_quantized": False, "resamples": 200, "threads": 1}


class Line:
    """Language reports of a line of versions in one store."""

    def __init__(self, run: Callable[..., StageResult], upstream: tuple[Stage, ...], language: LanguageSettings, tiny: Path) -> None:
        self._run, self._upstream, self._language, self._tiny = run, upstream, language, tiny

    def report(self, asset: str = "language_report", *, evaluation: dict[str, Any] | None = None, **scales: float) -> StageResult:
        settings = TrainingSettings.model_validate({"base": {"kind": "tiny"}, "evaluation": {**EVALUATION, **(evaluation or {})}})
        made = {stage.asset: stage for stage in (*self._upstream, *model_stages(self._tiny, **scales))}
        graph = (*made.values(), *(stage for stage in stages(settings) if stage.group == "evaluation"))
        short = self._language.model_copy(update={"prompts": self._language.prompts[:2]})
        sections = {"training.evaluation": settings.evaluation, "language": short, "language.templates": short.templates}
        for name in SOURCES if asset == "language_report" else ():
            self._run(graph, sections, name)
        return self._run(graph, sections, asset)


@pytest.fixture
def line(stage_runner: Callable[..., StageResult], upstream: tuple[Stage, ...], language: LanguageSettings, tiny: Path) -> Line:
    return Line(stage_runner, upstream, language, tiny)


def gates(result: StageResult) -> dict[str, Any]:
    return {gate.name: gate for gate in result.record.gates}


def test_a_worse_version_fails_is_refused_by_name_and_is_no_measure_for_the_next(line: Line) -> None:
    first = line.report(adapted_model=1.0)
    assert first.record.passed
    assert "no earlier version passed" in gates(first)["adapted_model_not_worse"].description

    worse = line.report(adapted_model=40.0)
    gate = gates(worse)["adapted_model_not_worse"]
    assert not gate.passed and gate.value > 5 and gate.threshold == 0
    version = first.record.inputs["upstream"]["adapted_model"]["version"]
    assert f"adapted_model@{version[:8]}" in gate.description
    assert gates(worse)["chat_model_not_worse"].passed and gates(worse)["chat_model_not_worse"].value == 0
    with pytest.raises(GateFailed, match=r"language_report@.*adapted_model_not_worse is .*allow_failed_gates='\[language_report\]'"):
        line.report("model_comparison", adapted_model=40.0)

    still_worse = line.report(adapted_model=39.0)
    assert version[:8] in gates(still_worse)["adapted_model_not_worse"].description, "a version that failed is no measure"
    assert not still_worse.record.passed
    assert line.report(adapted_model=40.0, evaluation={"max_regression_percent": 5000}).record.passed
    assert line.report(adapted_model=50.0, evaluation={"max_regression_percent": None}).record.passed


def test_an_equal_version_passes(line: Line) -> None:
    """Other settings, so that it is measured again, and the same weights."""
    line.report()
    again = line.report(evaluation={"answer_tokens": 2})
    assert not again.reused
    assert {gate.value for name, gate in gates(again).items() if name.endswith("_not_worse")} == {0}
    assert again.record.passed
    assert line.report(evaluation={"answer_tokens": 2}).reused


def test_on_other_text_the_version_before_is_measured_again(line: Line, home: Path) -> None:
    first = line.report()
    other = line.report(evaluation={"passage_characters": 60}, adapted_model=40.0)
    assert not gates(other)["adapted_model_not_worse"].passed, "the recorded scores are of other passages"
    assert gates(other)["instruction_model_not_worse"].value == 0

    model = first.record.inputs["upstream"]["adapted_model"]["version"]
    shutil.rmtree(home / "store" / "adapted_model" / "v" / model)
    gone = line.report(evaluation={"passage_characters": 50}, adapted_model=40.0)
    gate = gates(gone)["adapted_model_not_worse"]
    assert gate.passed and gate.value == "not compared" and "its files are gone" in gate.description


def test_forgetting_is_judged_by_its_own_gate(line: Line) -> None:
    result = line.report(adapted_model=40.0, evaluation={"max_forgetting_percent": 3, "min_improvement_percent": 5})
    failed = {gate.name for gate in result.record.gates if not gate.passed}
    assert failed == {"source_language_kept", "italian_improves"}
    assert gates(result)["source_language_kept"].value > 3
    assert gates(result)["adapter_improves"].value == "not measured"


def test_the_comparison_holds_the_versions_before(line: Line) -> None:
    keep = {"max_regression_percent": None}
    for scale in (1.0, 3.0, 2.0):
        line.report(adapted_model=scale, evaluation=keep)
    made = line.report("model_comparison", evaluation=keep, adapted_model=2.0)
    rows = made.published.read("comparison").to_dicts()
    bits = [row for row in rows if row["model"] == "adapted_model" and row["measure"] == "bits_per_byte" and row["set"] == "in_domain"]
    assert len({row["version"] for row in bits}) == 3
    assert [row["present"] for row in bits].count(True) == 1
    assert all(row["low"] <= row["value"] <= row["high"] and row["same_text"] for row in bits)
    (base,) = [row for row in rows if row["model"] == "base_model" and row["measure"] == "bits_per_byte" and row["set"] == "in_domain"]
    assert base["present"] and base["difference_percent"] == 0, "a version that did not change is shown once"
    assert {row["measure"] for row in rows if row["set"] == "fixed_prompts"} == {"target_language_share", "ended_share", "repetition", "mean_words"}
    wic = next(row for row in rows if row["set"] == "wic")
    assert (wic["low"], wic["high"], wic["difference_percent"]) == (0.5, 0.7, pytest.approx(20))
    assert made.plots["Models and their versions before"].startswith(b"\x89PNG")
    assert len(made.plots["Models and their versions before"]) < 50_000, "more is not shown in Dagster"

    one = line.report("model_comparison", evaluation={**keep, "earlier_versions": 1}, adapted_model=2.0)
    shown = {row["version"] for row in one.published.read("comparison").to_dicts() if row["model"] == "adapted_model"}
    assert len(shown) == 2

    line.report(adapted_model=2.0, evaluation={**keep, "passage_characters": 40})
    other = line.report("model_comparison", evaluation={**keep, "passage_characters": 40}, adapted_model=2.0)
    before = [row for row in other.published.read("comparison").to_dicts() if row["measure"] == "bits_per_byte" and not row["present"]]
    assert before and not any(row["same_text"] for row in before), "values on other text are marked"


def test_a_comparison_does_not_change_by_what_came_later(line: Line) -> None:
    keep = {"max_regression_percent": None}
    line.report(adapted_model=1.0, evaluation=keep)
    first = line.report("model_comparison", adapted_model=1.0, evaluation=keep)
    line.report(adapted_model=2.0, evaluation=keep)
    line.report("model_comparison", adapted_model=2.0, evaluation=keep)
    assert line.report(adapted_model=1.0, evaluation=keep).reused
    again = line.report("model_comparison", adapted_model=1.0, evaluation=keep)
    assert again.reused and again.published.version == first.published.version


def test_manifests_hold_what_changed(line: Line) -> None:
    result = line.report(adapted_model=3.0)
    statistics = result.published.statistics["change_percent"]
    rows = {(row["model"], row["text"]): row for row in result.published.read("changes").to_dicts()}
    row = rows["adapted_model", "source_language"]
    assert statistics["adapted_model"]["source_language"] == row["change_percent"]
    assert row["low"] <= row["change_percent"] <= row["high"]
    assert json.loads((result.published.path / "manifest.json").read_text())["tables"]["passages"]["rows"] == 5 * 3 * 3
