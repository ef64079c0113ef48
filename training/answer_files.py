"""The table of answers as a file of its own: Parquet, JSON lines or CSV, by the ending of its name."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from training.answers import ANSWERS
from training.errors import TrainingError

ENDINGS = (".parquet", ".jsonl", ".csv")


def check_answer_file(path: Path) -> None:
    """Whether answers can be written there; asked before the work that makes them.

    Raises:
        TrainingError: the ending is none of the known ones, or there is no such folder.
    """
    if path.suffix not in ENDINGS:
        raise TrainingError(f"{path}: answers are written to files that end in {', '.join(ENDINGS)}; rename it")
    if not path.absolute().parent.is_dir():
        raise TrainingError(f"{path}: there is no folder {path.parent}; make it, or choose another")


def write_answers(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Write rows in their order; the file is whole or not there at all.

    Raises:
        TrainingError: as ``check_answer_file``.
    """
    import polars as pl

    check_answer_file(path)
    frame = pl.DataFrame([{name: row[name] for name in ANSWERS.schema.names} for row in rows], schema=dict.fromkeys(ANSWERS.schema.names, pl.String))
    half = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if path.suffix == ".parquet":
            frame.write_parquet(half, compression="zstd")
        elif path.suffix == ".jsonl":
            frame.write_ndjson(half)
        else:
            frame.write_csv(half, quote_style="non_numeric")
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)
