"""The web corpus from crawl to clean text, on the bundled pages."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from corpus.web.document_build import LOSSES
from corpus.web.errors import WebCorpusError
from corpus.web.extraction import Extracted, PageExtractor
from corpus.web.report import CorpusVersions, ReportSettings, corpus_report
from corpus.web.settings import DecisionSettings, SnapshotSettings, WebSettings
from corpus.web.stages import stages
from corpus.web.story import JudgedSnapshot, StorySettings, why
from foundation.language.settings import LanguageSettings
from foundation.settings import PROFILES_ROOT
from foundation.stages import Stage, StageResult

SNAPSHOT = "SAMPLE-2026-01"
LINE = ("benchmark_sets", "snapshot", "documents", "signals", "decisions", "duplicate_clusters", "clean_corpus", "replay_text", "evaluation_text")

Runner = Callable[..., StageResult]


@pytest.fixture
def line(stage_runner: Runner, web: WebSettings, sections: Mapping[str, Any], benchmark_stage: Stage) -> dict[str, StageResult]:
    """Every stage, run once."""
    graph = (*stages(web), benchmark_stage)
    partitioned = {stage.asset for stage in graph if stage.partitioned}
    return {asset: stage_runner(graph, sections, asset, SNAPSHOT if asset in partitioned else None) for asset in LINE}


def test_the_whole_line(
    line: dict[str, StageResult], stage_runner: Runner, web: WebSettings, sections: Mapping[str, Any], benchmark_stage: Stage
) -> None:
    declared = {stage.asset: tuple(stage.gates) for stage in stages(web)}
    for asset, result in line.items():
        assert result.record.passed, (asset, result.record.gates)
        assert tuple(gate.name for gate in result.record.gates) == declared.get(asset, ())
        assert all(len(plot) <= 50_000 for plot in result.plots.values())

    overlap = line["decisions"].published.statistics["overlap"]
    assert overlap["absent"]["items_found"] == 0 and overlap["planted"] == {
        "items": 1, "items_too_short": 0, "items_found": 1, "documents": overlap["planted"]["documents"], "characters": overlap["planted"]["characters"]
    }  # fmt: skip
    documents, clean = line["documents"].published, line["clean_corpus"].published
    ledger, text = clean.read("ledger"), clean.read("text")
    assert clean.tables == ("text", "ledger") and clean.rows == text.height
    assert ledger.height == documents.rows and ledger["kept"].sum() == text.height
    reasons = dict(zip(ledger["url"], ledger["reason"], strict=True))
    assert reasons["https://www.quaderni-di-scuola.example/storia/mulini.html"] == "benchmark_overlap"
    assert reasons["https://www.astronomia-facile.example/segnaposto.html"] == "placeholder_text"
    assert reasons["https://www.diario-di-bordo.example/informativa.html"] in ("little_left", "short_document")
    assert reasons["https://www.mercato-vecchio.example/offerte.html"] is not None
    zaino = [reasons[f"https://www.sentieri-alti.example/consigli/{name}.html"] for name in ("zaino", "zaino-stampa")]
    assert sorted(zaino, key=str) == [None, "duplicate"]
    assert set(text["licence"]) == {"CC0-1.0"}
    counts = pl.DataFrame(text["personal_data"].to_list()).sum().to_dicts()[0]
    assert counts == {"email": 2, "ipv4": 1, "ipv6": 0, "iban": 1, "codice_fiscale": 1, "partita_iva": 1, "phone": 2}
    joined = "\n".join(text["text"])
    assert "@" not in joined and "RSSMRA85T10A562S" not in joined and "192.168.1.1" in joined and "cookie" not in joined.lower()

    noai = documents.read("documents").filter(pl.col("url").str.ends_with("concerti.html"))
    assert noai["noai"].to_list() == [True] and noai["html_language"].to_list() == ["it"]

    check_report(line, web, sections)
    story = why("https://www.quaderni-di-scuola.example/storia/mulini.html", {SNAPSHOT: documents}, clean)
    assert [(row["kept"], row["reason"]) for row in story] == [(False, "benchmark_overlap")]
    judged = {SNAPSHOT: JudgedSnapshot(documents, line["signals"].published, line["decisions"].published)}
    profile = StorySettings(web.decisions, sections["language.identification"], web.clean.personal_data)
    check_stories(clean, lambda url: why(url, {SNAPSHOT: documents}, clean, judged, profile))

    evaluated = set(line["evaluation_text"].published.read("text")["text"])
    assert not evaluated & (set(text["text"]) | set(line["replay_text"].published.read("text")["text"]))
    graph = (*stages(web), benchmark_stage)
    assert stage_runner(graph, sections, "clean_corpus").reused
    assert line["clean_corpus"].record.observations["missing_snapshots"] == []


def check_report(line: dict[str, StageResult], web: WebSettings, sections: Mapping[str, Any]) -> None:
    """The report's figures are those of the tables, every step leads to the next, and each value stands on the wrong side of its threshold."""
    by_snapshot = ({SNAPSHOT: line[asset].published} for asset in ("documents", "signals", "decisions"))
    clean, decided = line["clean_corpus"].published, line["decisions"].published.statistics
    names = LanguageSettings(**yaml.safe_load((PROFILES_ROOT / "languages" / "ita.yaml").read_text(encoding="utf-8"))).mentions
    asked = ReportSettings("smoke", "Italian", web.decisions, sections["language.identification"], web.clean.personal_data, names, 1)
    report = corpus_report(CorpusVersions((SNAPSHOT,), *by_snapshot, clean), asked)
    left = 0
    for step in report.waterfall.steps:
        left = step.pages if step.name == "records" else left - step.pages if step.kind == "loss" else left
        assert step.kind == "loss" or left == step.pages, step
    assert report.waterfall.steps[0].pages == line["documents"].published.statistics["records"] and left == clean.rows
    assert sum(split.tokens for split in report.waterfall.splits) == clean.statistics["kept_words"]
    assert report.drops is not None and report.remarks == ()
    assert {rule.rule: rule.failing for rule in report.drops.rules} == decided["failed_rules"]
    assert {rule.rule: rule.first for rule in report.drops.rules if rule.first} == decided["first_failed"]
    assert set(report.idle_rules).isdisjoint(decided["failed_rules"]) and report.mentions is not None and report.mentions.before.documents == line["documents"].published.rows
    for page in report.dropped.pages:
        side = re.fullmatch(r"\w+ (at least|at most) ([\d.]+).*", page.threshold)
        if side:
            assert float(page.value) < float(side[2]) if side[1] == "at least" else float(page.value) > float(side[2]), page
        assert page.text and page.snapshot == SNAPSHOT


def check_stories(clean: Any, tell: Callable[[str], list[dict[str, Any]]]) -> None:
    """Every page's story says what the ledger says, with a value on the wrong side of a threshold for each failing rule."""
    ledger = clean.read("ledger")
    seen = set()
    for row in ledger.iter_rows(named=True):
        (entry,) = [entry for entry in tell(row["url"]) if entry.get("document_id") == row["document_id"]]
        assert (entry["kept"], entry["reason"]) == (row["kept"], row["reason"]) and entry["rules_changed"] is None
        assert [text.split(":")[0] for text in entry["rules"]] == row["failed_rules"]
        for value, side, threshold in re.findall(r"is (-?[\d.e+-]+|nan), (at least|at most) (-?[\d.e+-]+) is", " ".join(entry["rules"])):
            assert float(value) < float(threshold) if side == "at least" else float(value) > float(threshold)
        assert ("overlap" in entry and bool(entry["overlap"])) or row["reason"] != "benchmark_overlap"
        assert row["reason"] != "duplicate" or (len(entry["kept_instead"]) <= 1 and bool(entry["copies"]))
        assert not row["kept"] or (entry["split"] in ("train", "validation") and entry["words_and_punctuation_marks"] > 0)
        seen.add(row["reason"])
    assert {None, "benchmark_overlap", "duplicate"} <= seen and len(seen) > 4


def test_splits_share_no_domain(line: dict[str, StageResult]) -> None:
    clean = line["clean_corpus"].published
    train, validation = (set(clean.read("text", split)["registered_domain"]) for split in ("train", "validation"))
    assert train and validation and not train & validation
    replay = line["replay_text"].published
    hosts = [{url.split("/")[2] for url in replay.read("text", split)["url"]} for split in ("train", "validation")]
    assert hosts[0] and hosts[1] and not hosts[0] & hosts[1]


def test_exact_copies_are_counted(line: dict[str, StageResult]) -> None:
    made = line["snapshot"].published.statistics
    documents = line["documents"].published
    repeats = documents.statistics["skipped"]["exact_copy"]
    assert 0 < repeats <= made["kinds"]["repeat"]
    assert documents.read("documents")["document_id"].n_unique() == documents.rows
    mirrors = line["clean_corpus"].published.read("ledger").filter(pl.col("url").str.contains("-mirror.example"))
    assert mirrors.height and (mirrors["cluster_size"] > 1).all()


def test_other_rules_change_decisions_and_nothing_before(
    line: dict[str, StageResult], stage_runner: Runner, web: WebSettings, sections: dict[str, Any], benchmark_stage: Stage
) -> None:
    graph = (*stages(web), benchmark_stage)
    sections = {**sections, "corpus.web.decisions": DecisionSettings(rules="rules/fineweb2_ita.yaml")}
    assert stage_runner(graph, sections, "signals", SNAPSHOT).reused
    decided = stage_runner(graph, sections, "decisions", SNAPSHOT)
    assert not decided.reused and decided.published.version != line["decisions"].published.version


def test_signals_of_other_documents_are_refused(
    line: dict[str, StageResult],
    stage_runner: Runner,
    web: WebSettings,
    sections: dict[str, Any],
    benchmark_stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Documents extracted anew keep their ids and get other texts; signals are still those of the old ones."""

    extract = PageExtractor.extract

    def longer(self: PageExtractor, response: Any) -> Any:
        page = extract(self, response)
        return dataclasses.replace(page, text=f"{page.text} Fine.") if isinstance(page, Extracted) else page

    monkeypatch.setattr(PageExtractor, "extract", longer)
    graph = (*stages(web), benchmark_stage)
    sections = {**sections, "corpus.web.documents": web.documents.model_copy(update={"scores_kept": 4})}
    assert not stage_runner(graph, sections, "documents", SNAPSHOT).reused
    with pytest.raises(WebCorpusError, match="measured on another text; materialize signals"):
        stage_runner(graph, sections, "decisions", SNAPSHOT)


def test_snapshots_that_are_missing_are_named(
    line: dict[str, StageResult], stage_runner: Runner, web: WebSettings, sections: dict[str, Any], benchmark_stage: Stage
) -> None:
    graph, sections = (*stages(web), benchmark_stage), {**sections, "corpus.web.clean": web.clean.model_copy(update={"validation_share": 0.3})}
    result = stage_runner(graph, sections, "clean_corpus", snapshots=(SNAPSHOT, "SAMPLE-2026-02"))
    assert result.record.observations["missing_snapshots"] == ["SAMPLE-2026-02"]


def test_a_user_folder_of_crawl_files(
    stage_runner: Runner, web: WebSettings, sections: dict[str, Any], shared_data: Path, tmp_path: Path
) -> None:
    """Genuine Common Crawl files, no Italian page: read whole, nothing kept, the gate says so."""
    folder = shared_data / "web" / "common-crawl"
    crawl = tmp_path / "crawl"
    crawl.mkdir()
    for name in ("cc-main-2020-34_resiliparse", "wget_dolma-0000"):
        (crawl / f"{name}.warc.gz").write_bytes((folder / f"{name}.warc.gz").read_bytes())
    sections = {**sections, "corpus.web.snapshot": SnapshotSettings(source="folder", folder=str(crawl))}
    snapshot = stage_runner(stages(web), sections, "snapshot", "CC-MAIN-2020-34", snapshots=("CC-MAIN-2020-34",))
    assert snapshot.published.read("files")["kind"].to_list() == ["warc", "warc"]
    documents = stage_runner(stages(web), sections, "documents", "CC-MAIN-2020-34", snapshots=("CC-MAIN-2020-34",))
    assert documents.published.rows == 0 and not documents.record.passed
    skipped = documents.published.read("skipped")
    assert skipped.filter(pl.col("reason") == "other_language").select(pl.col("pages").sum()).item() > 20
    assert "zh" in set(skipped["language"])
    counts = documents.published.statistics
    assert counts["pages"] == 38 and counts["remarks"] == {} and counts["records"] == sum(counts["skipped"].values())
    assert not set(counts["skipped"]) & LOSSES


def test_other_snapshots_are_an_error_that_says_what_can_be_had(stage_runner: Runner, web: WebSettings, sections: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(WebCorpusError, match=r"no source goes by this name; name a crawl of Common Crawl \(CC-MAIN"):
        stage_runner(stages(web), sections, "snapshot", "mine", snapshots=("mine",))
    assert not list((tmp_path / "home" / "store").rglob("manifest.json"))


def test_native_text_of_the_user_takes_the_place_of_packages(
    stage_runner: Runner, web: WebSettings, sections: dict[str, Any], shared_data: Path
) -> None:
    result = stage_runner(stages(web), sections, "evaluation_text", data=shared_data)
    target = result.published.read("text", "target")
    assert set(target["source"]) == {"wikinews"} and target.height == 10
    assert all(1_000 < characters <= 2_500 for characters in target["characters"])
    assert " ," not in target["text"][0]


def test_declaring_the_stages_loads_no_heavy_package() -> None:
    heavy = ["torch", "transformers", "datatrove", "spacy", "fasttext", "trafilatura", "fastwarc", "resiliparse", "datasets", "numba", "pandas", "sklearn", "phonenumbers", "stdnum"]
    code = f"import sys, corpus.web.stages, corpus.web.settings; print([name for name in {heavy} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
