"""Reading upstream tables: the columns that are needed are there, or one error says which are not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from foundation.store import PublishedVersion
from training.errors import TrainingError

if TYPE_CHECKING:
    import polars as pl


def columns_of(version: PublishedVersion, table: str, columns: Sequence[str], split: str | None = None) -> pl.LazyFrame:
    """A lazy frame over some columns of an upstream table.

    Raises:
        TrainingError: a column is missing.
    """
    frame = version.scan(table, split)
    have = frame.collect_schema().names()
    missing = [column for column in columns if column not in have]
    if missing:
        raise TrainingError(f"{version}, table {table}: columns {missing} are missing; it has {have}")
    return frame.select(columns)


def text_frame(version: PublishedVersion, table: str, split: str) -> pl.LazyFrame:
    """Documents by id."""
    return columns_of(version, table, ("document_id", "text"), split)


def mixed_frame(version: PublishedVersion, table: str, split: str, *, weighted: bool) -> pl.LazyFrame:
    """Documents by id, with what a mix reads of them: their repetitions, where the corpus has them, and their snapshot.

    Raises:
        TrainingError: weights are wanted, and the table does not say which snapshot a document is of.
    """
    have = version.scan(table, split).collect_schema().names()
    extra = [name for name in ("snapshot", "repetitions") if name in have or (name == "snapshot" and weighted)]
    return columns_of(version, table, ("document_id", "text", *extra), split)


def without_overlap(version: PublishedVersion, table: str, columns: Sequence[str], exclude: bool) -> tuple[pl.DataFrame, int]:
    """Rows of a translated set, and how many were left out because they overlap a benchmark's test items."""
    import polars as pl

    frame = columns_of(version, table, [*columns, "benchmark_overlap"]).collect()
    clean = frame.filter(pl.col("benchmark_overlap").list.len().fill_null(0) == 0) if exclude else frame
    return clean.drop("benchmark_overlap"), frame.height - clean.height
