"""XLSX: the first sheet of a workbook as a table with a header.

A workbook is a zip of XML files (ECMA-376, part 1, section 18). Only cell values are read: no formulas, styles or dates.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from posixpath import join, normpath
from xml.etree import ElementTree

from corpus.evalita.errors import EvalitaError
from corpus.evalita.formats.tables import Rows, check_header
from corpus.evalita.formats.xml import parsed

MAX_BYTES = 200_000_000
"""Unpacked, of one part of a workbook; IronITA's 3,977 tweets take some 3 MB."""
EXACT_NUMBERS = 1e15
"""Spreadsheets keep 15 digits: a tweet id that was saved as a number is another tweet's."""
_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_CELL = re.compile(r"([A-Z]{1,3})(\d+)")
_DECLARATION = re.compile(r"\A\ufeff?\s*<\?xml.*?\?>", re.DOTALL)


def sheet_rows(path: Path, columns: Sequence[str]) -> Rows:
    """Rows of the first sheet: values as text, an absent cell as an empty one; rows without values are skipped.

    Raises:
        EvalitaError: the file is no workbook, its header lacks a column, or a column holds a number too long for a
            spreadsheet, whose last digits are lost.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            shared = _shared_strings(archive, path)
            sheet = _part(archive, path, _first_sheet(archive, path))
    except (zipfile.BadZipFile, OSError) as error:
        raise EvalitaError(f"{path}: not an XLSX workbook ({error}); use the file as its organisers distribute it") from error
    header: dict[str, str] | None = None
    for number, element in enumerate(sheet.iter(f"{_MAIN}row"), start=1):
        place = int(element.get("r") or number)
        cells = dict(_cell(path, place, cell, shared) for cell in element.iter(f"{_MAIN}c"))
        if header is None:
            header = {letters: name.strip() for letters, name in cells.items() if name.strip()}
            check_header(path, list(header.values()), columns)
        elif any(value.strip() for value in cells.values()):
            yield place, {name: cells.get(letters, "") for letters, name in header.items()}
    if header is None:
        raise EvalitaError(f"{path}: its first sheet is empty; expected columns {list(columns)}")


def _part(archive: zipfile.ZipFile, path: Path, name: str) -> ElementTree.Element:
    try:
        info = archive.getinfo(name)
    except KeyError as error:
        raise EvalitaError(f"{path}: not an XLSX workbook (no part {name})") from error
    if info.file_size > MAX_BYTES:
        raise EvalitaError(f"{path}: part {name} unpacks to {info.file_size} bytes, more than {MAX_BYTES}; use the file as its organisers distribute it")
    try:
        content = archive.read(info).decode("utf-8")
    except UnicodeDecodeError as error:
        raise EvalitaError(f"{path}: part {name} is not UTF-8") from error
    return parsed(_DECLARATION.sub("", content, count=1), f"{path}, part {name}")


def _shared_strings(archive: zipfile.ZipFile, path: Path) -> list[str]:
    if "xl/sharedStrings.xml" not in archive.namelist():
        return []
    return [_text(entry) for entry in _part(archive, path, "xl/sharedStrings.xml").iter(f"{_MAIN}si")]


def _text(element: ElementTree.Element) -> str:
    """The text of a string and of its formatted runs, without phonetic hints."""
    runs = [element, *element.iter(f"{_MAIN}r")]
    return "".join(found.text or "" for run in runs for found in run.findall(f"{_MAIN}t"))


def _first_sheet(archive: zipfile.ZipFile, path: Path) -> str:
    first = next(_part(archive, path, "xl/workbook.xml").iter(f"{_MAIN}sheet"), None)
    if first is None:
        raise EvalitaError(f"{path}: the workbook has no sheet")
    for relation in _part(archive, path, "xl/_rels/workbook.xml.rels"):
        if relation.get("Id") == first.get(_RELATION):
            target = relation.get("Target") or ""
            return target.removeprefix("/") if target.startswith("/") else normpath(join("xl", target))
    raise EvalitaError(f"{path}: the workbook does not say where its sheet {first.get('name')!r} is")


def _cell(path: Path, row: int, cell: ElementTree.Element, shared: Sequence[str]) -> tuple[str, str]:
    place = _CELL.fullmatch(cell.get("r") or "")
    if place is None:
        raise EvalitaError(f"{path}, row {row}: a cell without its place")
    kind, value = cell.get("t") or "n", cell.findtext(f"{_MAIN}v") or ""
    if kind == "s":
        if not value.isdigit() or int(value) >= len(shared):
            raise EvalitaError(f"{path}, cell {place[0]}: no shared string {value!r}")
        return place[1], shared[int(value)]
    if kind == "inlineStr":
        inline = cell.find(f"{_MAIN}is")
        return place[1], "" if inline is None else _text(inline)
    if kind == "e":
        raise EvalitaError(f"{path}, cell {place[0]}: holds the error {value}")
    if kind == "n" and value and abs(float(value)) >= EXACT_NUMBERS:
        raise EvalitaError(f"{path}, cell {place[0]}: {value} is a number of which a spreadsheet keeps 15 digits; ids must be texts")
    return place[1], value
