"""A page's story tells as much as is published, and names what is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from corpus.web.settings import WebSettings
from corpus.web.stages import stages
from corpus.web.story import JudgedSnapshot, StorySettings, why
from foundation.stages import Stage, StageResult
from foundation.store import NotPublished, PublishedVersion, Store

SNAPSHOT = "SAMPLE-2026-01"
PASSES = "https://www.sentieri-alti.example/consigli/zaino.html"
FAILS = "https://www.astronomia-facile.example/segnaposto.html"
OVERLAPS = "https://www.quaderni-di-scuola.example/storia/mulini.html"
OLD = "https://www.diario-di-bordo.example/informativa.html"
NEW = FAILS
"""Let in by a strict language gate, and kept out by it."""

Story = Callable[[str], dict[str, Any]]


@pytest.fixture
def step(
    stage_runner: Callable[..., StageResult], web: WebSettings, sections: Mapping[str, Any], benchmark_stage: Stage, home: Any
) -> Callable[..., Story]:
    """Make assets, and tell stories by what is published then."""
    graph = (*stages(web), benchmark_stage)
    partitioned = {stage.asset for stage in graph if stage.partitioned}
    settings = StorySettings(web.decisions, sections["language.identification"], web.clean.personal_data)

    def published(asset: str, partition: str | None = None) -> PublishedVersion | None:
        try:
            return Store(home / "store").resolve(asset, partition, ref="test")
        except NotPublished:
            return None

    def step(*assets: str, changed: Mapping[str, Any] | None = None) -> Story:
        for asset in assets:
            stage_runner(graph, {**sections, **(changed or {})}, asset, SNAPSHOT if asset in partitioned else None)

        def tell(url: str) -> dict[str, Any]:
            documents = published("documents", SNAPSHOT)
            assert documents is not None
            judged = {SNAPSHOT: JudgedSnapshot(documents, published("signals", SNAPSHOT), published("decisions", SNAPSHOT))}
            entries = why(url, {SNAPSHOT: documents}, published("clean_corpus"), judged, settings)
            return next(entry for entry in entries if entry["step"] != "documents" or entry["kept"] is None)  # others are copies, skipped

        return tell

    return step


def test_a_story_goes_as_far_as_assets_are_published(step: Callable[..., Story]) -> None:
    tell = step("benchmark_sets", "snapshot", "documents")
    entry = tell(FAILS)
    assert (entry["kept"], entry["step"], entry["reason"]) == (None, "documents", None)
    assert entry["not_published"] == "signals, decisions, clean_corpus" and entry["language"] == "it" and "rules" not in entry

    entry = step("signals")(FAILS)
    assert (entry["kept"], entry["step"], entry["not_published"]) == (None, "signals", "decisions, clean_corpus")
    assert any(rule.startswith("placeholder_text: placeholder is 1") for rule in entry["rules"])  # what would be decided
    assert "overlap" not in entry

    tell = step("decisions")
    entry = tell(FAILS)
    assert (entry["kept"], entry["step"], entry["reason"], entry["not_published"]) == (False, "decisions", "placeholder_text", "clean_corpus")
    entry = tell(PASSES)
    assert (entry["kept"], entry["step"], entry["rules"], entry["not_published"]) == (None, "decisions", [], "clean_corpus")
    assert tell(OVERLAPS)["overlap"]

    tell = step("duplicate_clusters", "clean_corpus")
    assert tell(FAILS)["kept"] is False and "not_published" not in tell(FAILS) and tell(OVERLAPS)["reason"] == "benchmark_overlap"


def test_what_is_older_than_documents_is_named(step: Callable[..., Story], web: WebSettings) -> None:
    strict = {"corpus.web.documents": web.documents.model_copy(update={"gate_score": 0.97})}
    step("benchmark_sets", "snapshot", "documents", "signals", "decisions", "duplicate_clusters", "clean_corpus", changed=strict)
    tell = step("documents")  # with pages that the strict gate kept out
    entry = tell(OLD)
    assert entry["kept"] is False and "older_than_documents" not in entry
    entry = tell(NEW)
    assert (entry["kept"], entry["step"], entry["not_published"]) == (None, "documents", "")
    assert entry["older_than_documents"] == "signals, decisions, clean_corpus"
