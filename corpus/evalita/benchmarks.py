"""Test items of every benchmark that training text must not hold."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from corpus.evalita.errors import EvalitaError
from corpus.evalita.formats.json_lines import json_lines
from corpus.evalita.formats.tables import separated
from corpus.evalita.formats.text import text_of
from corpus.evalita.settings import BenchmarkFile
from corpus.evalita.task import Item, Task
from foundation.sources.data import DataFolder


def task_rows(task: Task, items: Iterable[Item]) -> Iterator[dict[str, Any]]:
    """One row a test item: its texts, one below the other."""
    for item in items:
        if item.split == "test":
            yield {"benchmark": task.name, "item_id": item.item_id, "text": "\n".join(task.texts(item.fields))}


def benchmark_path(entry: BenchmarkFile, data: DataFolder) -> Path:
    """The file of a benchmark.

    Raises:
        EvalitaError: it is not in the user's folder.
    """
    if data.root is None:
        raise EvalitaError(f"evalita.benchmarks names {entry.file}, and no data folder is set; set TRANSUMANZA_DATA or take it out")
    path = data.root / entry.file
    if not path.is_file():
        raise EvalitaError(f"evalita.benchmarks names {entry.file}, which is not in {data.root}; put it there or take it out")
    return path


def file_rows(entry: BenchmarkFile, path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a benchmark's file; an item's id is a hash of its text, since files differ in what they call one.

    Raises:
        EvalitaError: the file is not in its format, lacks a column, holds no row, or a column holds no text.
    """
    seen: set[str] = set()
    kind = path.name.removesuffix(".gz").rsplit(".", 1)[-1]
    for number, row in _READERS[kind](entry, path):
        text = "\n".join(part for column in entry.columns for part in _texts(row, column, f"{path}, {_NUMBERED.get(kind, 'row')} {number}"))
        item_id = f"{entry.name}/{hashlib.sha256(text.encode()).hexdigest()[:32]}"
        if text.strip() and item_id not in seen:
            seen.add(item_id)
            yield {"benchmark": entry.name, "item_id": item_id, "text": text}
    if not seen:
        raise EvalitaError(f"{path} holds no item; evalita.benchmarks names it, so give a file that holds some, or take it out")


def _texts(row: Mapping[str, Any], column: str, place: str) -> list[str]:
    """The texts of a column: one, or all of a list; dots lead into objects and through lists of them."""
    values: list[Any] = [row]
    for key in column.split("."):
        found: list[Any] = []
        for value in values:
            if not isinstance(value, Mapping) or key not in value:
                known = sorted(value) if isinstance(value, Mapping) else type(value).__name__
                raise EvalitaError(f"{place}: no column {column!r}; at {key!r} there is {known}")
            inner = value[key]
            found += inner if isinstance(inner, list) else [inner]
        values = found
    wrong = [value for value in values if not isinstance(value, str)]
    if wrong:
        raise EvalitaError(f"{place}: column {column!r} is {wrong[0]!r}, expected a text or a list of texts")
    return values


_NUMBERED = {"jsonl": "line"}
_Rows = Iterator[tuple[int, Mapping[str, Any]]]


def _json_lines(entry: BenchmarkFile, path: Path) -> _Rows:
    return json_lines(path, {})


def _table(entry: BenchmarkFile, path: Path) -> _Rows:
    return separated(path, entry.columns, "\t" if ".tsv" in path.name else ",")


def _document(entry: BenchmarkFile, path: Path) -> _Rows:
    """Rows of a JSON document, each with the columns of the objects it lies in."""
    try:
        rows: Any = json.loads(text_of(path))
    except ValueError as error:
        raise EvalitaError(f"{path}: not JSON ({error})") from error
    found: list[Mapping[str, Any]] = [rows] if isinstance(rows, dict) else [{"": rows}]
    keys = entry.rows.split(".") if entry.rows else ([""] if isinstance(rows, list) else [])
    if not keys:
        raise EvalitaError(f"{path} holds an object ({sorted(rows)}); say by `rows` which of its keys lead to the list of items")
    for key in keys:
        inside: list[Mapping[str, Any]] = []
        for outer in found:
            inner = outer.get(key)
            if not isinstance(inner, list) or not all(isinstance(row, dict) for row in inner):
                raise EvalitaError(f"{path}: rows {entry.rows!r}: {key!r} is no list of objects there; keys are {sorted(outer)}")
            around = {name: value for name, value in outer.items() if name != key}
            inside += [{**around, **row} for row in inner]
        found = inside
    return ((number, row) for number, row in enumerate(found, start=1))


def _parquet(entry: BenchmarkFile, path: Path) -> _Rows:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(path, columns=None).to_pylist()
    except (pa.ArrowInvalid, OSError) as error:
        raise EvalitaError(f"{path} cannot be read as Parquet ({error})") from error
    return ((number, row) for number, row in enumerate(rows, start=1))


_READERS: Mapping[str, Callable[[BenchmarkFile, Path], _Rows]] = {
    "jsonl": _json_lines,
    "json": _document,
    "tsv": _table,
    "csv": _table,
    "parquet": _parquet,
}
