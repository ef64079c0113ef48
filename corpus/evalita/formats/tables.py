"""Tables with a header: csv and TSV, quoted and not; and the values of their cells."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from corpus.evalita.errors import EvalitaError
from corpus.evalita.formats.text import numbered_lines, text_of

Rows = Iterator[tuple[int, Mapping[str, str]]]
"""Row number (1 is the header) and values by column. A row that runs over several lines is one row."""


def separated(path: Path, columns: Sequence[str], delimiter: str) -> Rows:
    """Rows of a file with a header and the quoting that ``csv`` has by default: a quoted field may hold line ends.

    Raises:
        EvalitaError: the header lacks a column, a row has another number of columns, or a quote is left open.
    """
    reader = csv.reader(io.StringIO(text_of(path), newline=""), delimiter=delimiter, strict=True)
    try:
        header = next(reader)
        check_header(path, header, columns)
        for number, values in enumerate(reader, start=2):
            if values:  # a blank line, as at the end of some files
                yield number, _row(path, number, header, values)
    except csv.Error as error:
        raise EvalitaError(f"{path}, near line {reader.line_num}: {error}; use the file as its organisers distribute it") from error


def unquoted(path: Path, columns: Sequence[str]) -> Rows:
    """Rows of a TSV file in which quotes are text like any other (``csv.QUOTE_NONE``).

    Raises:
        EvalitaError: the header lacks a column, or a row has another number of columns.
    """
    lines = numbered_lines(path)
    header = next(lines)[1].split("\t")
    check_header(path, header, columns)
    for number, line in lines:
        if line:
            yield number, _row(path, number, header, line.split("\t"))


def check_header(path: Path, header: Sequence[str], columns: Sequence[str]) -> None:
    """Whether a header has all columns that are read; others may stand beside them.

    Raises:
        EvalitaError: one is missing, or there twice.
    """
    missing = [name for name in columns if name not in header]
    if missing:
        raise EvalitaError(f"{path}, row 1: no column {missing[0]!r}; expected {list(columns)}, found {list(header)}")
    twice = [name for name in columns if list(header).count(name) > 1]
    if twice:
        raise EvalitaError(f"{path}, row 1: column {twice[0]!r} is there more than once; found {list(header)}")


def _row(path: Path, number: int, header: Sequence[str], values: Sequence[str]) -> Mapping[str, str]:
    if len(values) != len(header):
        raise EvalitaError(f"{path}, row {number}: {len(values)} columns, expected {len(header)} ({list(header)})")
    return dict(zip(header, values, strict=True))


def one_of(path: Path, number: int, column: str, value: str, expected: Collection[str]) -> str:
    """A cell that holds one of a few values.

    Raises:
        EvalitaError: it holds anything else.
    """
    if value not in expected:
        raise EvalitaError(f"{path}, row {number}: column {column!r} is {value!r}, expected one of {list(expected)}")
    return value


def binary(path: Path, number: int, column: str, value: str) -> int:
    """A cell that holds 0 or 1; spreadsheets write them 0.0 and 1.0.

    Raises:
        EvalitaError: it holds anything else.
    """
    whole = value.removesuffix(".0")
    if whole not in ("0", "1"):
        raise EvalitaError(f"{path}, row {number}: column {column!r} is {value!r}, expected 0 or 1")
    return int(whole)


def number_in(path: Path, number: int, column: str, value: str, low: float, high: float) -> float:
    """A cell that holds a number of a range, its ends included.

    Raises:
        EvalitaError: it holds none, or one outside.
    """
    try:
        found = float(value)
    except ValueError:
        found = math.nan
    if not low <= found <= high:
        raise EvalitaError(f"{path}, row {number}: column {column!r} is {value!r}, expected a number from {low:g} to {high:g}")
    return found


def filled(path: Path, number: int, column: str, value: str) -> str:
    """A cell that holds some text.

    Raises:
        EvalitaError: it is blank.
    """
    if not value.strip():
        raise EvalitaError(f"{path}, row {number}: column {column!r} is blank")
    return value
