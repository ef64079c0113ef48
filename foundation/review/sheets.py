"""Sheets as CSV that a person fills in with a spreadsheet, and reading them back.

What is written can be opened by any spreadsheet without harm: no cell begins with what starts a formula, whichever separator the program
takes (OWASP, CSV injection). What is read back may have been through one: other separators, encodings and capitals, rows sorted anew.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from foundation.errors import TransumanzaError

_SEPARATORS = ",;\t"
_STARTS = "=+\\-@＝＋－＠"
"""What a spreadsheet takes for the start of a formula; the wide forms too, which some turn into plain ones."""
_FORMULA = re.compile(rf"(^|[{_SEPARATORS}\"])(\s*)(?='*[{_STARTS}])")
_GUARDED = re.compile(rf"^\s*'+(?=[{_STARTS}])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_NUMBER = re.compile(r"\d+(?:[eE]\d+)?")
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


class SheetError(TransumanzaError):
    """A filled sheet cannot be read back."""


def sheet_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A sheet. It begins with a byte order mark, without which Excel takes UTF-8 for another encoding."""
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(columns)
    writer.writerows([guarded(cell) for cell in row] for row in rows)
    return f"\ufeff{stream.getvalue()}"


def read_rows(path: Path, needed: Sequence[str]) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Rows that hold anything, by column in small letters, with their numbers in the sheet (the header being 1).

    Raises:
        SheetError: it cannot be read, is no CSV, or lacks a column that is needed.
    """
    text = _decoded(path)
    header, separator = _header(path, text, needed)
    try:
        for number, cells in enumerate(csv.reader(io.StringIO(text, newline=""), delimiter=separator), 1):
            if number > 1 and any(cell.strip() for cell in cells):
                padded = [*cells, *[""] * (len(header) - len(cells))]  # some programs leave out empty cells at the end
                yield number, dict(zip(header, padded, strict=False))
    except csv.Error as error:
        raise SheetError(f"{path} is no CSV ({error}); save the sheet as CSV") from error


def _header(path: Path, text: str, needed: Sequence[str]) -> tuple[Sequence[str], str]:
    first = text.split("\n", 1)[0].rstrip("\r")
    separator = max(_SEPARATORS, key=first.count)
    header = [cell.strip().lower() for cell in next(csv.reader([first], delimiter=separator), [])]
    lacking = [name for name in needed if name not in header]
    if lacking:
        raise SheetError(f"{path}: its first row names no column {', '.join(lacking)}; keep the header of the sheet, and save it as CSV")
    return header, separator


def _decoded(path: Path) -> str:
    """The text of a file that a spreadsheet wrote: UTF-8, UTF-16 ("Unicode text"), else Windows' Western code page."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SheetError(f"review sheet {path} cannot be read: {error.strerror}") from error
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    if content.startswith(b"PK\x03\x04"):
        raise SheetError(f"{path} is a workbook, no CSV; save the sheet as CSV (UTF-8)")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")  # only notes and texts hold more than ASCII, and texts are not read back
