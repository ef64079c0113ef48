"""The review sheet: harmless to open, read back from what spreadsheets make of it, refused where it would mislead; precision with intervals."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.web.errors import WebCorpusError
from corpus.web.report import CorpusVersions, corpus_report
from corpus.web.report.dropped import DroppedPage
from corpus.web.report.precision import lines, review
from corpus.web.report.review_sheet import COLUMNS, VERDICTS, read_sheet, sheet_of
from corpus.web.report.writing import write_report
from foundation.review.intervals import Interval, weighted, wilson
from foundation.review.sheets import SheetError, guarded, unguarded
from tests.corpus.web.judged_corpus import FIRST, PAGES, SECOND, settings, versions

VERSION = "clean_corpus@0123456789abcdef"


def page(rule: str = "short", key: str = "02", text: str = "un testo", url: str = "https://alfa.it/") -> DroppedPage:
    return DroppedPage(rule, True, key, FIRST, url, "10", "words at least 50", ("ends",), 60, text)


def filled(text: str, verdicts: dict[str, str], notes: dict[str, str] | None = None) -> list[dict[str, str]]:
    """The rows of a sheet with verdicts by document id."""
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))
    return [{**row, "verdict": verdicts.get(row["document_id"], ""), "note": (notes or {}).get(row["document_id"], "")} for row in rows]


def saved(path: Path, rows: list[dict[str, str]], *, delimiter: str = ",", encoding: str = "utf-8") -> Path:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]) if rows else list(COLUMNS), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes(stream.getvalue().encode(encoding))
    return path


NOTE = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]))


@given(st.lists(st.tuples(st.text(), NOTE, st.sampled_from(["right", "WRONG", " Unsure "])), min_size=1, max_size=6), st.sampled_from(",;\t"))
def test_verdicts_come_back_whatever_the_texts(entries: list[tuple[str, str, str]], delimiter: str) -> None:
    texts = [text.encode(errors="replace").decode() for text, _, _ in entries]  # lone surrogates are in no document
    pages = [page(rule=f"=rule{number % 2}", key=f"{number:032d}", text=text, url=text) for number, text in enumerate(texts)]
    rows = filled(sheet_of(pages, VERSION), {})
    for row, (_, note, verdict) in zip(rows, entries, strict=True):
        row |= {"verdict": verdict, "note": note}
    with tempfile.TemporaryDirectory() as folder:
        sheet = read_sheet(saved(Path(folder) / "review.csv", rows, delimiter=delimiter))
    assert sheet.version == VERSION and sheet.unjudged == 0
    assert [dataclasses.astuple(found) for found in sheet.pages] == [
        (number, entry.rule, entry.document_id, verdict.strip().lower(), note.strip())
        for number, (entry, (_, note, verdict)) in enumerate(zip(pages, entries, strict=True), 2)
    ]


@given(st.text(st.sampled_from("=+-@＝a1;,\t\n\"' ")))
def test_no_cell_begins_a_formula_whatever_the_separator(text: str) -> None:
    row = sheet_of([page(text=text, url=text)], VERSION).removeprefix("\ufeff").split("\n")[1]
    cells = [cell for cells in csv.reader([row]) for cell in cells]
    naive = [piece for separator in ",;\t" for piece in row.split(separator)]
    for cell in (*cells, *naive):
        assert not re.match(r"[\s\"]*[=+\-@＝＋－＠]", cell), cell


@given(st.text(st.sampled_from("=+-@'x1"), max_size=6))
def test_guards_come_off_again(text: str) -> None:
    assert unguarded(guarded(text)) == text


def test_ids_of_digits_stay_text() -> None:
    assert guarded("1" * 32) == "'" + "1" * 32 and guarded("12e45678901234567890123456789012") == "'12e45678901234567890123456789012"
    assert guarded("0.5") == "0.5" and unguarded("'" + "1" * 32) == "1" * 32


@pytest.mark.parametrize(("delimiter", "encoding"), [(";", "utf-8-sig"), (";", "cp1252"), ("\t", "utf-16"), (",", "utf-8")])
def test_what_spreadsheets_save_is_read(tmp_path: Path, delimiter: str, encoding: str) -> None:
    text = sheet_of([page(), page(key="03", rule="ends")], VERSION)
    rows = filled(text.replace(" ⏎ ", " "), {"02": "Right", "03": " UNSURE"}, {"02": "perché è un menù"})
    moved = [{name.upper(): row[name] for name in reversed(COLUMNS)} for row in reversed(rows)]  # columns and rows sorted anew
    sheet = read_sheet(saved(tmp_path / "review.csv", moved, delimiter=delimiter, encoding=encoding))
    assert [(found.row, found.verdict, found.note) for found in sheet.pages] == [(2, "unsure", ""), (3, "right", "perché è un menù")]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"verdict": "maybe"}, r"row 2 \(rule short, document 02\): verdict 'maybe' is none of right, wrong, unsure"),
        ({"document_id": ""}, r"row 2: rule, document_id or corpus_version is empty"),
        ({"document_id": "03", "rule": "ends"}, r"row 3 \(rule ends, document 03\): judged in row 2 already"),
        ({"corpus_version": "clean_corpus@fedcba9876543210"}, r"several corpus versions \(clean_corpus@fedcba9876543210 from row 2, .*from row 3\)"),
    ],
)
def test_rows_that_cannot_be_read_are_named(tmp_path: Path, change: dict[str, str], message: str) -> None:
    rows = filled(sheet_of([page(), page(key="03", rule="ends")], VERSION), {"02": "right", "03": "wrong"})
    with pytest.raises(WebCorpusError, match=message):
        read_sheet(saved(tmp_path / "review.csv", [{**rows[0], **change}, rows[1]]))


def test_files_that_are_no_sheet_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "review.csv"
    with pytest.raises(SheetError, match="cannot be read"):
        read_sheet(path)
    path.write_text("rule,document_id,note\n")
    with pytest.raises(SheetError, match="names no column verdict, corpus_version"):
        read_sheet(path)
    path.write_bytes(b"PK\x03\x04rest")
    with pytest.raises(SheetError, match="is a workbook"):
        read_sheet(path)


def test_wilson_interval_is_that_of_the_literature() -> None:
    """Newcombe 1998 (Two-sided confidence intervals for the single proportion, Statistics in Medicine 17), table I, method 3."""
    for right, judged, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)):
        found = wilson(right, judged)
        assert found is not None and (round(found.low, 4), round(found.high, 4)) == (low, high)
    assert wilson(0, 0) is None


@given(st.integers(1, 200).flatmap(lambda judged: st.tuples(st.integers(0, judged), st.just(judged))))
def test_an_interval_holds_its_share(counts: tuple[int, int]) -> None:
    right, judged = counts
    found, mirrored = wilson(right, judged), wilson(judged - right, judged)
    assert found is not None and mirrored is not None
    assert 0 <= found.low <= found.share <= found.high <= 1 and found.high - found.low > 0
    assert found.low == pytest.approx(1 - mirrored.high)


def test_weighted_mean_and_its_interval() -> None:
    assert weighted([]) is None
    one = Interval(0.8, 0.5, 0.9)
    same = weighted([(7, one)])
    assert same is not None and dataclasses.astuple(same) == pytest.approx((0.8, 0.5, 0.9))
    found = weighted([(3, Interval(1.0, 0.8, 1.0)), (1, Interval(0.5, 0.3, 0.7))])
    assert found is not None
    assert found.share == pytest.approx(0.875) and found.high == pytest.approx(0.875 + 0.05)
    assert found.low == pytest.approx(0.875 - ((0.75 * 0.2) ** 2 + (0.25 * 0.2) ** 2) ** 0.5)


@pytest.fixture
def published(tmp_path: Path) -> CorpusVersions:
    return versions(tmp_path / "store")


def test_a_filled_sheet_gives_precision(published: CorpusVersions, tmp_path: Path) -> None:
    """short drops 02 and 03 first, ends 04, rights_noai 12."""
    report = corpus_report(published, settings(tmp_path))
    written = write_report(report, published, tmp_path / "out")
    path = tmp_path / "out" / "review.csv"
    rows = filled(path.read_text(encoding="utf-8"), {"02": "right", "03": "wrong", "04": "right", "12": "unsure"})
    assert written.review is None and {(row["rule"], row["document_id"]) for row in rows} == {("short", "02"), ("short", "03"), ("ends", "04"), ("rights_noai", "12")}
    saved(path, rows)
    found = review(read_sheet(path), published)
    by_rule = {entry.rule: entry for entry in found.rules}
    assert by_rule["short"].precision == wilson(1, 2) and by_rule["short"].drops == 2 and by_rule["rights_noai"].precision is None
    assert found.overall is not None and found.overall.share == pytest.approx((2 * 0.5 + 1 * 1.0) / 3) and found.covered_share == 3 / 4
    said = "\n".join(lines(found))
    assert "short: 50% right, 95 % interval 9% to 91% (1 right, 1 wrong, 0 unsure; drops 2 first)" in said and "rights_noai: no clear verdict" in said
    again = write_report(report, published, tmp_path / "out")
    assert again.review == found and again.sheet_kept is not None and filled(path.read_text(), {"02": "right"})[0]["verdict"] in VERDICTS
    assert "9% to 91%" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_a_sheet_of_another_version_is_refused_and_kept(published: CorpusVersions, tmp_path: Path) -> None:
    write_report(corpus_report(published, settings(tmp_path)), published, tmp_path / "out")
    path = tmp_path / "out" / "review.csv"
    saved(path, filled(path.read_text(encoding="utf-8"), {"04": "right"}))
    before = path.read_bytes()
    other = versions(tmp_path / "other", {FIRST: PAGES[FIRST][:5], SECOND: PAGES[SECOND]})
    with pytest.raises(WebCorpusError, match=r"was drawn from clean_corpus@\w+, and clean_corpus@\w+ is published now"):
        review(read_sheet(path), other)
    kept = write_report(corpus_report(other, settings(tmp_path)), other, tmp_path / "out")
    assert path.read_bytes() == before and kept.review is None and "Move it away" in str(kept.sheet_kept)


def test_rows_put_in_by_hand_are_refused(published: CorpusVersions, tmp_path: Path) -> None:
    write_report(corpus_report(published, settings(tmp_path)), published, tmp_path / "out")
    path = tmp_path / "out" / "review.csv"
    rows = filled(path.read_text(encoding="utf-8"), {"04": "right"})
    with pytest.raises(WebCorpusError, match="row 6: document 01 does not fail rule short"):
        review(read_sheet(saved(path, [*rows, {**rows[0], "document_id": "01", "verdict": "right"}])), published)
