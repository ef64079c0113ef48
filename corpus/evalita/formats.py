"""The file formats that task sets are distributed in, read strictly: an error names the file, the line and the column."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from corpus.evalita.task import EvalitaError


def text_of(path: Path) -> str:
    """A UTF-8 file, unpacked where its name ends in .gz, its line ends as they are.

    Raises:
        EvalitaError: it cannot be read or is not UTF-8.
    """
    try:
        content = path.read_bytes()
        return (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8")
    except UnicodeDecodeError as error:
        raise EvalitaError(f"{path}: not UTF-8 (byte {error.start}); use the file as its organisers distribute it") from error
    except (OSError, EOFError, zlib.error) as error:
        raise EvalitaError(f"{path} cannot be read ({getattr(error, 'strerror', None) or error})") from error


def json_lines(path: Path, columns: Mapping[str, type]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Line number and object of each line; blank lines are skipped.

    Raises:
        EvalitaError: a line is no JSON object, or a column is missing or of another type.
    """
    for number, line in enumerate(text_of(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise EvalitaError(f"{path}, line {number}: not JSON ({error})") from error
        if not isinstance(row, dict):
            raise EvalitaError(f"{path}, line {number}: expected a JSON object, found {type(row).__name__}")
        for name, kind in columns.items():
            if name not in row:
                raise EvalitaError(f"{path}, line {number}: no column {name!r}; expected {list(columns)}, found {list(row)}")
            if not isinstance(row[name], kind) or (kind is int and isinstance(row[name], bool)):
                raise EvalitaError(f"{path}, line {number}: column {name!r} is {row[name]!r}, expected {kind.__name__}")
        yield number, row


def separated(path: Path, columns: Sequence[str], delimiter: str) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Row number (1 is the header) and values of a csv file with a header and default quoting.

    Raises:
        EvalitaError: the header lacks a column, or a row has another number of columns.
    """
    reader = csv.reader(io.StringIO(text_of(path), newline=""), delimiter=delimiter, strict=True)
    try:
        header = next(reader, [])
        missing = [name for name in columns if name not in header]
        if missing:
            raise EvalitaError(f"{path}, row 1: no column {missing[0]!r}; expected {list(columns)}, found {header}")
        for number, values in enumerate(reader, start=2):
            if len(values) != len(header):
                raise EvalitaError(f"{path}, row {number}: {len(values)} columns, expected {len(header)} ({header})")
            yield number, dict(zip(header, values, strict=True))
    except csv.Error as error:
        raise EvalitaError(f"{path}, near line {reader.line_num}: {error}") from error


def token_sentences(path: Path) -> Iterator[tuple[int, list[tuple[str, str]]]]:
    """First line number, and tokens with labels, of each sentence; the last one needs no blank line after it.

    Raises:
        EvalitaError: a line has another number of columns, or a column is empty.
    """
    sentence: list[tuple[str, str]] = []
    first = 1
    for number, line in enumerate(text_of(path).removesuffix("\n").split("\n"), start=1):
        content = line.removesuffix("\r")
        if not content:
            if sentence:
                yield first, sentence
            sentence, first = [], number + 1
            continue
        values = content.split("\t")
        if len(values) != 2 or not all(values):
            raise EvalitaError(f"{path}, line {number}: expected token and label with a tab between them, found {content!r}")
        sentence.append((values[0], values[1]))
    if sentence:
        yield first, sentence


def binary(path: Path, number: int, column: str, value: str) -> int:
    """A column that holds 0 or 1.

    Raises:
        EvalitaError: it holds anything else.
    """
    if value not in ("0", "1"):
        raise EvalitaError(f"{path}, row {number}: column {column!r} is {value!r}, expected 0 or 1")
    return int(value)
