"""Decisions are taken in ranges of documents by workers: the same rows whatever their number, and errors that say what to do."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from corpus.web import builds
from corpus.web.settings import DecisionSettings, WebSettings
from corpus.web.stages import stages
from foundation.language.overlap import OverlapIndex
from foundation.stages import Stage, StageResult
from foundation.store import GateFailed

SNAPSHOT = "SAMPLE-2026-01"
Runner = Callable[..., StageResult]


@pytest.fixture
def run(stage_runner: Runner, web: WebSettings, sections: Mapping[str, Any], benchmark_stage: Stage) -> Callable[..., StageResult]:
    """Run one stage of the snapshot anew, on so many workers; what it reads is there."""
    graph = (*stages(web), benchmark_stage)
    stage_runner(graph, sections, "benchmark_sets")
    for asset in ("snapshot", "documents", "signals"):
        stage_runner(graph, sections, asset, SNAPSHOT)

    def run(asset: str, settings: DecisionSettings | None = None, workers: int = 1, partition: str | None = SNAPSHOT) -> StageResult:
        changed = sections if settings is None else {**sections, "corpus.web.decisions": settings}
        return stage_runner(graph, changed, asset, partition, workers=workers)

    return run


@pytest.mark.parametrize("asset", ["signals", "decisions"])
def test_versions_do_not_depend_on_workers_and_ranges(
    asset: str, run: Callable[..., StageResult], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(asset)
    assert whole.published.rows > 30
    for workers, rows in ((1, 7), (2, 11)):
        shutil.rmtree(home / "store" / asset)
        monkeypatch.setattr(builds, "_SIGNAL_ROWS", rows)
        monkeypatch.setattr(builds, "_DECISION_ROWS", rows)
        again = run(asset, workers=workers)
        assert not again.reused and again.published.version == whole.published.version
        assert again.record.statistics == whole.record.statistics


def test_the_index_of_benchmarks_is_built_once(run: Callable[..., StageResult], monkeypatch: pytest.MonkeyPatch) -> None:
    built = []
    build = OverlapIndex.build
    monkeypatch.setattr(OverlapIndex, "build", lambda *given, **named: built.append(1) or build(*given, **named))
    monkeypatch.setattr(builds, "_DECISION_ROWS", 5)
    overlap = run("decisions").published.statistics["overlap"]
    assert built == [1] and overlap["planted"]["documents"] > 0


def test_a_gate_that_nothing_passes_names_the_rules(run: Callable[..., StageResult], tmp_path: Path) -> None:
    rule = {"comparison": "at_least", "source": "s", "why": "w"}
    rules = [{"id": "endless", "signal": "words", "threshold": 10**9, **rule}, {"id": "some_lines", "signal": "lines", "threshold": 6, **rule}]
    path = tmp_path / "strict.yaml"
    path.write_text(f"name: strict\ndocuments: {rules}\n", encoding="utf-8")
    result = run("decisions", DecisionSettings(rules=path, rights="research"))
    failed = result.published.statistics["failed_rules"]
    assert failed["endless"] == result.published.rows > failed["some_lines"] > 0
    gate = next(gate for gate in result.record.gates if gate.name == "some_pass")
    assert not gate.passed and f"rejected by endless {failed['endless']}, some_lines {failed['some_lines']}" in gate.description
    run("duplicate_clusters", partition=None)
    with pytest.raises(GateFailed, match=r"some_pass is 0, threshold 1 .*rejected by endless"):
        run("clean_corpus", partition=None)
