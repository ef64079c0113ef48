"""Answers of any generator as a file: Parquet, JSON lines, CSV or TSV with the columns task, id and answer.

``model`` and ``gold`` may stand beside them. ``id`` is that of ``evalita_instructions``; an empty answer is an answer
without a value, a row that is not there is an item without an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from corpus.evalita.errors import EvalitaError
from corpus.evalita.formats.json_lines import json_lines
from corpus.evalita.formats.tables import separated

COLUMNS = ("task", "id", "answer")
OPTIONAL = ("model", "gold")
_Rows = Iterator[tuple[int, Mapping[str, Any]]]


def read_answers(path: Path, model: str = "") -> list[dict[str, Any]]:
    """Rows with model, task, id, answer and gold (none where the file has none), in the file's order.

    Args:
        path: the file; its ending says which kind it is.
        model: what rows without a model of their own are filed under; default: the file's name.

    Raises:
        EvalitaError: the file cannot be read as what its ending says, lacks a column, holds no row, or a cell has another type.
    """
    kind = path.name.rsplit(".", 1)[-1].lower()
    if kind not in _READERS:
        raise EvalitaError(f"{path}: answers are read from files that end in {', '.join(f'.{name}' for name in _READERS)}; convert it to one of them")
    if not path.is_file():
        raise EvalitaError(f"{path}: there is no such file; name a table with the columns {', '.join(COLUMNS)}")
    rows = [_row(path, number, row, model or path.stem) for number, row in _READERS[kind](path)]
    if not rows:
        raise EvalitaError(f"{path} holds no answer; it needs one row for each item that was answered")
    return rows


def _row(path: Path, number: int, row: Mapping[str, Any], model: str) -> dict[str, Any]:
    missing = [name for name in COLUMNS if name not in row]
    if missing:
        raise EvalitaError(f"{path}, row {number}: no column {missing[0]!r}; expected {list(COLUMNS)}, found {list(row)}")
    for name in (*COLUMNS, *OPTIONAL):
        value = row.get(name)
        if not isinstance(value, str) and not (value is None and name not in ("task", "id")):
            raise EvalitaError(f"{path}, row {number}: column {name!r} is {value!r}, expected a text")
    return {"model": row.get("model") or model, "task": row["task"], "id": row["id"], "answer": row["answer"] or "", "gold": row.get("gold") or None}


def _parquet(path: Path) -> _Rows:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            names = [name for name in (*COLUMNS, *OPTIONAL) if name in file.schema_arrow.names]
            rows = file.read(columns=names).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise EvalitaError(f"{path} cannot be read as Parquet ({error}); write it again") from error
    return ((number, row) for number, row in enumerate(rows, start=1))


_READERS: Mapping[str, Callable[[Path], _Rows]] = {
    "parquet": _parquet,
    "jsonl": lambda path: json_lines(path, {}),
    "csv": lambda path: separated(path, COLUMNS, ","),
    "tsv": lambda path: separated(path, COLUMNS, "\t"),
}
