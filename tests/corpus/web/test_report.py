"""The corpus report: every figure counted on a corpus of fingers, whatever the ranges; what is missing is said; nothing personal is shown."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from pathlib import Path
from random import Random

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.web.errors import WebCorpusError
from corpus.web.report import CorpusReport, corpus_report
from corpus.web.report import versions as report_versions
from corpus.web.report.drawing import Draw, DroppedDraw
from corpus.web.report.drops import DropTally, RuleDrops, RulePair
from corpus.web.report.listed_words import WordKills
from corpus.web.report.mentions import FOREIGN, TARGET, MentionFinder
from corpus.web.report.rule_figures import rule_figures
from corpus.web.report.shifts import ShiftTally, top_level_of
from corpus.web.report.sums import Sums
from corpus.web.report.waterfall import PublishedSplit
from corpus.web.report.writing import write_report
from foundation.language.settings import MentionNames, MentionSettings
from foundation.store import Store
from tests.corpus.web.judged_corpus import (
    FIRST,
    PAGES,
    SECOND,
    Page,
    clean,
    decisions,
    documents,
    settings,
    signals,
    versions,
)


@pytest.fixture
def report(tmp_path: Path) -> CorpusReport:
    return corpus_report(versions(tmp_path / "store"), settings(tmp_path))


def test_waterfall_leads_from_records_to_kept_words(report: CorpusReport) -> None:
    assert [dataclasses.astuple(step) for step in report.waterfall.steps] == [
        ("records", "total", 28, None, None),
        ("other_language", "loss", 14, None, None),
        ("http_status", "loss", 6, None, None),
        ("documents", "total", 8, 6 * 570, 570),
        ("short", "loss", 2, 180, 30),
        ("duplicate", "loss", 1, 420, 70),
        ("ends", "loss", 1, 360, 60),
        ("rights_noai", "loss", 1, 180, 30),
        ("kept documents", "total", 3, 2280, 380),
        ("lines, overlap and personal data taken out", "loss", 0, 3, None),
        ("published text", "total", 3, 2277, None),
    ]
    assert report.waterfall.splits == (PublishedSplit("train", 2, 1798, 600), PublishedSplit("validation", 1, 479, 160))
    assert report.remarks == () and report.coverage.snapshots == (FIRST, SECOND)


def test_drops_by_rule_and_their_overlap(report: CorpusReport) -> None:
    assert report.drops is not None
    assert (report.drops.documents, report.drops.passing) == (8, 4)
    assert report.drops.rules == (
        RuleDrops("short", 3, 2, 1, 180, 30, 120, 20),
        RuleDrops("ends", 3, 1, 1, 360, 60, 360, 60),
        RuleDrops("rights_noai", 1, 1, 0, 180, 30, 0, 0),
    )
    assert report.drops.pairs == (
        RulePair("ends", "short", 2, 0.5), RulePair("ends", "rights_noai", 1, 1 / 3), RulePair("rights_noai", "short", 1, 1 / 3)
    )  # fmt: skip
    assert report.drops.conditional(["short", "rights_noai"]) == [[1.0, 1 / 3], [1.0, 1.0]]
    assert report.idle_rules == ("rights_tdm_reservation", "rights_robots", "bad", "mojibake")


def test_figures_for_the_build_of_decisions() -> None:
    tally = DropTally()
    tally.add(pl.DataFrame({"failed_rules": [["a", "b"], ["a"], []], "characters": [60, 30, 90], "words": [10, 5, 15]}))
    tally.add(pl.DataFrame({"failed_rules": [["a", "b"]], "characters": [6], "words": [1]}))
    figures = rule_figures(tally)
    assert figures.statistics == {"failed_alone": {"a": 1}, "failed_together": {"a and b": 2}}
    assert "| a | 3 | 3 | 1 | 16 | 5 |" in figures.previews["Drops by rule"]
    assert all(len(plot) < 50_000 for plot in figures.plots.values())
    assert rule_figures(DropTally()).plots == {}


def test_shifts_of_domains(report: CorpusReport) -> None:
    """Before: alfa.it 3, beta.it 1, gamma.com 3, delta.org 1 of 8; .it 4, .com 3, .org 1."""
    shifts = report.shifts
    assert shifts is not None and (shifts.registered_domains, shifts.top_level_domains) == (4, 3)
    short = next(shift for shift in shifts.rules if shift.name == "short")
    # Left: alfa.it 1, gamma.com 3, delta.org 1 of 5.
    assert short.documents == 5 and short.dropped_share == 3 / 8
    assert short.top_level_distance == pytest.approx((4 / 8 - 1 / 5 + (3 / 5 - 3 / 8) + (1 / 5 - 1 / 8)) / 2)
    assert short.domain_distance == pytest.approx(3 / 8 - 1 / 5 + 1 / 8)
    assert [(change.name, change.before, change.after) for change in short.losers] == [("alfa.it", 3, 1), ("beta.it", 1, 0)]
    assert [(change.name, change.before, change.after) for change in shifts.all_rules.top_level] == [("it", 4, 1), ("com", 3, 2), ("org", 1, 1)]
    assert shifts.everything is not None and [change.after for change in shifts.everything.top_level] == [1, 1, 1]


@given(st.lists(st.tuples(st.sampled_from(["a.it", "b.it", "c.com", ""]), st.booleans()), min_size=1))
def test_a_rule_shifts_by_no_more_than_it_drops(pages: list[tuple[str, bool]]) -> None:
    tally = ShiftTally()
    rows = pl.DataFrame(
        {"registered_domain": [domain for domain, _ in pages], "failed_rules": [["r"] if fails else [] for _, fails in pages], "kept": [not fails for _, fails in pages]},
        schema_overrides={"failed_rules": pl.List(pl.String)},
    )
    for part in rows.iter_slices(3):
        tally.add(part)
    before, after = Counter(domain for domain, _ in pages), Counter(domain for domain, fails in pages if not fails)
    for shift in tally.result(everything=False).rules:
        assert shift.dropped_share == pytest.approx(1 - after.total() / len(pages))
        if not after:
            assert shift.domain_distance is None
            continue
        plain = sum(abs(before[name] / len(pages) - after[name] / after.total()) for name in before) / 2
        assert shift.domain_distance == pytest.approx(plain) and plain <= shift.dropped_share + 1e-9
        assert shift.top_level_distance is not None and shift.top_level_distance <= plain + 1e-9


def test_top_level_domains() -> None:
    assert [top_level_of(name) for name in ("comune.roma.it", "example.co.uk", "", "192.0.2.1", "2001:db8::1")] == ["it", "uk", "(none)", "(address)", "(address)"]


def test_pages_that_each_bad_word_would_kill(report: CorpusReport, tmp_path: Path) -> None:
    words = report.listed_words
    assert words is not None and (words.measured, words.pages, words.kept) == (8, 2, 1)
    assert words.words == (WordKills("pesce", ("ita",), 2, 1, 1), WordKills("fava", ("ita",), 1, 0, 0))
    assert words.own == {"bad": 0}
    unlisted = versions(tmp_path / "unlisted", listed=False)
    without = corpus_report(unlisted, settings(tmp_path))
    assert without.listed_words is not None and without.listed_words.measured == 0
    written = write_report(without, unlisted, tmp_path / "out")
    assert all("no word list" in path.read_text(encoding="utf-8") for path in written.files if path.suffix in (".html", ".md"))


def test_mentions_before_and_after(report: CorpusReport) -> None:
    mentions = report.mentions
    assert mentions is not None and mentions.after is not None
    assert (mentions.before.documents, mentions.after.documents) == (8, 3)
    assert mentions.before.mentions == {
        (FOREIGN, "places", "New York"): 1, (TARGET, "places", "Milano"): 2, (TARGET, "places", "Reggio nell'Emilia"): 1, (TARGET, "places", "Roma"): 1
    }  # fmt: skip
    assert mentions.before.documents_with == {FOREIGN: 1, TARGET: 3} and (mentions.before.ratio(), mentions.after.ratio()) == (4, 2)
    assert mentions.after.words == 4 + 3 + 2 and mentions.after.per_10_000_words(TARGET) == pytest.approx(20_000 / 9)
    assert mentions.before.ratio("institutions") is None


def test_names_are_whole_words_and_the_longest_wins() -> None:
    names = MentionSettings(target=MentionNames(places=("Roma", "Reggio Emilia", "Emilia")), foreign=MentionNames(places=("York", "New York"), institutions=("Banca d'Asia",)))
    find = MentionFinder(names).find
    assert [name for *_, name in find("A Roma: Romagna, roma, Roma2 e l’Emilia. Reggio\n Emilia; New York, York. La Banca d’Asia, Roma")] == [
        "Roma", "Emilia", "Reggio Emilia", "New York", "York", "Banca d'Asia", "Roma"
    ]  # fmt: skip
    for wrong, message in (({"target": {"places": ["Roma", "Roma"]}}, "named twice"), ({"foreign": {"places": ["New  York"]}}, "single spaces")):
        with pytest.raises(ValueError, match=message):
            MentionSettings(**wrong)


def test_figures_do_not_depend_on_ranges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(5)
    corpus = {}
    for name in (FIRST, SECOND):
        keys = sorted(f"{random.getrandbits(128):032x}" for _ in range(60))
        failed = [random.choice([(), ("short",), ("ends",), ("short", "ends")]) for _ in keys]
        corpus[name] = tuple(
            Page(key, f"d{random.randrange(5)}.it", 10 if "short" in rules else 90, 0.0 if "ends" in rules else 1.0, next(iter(rules), None), rules)
            for key, rules in zip(keys, failed, strict=True)
        )
    published, asked = versions(tmp_path / "store", corpus), settings(tmp_path, examples=4)
    whole = corpus_report(published, asked)
    monkeypatch.setattr(report_versions, "RANGE_ROWS", 7)
    assert corpus_report(published, asked) == whole
    assert Counter(page.rule for page in whole.dropped.pages) == {"short": 4, "ends": 4}
    assert {page.recorded for page in whole.dropped.pages} == {True} and whole.dropped.remark is None
    other = corpus_report(published, settings(tmp_path, examples=4, seed=8))
    assert other.dropped != whole.dropped and other.drops == whole.drops


def test_the_draw_begins_where_the_seed_says() -> None:
    draw = Draw(3)
    keys = sorted(f"{value:032x}" for value in (int(Random(1).random() * 16**32) for _ in range(1)) for value in range(0, 16**32, 16**30))
    frame = pl.DataFrame({"document_id": keys})
    wanted = frame.filter(draw.window(64, 256))
    assert wanted.height in (64, 65) and frame.filter(draw.window(256, 256)).height == 256
    in_order = frame.sort(draw.order())["document_id"].to_list()
    assert set(in_order[: wanted.height]) == set(wanted["document_id"]) and in_order[0] == min(key for key in keys if key >= draw.start)
    assert in_order == [*(key for key in keys if key >= draw.start), *(key for key in keys if key < draw.start)]


def test_rules_that_drop_none_first_show_pages_that_fail_them_too() -> None:
    draw = DroppedDraw(Draw(1), 1)
    rows = {"document_id": ["a", "b"], "snapshot": ["s", "s"], "reason": ["one", "one"], "kept": [False, False], "failed_rules": [["one", "two"], ["one"]]}
    draw.add(pl.DataFrame(rows))
    found = draw.result().rows()
    assert [reason for reason, *_ in found] == ["one", "two"] and found[1][1] == "a"


def test_dropped_pages_say_what_failed_and_by_how_much(report: CorpusReport) -> None:
    pages = {(page.rule, page.document_id): page for page in report.dropped.pages}
    page = pages["short", "02"]
    assert (page.value, page.threshold, page.also_failed, page.recorded) == ("10", "words at least 50", ("ends",), True)
    assert pages["duplicate", "05"].value == "one of 2" and pages["rights_noai", "12"].value == "True"
    assert report.dropped.remark is None
    assert [entry.rule for entry in report.dropped.by_turns(3)] == ["short", "duplicate", "ends"]


def test_rules_changed_since_are_said(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("name: other\ndocuments: [{id: short, signal: words, comparison: at_least, threshold: 5, source: t, why: t}]\n")
    asked = settings(tmp_path)
    changed = dataclasses.replace(asked, decisions=asked.decisions.model_copy(update={"rules": tmp_path / "other.yaml"}))
    found = corpus_report(versions(tmp_path / "store"), changed)
    assert any("give other results" in remark for remark in found.remarks) and found.drops is not None and found.drops.rules[0].first == 2


def test_what_is_not_published_is_said(tmp_path: Path) -> None:
    every, asked = versions(tmp_path / "store"), settings(tmp_path)
    rules_alone = corpus_report(dataclasses.replace(every, clean=None), asked)
    assert rules_alone.coverage.judged_by == "decisions" and rules_alone.waterfall.steps[-1].name == "documents that pass the rules"
    assert rules_alone.waterfall.steps[-1].pages == 4 and "clean_corpus is not published" in rules_alone.remarks[0]
    assert rules_alone.shifts is not None and rules_alone.shifts.everything is None and rules_alone.mentions is not None and rules_alone.mentions.after is None
    one = corpus_report(dataclasses.replace(every, signals={FIRST: every.signals[FIRST]}), asked)
    assert one.coverage.snapshots == (FIRST,) and one.remarks == (f"{SECOND}: its signals are not published",)
    assert one.waterfall.steps[0].pages == 16 and one.waterfall.kept is not None and one.waterfall.kept.pages == 2
    pages_alone = corpus_report(dataclasses.replace(every, signals={}, decisions={}, clean=None), asked)
    assert pages_alone.drops is None and pages_alone.waterfall.steps[-1].pages == 8
    for number, found in enumerate((rules_alone, one, pages_alone)):
        written = write_report(found, every, tmp_path / f"out{number}")
        page = (tmp_path / f"out{number}" / "report.html").read_text(encoding="utf-8")
        assert all(remark in page for remark in found.remarks) and ((tmp_path / f"out{number}" / "review.csv") in written.files) is (found.drops is not None)
    with pytest.raises(WebCorpusError, match=r"no snapshot of .* has published documents"):
        corpus_report(dataclasses.replace(every, documents={}), asked)


def test_versions_of_other_documents_are_left_out(tmp_path: Path) -> None:
    every, store = versions(tmp_path / "store"), Store(tmp_path / "other")
    longer = tuple(page._replace(words=page.words + 1) for page in PAGES[FIRST])
    anew = dataclasses.replace(every, documents={**every.documents, FIRST: documents(store, FIRST, longer)})
    found = corpus_report(anew, settings(tmp_path))
    assert found.coverage.snapshots == (SECOND,) and "its signals are of other documents" in found.remarks[0]
    fewer = dataclasses.replace(every, clean=clean(store, {FIRST: PAGES[FIRST][:4], "CC-MAIN-2020-05": PAGES[SECOND]}))
    remarks = corpus_report(fewer, settings(tmp_path)).remarks
    assert remarks[0].startswith("CC-MAIN-2020-05: clean_corpus holds it") and any("clean_corpus: 4" in remark for remark in remarks)
    assert any("not in the clean corpus" in remark for remark in remarks)
    renamed = [page._replace(key=f"f{page.key}") for page in PAGES[SECOND]]
    mixed = dataclasses.replace(every, clean=None, decisions={**every.decisions, SECOND: decisions(store, SECOND, renamed)})
    assert any("decisions speaks of other documents" in remark for remark in corpus_report(mixed, settings(tmp_path)).remarks)
    assert signals(store, SECOND, PAGES[SECOND]).rows == 2


def test_nothing_personal_is_shown_and_pages_stand_alone(tmp_path: Path) -> None:
    """All kinds are masked, though the profile replaces IBANs only."""
    published = versions(tmp_path / "store")
    found = corpus_report(published, settings(tmp_path))
    written = write_report(found, published, tmp_path / "out")
    shown = "\n".join(path.read_text(encoding="utf-8") for path in written.files if path.suffix != ".png")
    assert "mario.rossi" not in shown and "69812345" not in shown and "<EMAIL>" in shown and "&lt;EMAIL&gt;" in shown
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page and "http-equiv" not in page and not re.search(r"(?:src|href)=\"(?!data:|#|review\.csv)", page)
    images = re.findall(r"<img [^>]*>", page)
    assert images and all(re.search(r'alt="[^"]{20,}"', image) for image in images) and '<html lang="en">' in page
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert all((tmp_path / "out" / name).is_file() for name in re.findall(r"\]\((\w+\.png)\)", text)) and text.count(".png)") == len(images)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9))))
def test_sums_are_the_same_however_they_are_folded(rows: list[tuple[str, int]]) -> None:
    sums, folded = Sums(("key",), ("value",)), Counter[str]()
    for key, value in rows:
        sums.add(pl.DataFrame({"key": [key], "value": [value]}))
        folded[key] += value
    assert dict(sums.frame().iter_rows()) == dict(folded)
