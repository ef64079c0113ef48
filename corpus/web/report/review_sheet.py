"""The review sheet: dropped pages as CSV that a person fills in with a spreadsheet, and the verdicts read back from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from corpus.web.errors import WebCorpusError
from corpus.web.report.dropped import DroppedPage
from foundation.review.sheets import read_rows, sheet_text, unguarded

Verdict = Literal["right", "wrong", "unsure"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
"""``right``: dropping the page was right; ``wrong``: it should have been kept; ``unsure`` counts as neither."""
COLUMNS = ("rule", "document_id", "snapshot", "url", "value", "threshold", "also_failed", "text", "verdict", "note", "corpus_version")
_NEEDED = ("rule", "document_id", "verdict", "corpus_version")
_FAULTS_NAMED = 5


@dataclass(frozen=True, slots=True)
class JudgedPage:
    """A row with a verdict; ``row`` is its number in the sheet, the header being 1."""

    row: int
    rule: str
    document_id: str
    verdict: Verdict
    note: str


@dataclass(frozen=True)
class FilledSheet:
    """What was read back: rows with a verdict, how many rows have none (``noted``: and a note), and the version that the pages are from."""

    path: Path
    version: str
    pages: tuple[JudgedPage, ...]
    unjudged: int
    noted: int


def sheet_of(pages: Iterable[DroppedPage], version: str) -> str:
    """The sheet, verdicts and notes empty."""
    given = {"verdict": "", "note": "", "corpus_version": version}
    return sheet_text(
        COLUMNS,
        (
            [given[name] if name in given else " ".join(page.also_failed) if name == "also_failed" else getattr(page, name) for name in COLUMNS]
            for page in pages
        ),
    )


def read_sheet(path: Path) -> FilledSheet:
    """The verdicts of a filled sheet.

    Raises:
        SheetError: it cannot be read, or columns are missing.
        WebCorpusError: a verdict is none of ``VERDICTS``, a page stands there twice with verdicts,
            or rows are of several corpus versions; names the rows.
    """
    pages: list[JudgedPage] = []
    versions: dict[str, int] = {}
    seen: dict[tuple[str, str], int] = {}
    faults: list[str] = []
    unjudged = noted = 0
    for number, cells in read_rows(path, _NEEDED):
        rule, key, version = (unguarded(cells[name]) for name in ("rule", "document_id", "corpus_version"))
        verdict = cells["verdict"].strip().lower()
        if not version or not rule or not key:
            faults.append(f"row {number}: rule, document_id or corpus_version is empty; restore the row, or delete it")
            continue
        versions.setdefault(version, number)
        if not verdict:
            unjudged += 1
            noted += bool(cells.get("note", "").strip())
        elif verdict not in VERDICTS:
            faults.append(f"row {number} (rule {rule}, document {key}): verdict {cells['verdict'].strip()!r} is none of {', '.join(VERDICTS)}")
        elif (rule, key) in seen:
            faults.append(f"row {number} (rule {rule}, document {key}): judged in row {seen[rule, key]} already; delete one of them")
        else:
            seen[rule, key] = number
            pages.append(JudgedPage(number, rule, key, verdict, cells.get("note", "").strip()))  # type: ignore[arg-type]
    if len(versions) > 1:
        named = ", ".join(f"{version} from row {number}" for version, number in versions.items())
        faults.append(f"rows are of several corpus versions ({named}); keep the rows of one")
    if faults:
        more = f"; and {len(faults) - _FAULTS_NAMED} more" if len(faults) > _FAULTS_NAMED else ""
        raise WebCorpusError(f"{path}: {'; '.join(faults[:_FAULTS_NAMED])}{more}")
    if not versions:
        raise WebCorpusError(f"{path} holds no rows; `transumanza corpus report` writes a sheet")
    return FilledSheet(path, next(iter(versions)), tuple(pages), unjudged, noted)
