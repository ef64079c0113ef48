"""Test items of every benchmark that training text must not hold."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from corpus.evalita.formats import json_lines, separated
from corpus.evalita.settings import BenchmarkFile
from corpus.evalita.task import EvalitaError, Item, Task
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
        EvalitaError: the file is not in its format, or lacks a column.
    """
    rows: Iterator[tuple[int, Mapping[str, Any]]]
    if path.suffix == ".jsonl":
        rows = json_lines(path, dict.fromkeys(entry.columns, str))
    else:
        rows = separated(path, entry.columns, "\t" if path.suffix == ".tsv" else ",")
    seen: set[str] = set()
    for _, row in rows:
        text = "\n".join(row[column] for column in entry.columns)
        item_id = f"{entry.name}/{hashlib.sha256(text.encode()).hexdigest()[:32]}"
        if item_id not in seen:
            seen.add(item_id)
            yield {"benchmark": entry.name, "item_id": item_id, "text": text}
