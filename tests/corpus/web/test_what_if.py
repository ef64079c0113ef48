"""What if: other rules on a published snapshot, from signals alone, say what deciding by them says."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import polars as pl
import pytest

from corpus.web.errors import WebCorpusError
from corpus.web.judging import columns_for
from corpus.web.rules import RuleSet, load_rules
from corpus.web.settings import DecisionSettings, WebSettings
from corpus.web.stages import stages
from corpus.web.what_if import summary, what_if
from foundation.language.identification import IdentificationSettings
from foundation.settings import PROFILES_ROOT
from foundation.stages import Stage, StageResult
from foundation.store import PublishedVersion

SNAPSHOT = "SAMPLE-2026-01"
Runner = Callable[..., StageResult]


@pytest.fixture
def built(stage_runner: Runner, web: WebSettings, sections: Mapping[str, Any], benchmark_stage: Stage) -> dict[str, PublishedVersion]:
    """A snapshot, judged by the rules of the project."""
    graph = (*stages(web), benchmark_stage)
    stage_runner(graph, sections, "benchmark_sets")
    return {asset: stage_runner(graph, sections, asset, SNAPSHOT).published for asset in ("snapshot", "documents", "signals", "decisions")}


def judged(built: Mapping[str, PublishedVersion], rules: RuleSet, identification: IdentificationSettings) -> Any:
    return what_if(built["documents"], built["signals"], built["decisions"], rules, "general", identification)


def test_other_rules_from_signals_alone_are_the_decisions_by_them(
    built: dict[str, PublishedVersion], stage_runner: Runner, web: WebSettings, sections: dict[str, Any], benchmark_stage: Stage
) -> None:
    identification = sections["language.identification"]
    before = built["decisions"].statistics
    same = judged(built, load_rules(DecisionSettings().rules), identification)
    assert same.passing_after == same.passing_before == before["passing"] and not same.newly_passing and not same.newly_failing
    assert all(not change.newly and not change.no_longer for change in same.changes)
    for name in ("fineweb2_ita", "clean_mc4_it", "clean_mc4_it_code"):
        path = PROFILES_ROOT / "rules" / f"{name}.yaml"
        found = judged(built, load_rules(path), identification)
        graph = (*stages(web), benchmark_stage)
        decided = stage_runner(graph, {**sections, "corpus.web.decisions": DecisionSettings(rules=path)}, "decisions", SNAPSHOT).published
        after = decided.statistics
        assert found.passing_after == after["passing"] and found.removed_lines_after == after["removed_lines"]
        assert {change.rule: change.after for change in found.changes if change.after} == after["failed_rules"]
        assert {change.rule: change.before for change in found.changes if change.before} == before["failed_rules"]
        assert found.newly_passing_documents - found.newly_failing_documents == after["passing"] - before["passing"]
        assert found.not_applied == after["rules_not_applied"] and found.without_value == after["rules_without_value"]
        verdicts = decided.read("decisions").join(built["documents"].read("documents").select("document_id", "url"), on="document_id")
        examples = (*found.newly_failing, *found.newly_passing)
        assert set(found.newly_failing) <= set(verdicts.filter(~pl.col("passes_rules"))["url"])
        assert set(found.newly_passing) <= set(verdicts.filter("passes_rules")["url"])
        lines = summary(found)
        assert f"{found.passing_after} of {found.documents} documents pass" in lines[0] and all(url in "\n".join(lines) for url in examples)
        gained, lost = _moved(built["decisions"], decided)
        assert (found.newly_passing_documents, found.newly_failing_documents) == (len(gained), len(lost))
        assert json.loads(json.dumps(found.as_json()))["changes"][0]["rule"] == "rights_tdm_reservation"
        assert ("bad_words" in found.without_value) is name.startswith("clean_mc4_it")
        if name == "fineweb2_ita":
            assert gained and lines != summary(same)
    fineweb = judged(built, load_rules(PROFILES_ROOT / "rules" / "fineweb2_ita.yaml"), identification)
    assert list(fineweb.not_applied) == ["language_score"] and "not applied: language_score: needs" in "\n".join(summary(fineweb))


def _moved(before: PublishedVersion, after: PublishedVersion) -> tuple[set[str], set[str]]:
    """Documents that pass only after, and only before."""
    sides = [set(version.read("decisions").filter("passes_rules")["document_id"]) for version in (before, after)]
    return sides[1] - sides[0], sides[0] - sides[1]


def test_no_rule_set_reads_text() -> None:
    for path in (PROFILES_ROOT / "rules").glob("*.yaml"):
        assert not {"text", "signature", "bands"} & set(columns_for(load_rules(path), "general"))


def test_versions_of_other_documents_are_refused(built: dict[str, PublishedVersion], sections: dict[str, Any], stage_runner: Runner, web: WebSettings, benchmark_stage: Stage) -> None:
    graph = (*stages(web), benchmark_stage)
    other = {**sections, "corpus.web.documents": web.documents.model_copy(update={"gate_score": 0.9})}
    documents = stage_runner(graph, other, "documents", SNAPSHOT).published
    assert documents.rows != built["documents"].rows
    with pytest.raises(WebCorpusError, match="not of the same documents"):
        what_if(documents, built["signals"], built["decisions"], load_rules(DecisionSettings().rules), "general", sections["language.identification"])
