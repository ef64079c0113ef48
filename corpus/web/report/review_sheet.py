"""The review sheet: dropped pages as CSV that a person fills in with a spreadsheet, and the verdicts read back from it.

What is written can be opened by any spreadsheet without harm: no cell begins with what starts a formula, whichever separator the program
takes (OWASP, CSV injection). What is read back may have been through one: other separators, encodings and capitals, rows sorted anew.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from corpus.web.errors import WebCorpusError
from corpus.web.report.dropped import DroppedPage

Verdict = Literal["right", "wrong", "unsure"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
"""``right``: dropping the page was right; ``wrong``: it should have been kept; ``unsure`` counts as neither."""
COLUMNS = ("rule", "document_id", "snapshot", "url", "value", "threshold", "also_failed", "text", "verdict", "note", "corpus_version")
_NEEDED = ("rule", "document_id", "verdict", "corpus_version")
_SEPARATORS = ",;\t"
_STARTS = "=+\\-@＝＋－＠"
"""What a spreadsheet takes for the start of a formula; the wide forms too, which some turn into plain ones."""
_FORMULA = re.compile(rf"(^|[{_SEPARATORS}\"])(\s*)(?='*[{_STARTS}])")
_GUARDED = re.compile(rf"^\s*'+(?=[{_STARTS}])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_NUMBER = re.compile(r"\d+(?:[eE]\d+)?")
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


def sheet_text(pages: Iterable[DroppedPage], version: str) -> str:
    """The sheet, verdicts and notes empty. It begins with a byte order mark, without which Excel takes UTF-8 for another encoding."""
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(COLUMNS)
    for page in pages:
        row = {"verdict": "", "note": "", "corpus_version": version, "also_failed": " ".join(page.also_failed)}
        writer.writerow(guarded(row.get(name) if name in row else getattr(page, name)) for name in COLUMNS)
    return f"\ufeff{stream.getvalue()}"


_LONGEST_NUMBER = 15
"""Digits that spreadsheets keep of a number."""


def guarded(cell: object) -> str:
    """A cell that no spreadsheet takes for a formula or, being a document id of digits alone, for a number: an apostrophe goes before it."""
    text = " ".join(_CONTROL.sub(" ", str(cell)).split())
    text = _FORMULA.sub(r"\1\2'", text)
    return f"'{text}" if _is_number(text) else text


def unguarded(cell: str) -> str:
    """A cell as it was before ``guarded``, but for guards inside it."""
    text = cell.strip()
    return text.replace("'", "", 1) if _GUARDED.match(text) or (text.startswith("'") and _is_number(text[1:])) else text


def _is_number(text: str) -> bool:
    return len(text) > _LONGEST_NUMBER and _NUMBER.fullmatch(text) is not None


def read_sheet(path: Path) -> FilledSheet:
    """The verdicts of a filled sheet.

    Raises:
        WebCorpusError: it cannot be read, columns are missing, a verdict is none of ``VERDICTS``, a page stands there twice with verdicts,
            or rows are of several corpus versions; names the rows.
    """
    pages: list[JudgedPage] = []
    versions: dict[str, int] = {}
    seen: dict[tuple[str, str], int] = {}
    faults: list[str] = []
    unjudged = noted = 0
    for number, cells in _rows(path):
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


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Rows that hold anything, by column, with their numbers."""
    text = _decoded(path)
    header, separator = _header(path, text)
    try:
        for number, cells in enumerate(csv.reader(io.StringIO(text, newline=""), delimiter=separator), 1):
            if number > 1 and any(cell.strip() for cell in cells):
                padded = [*cells, *[""] * (len(header) - len(cells))]  # some programs leave out empty cells at the end
                yield number, dict(zip(header, padded, strict=False))
    except csv.Error as error:
        raise WebCorpusError(f"{path} is no CSV ({error}); save the sheet as CSV") from error


def _header(path: Path, text: str) -> tuple[Sequence[str], str]:
    first = text.split("\n", 1)[0].rstrip("\r")
    separator = max(_SEPARATORS, key=first.count)
    header = [cell.strip().lower() for cell in next(csv.reader([first], delimiter=separator), [])]
    lacking = [name for name in _NEEDED if name not in header]
    if lacking:
        raise WebCorpusError(f"{path}: its first row names no column {', '.join(lacking)}; keep the header of the sheet, and save it as CSV")
    return header, separator


def _decoded(path: Path) -> str:
    """The text of a file that a spreadsheet wrote: UTF-8, UTF-16 ("Unicode text"), else Windows' Western code page."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WebCorpusError(f"review sheet {path} cannot be read: {error.strerror}") from error
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    if content.startswith(b"PK\x03\x04"):
        raise WebCorpusError(f"{path} is a workbook, no CSV; save the sheet as CSV (UTF-8)")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")  # only notes and texts hold more than ASCII, and texts are not read back
