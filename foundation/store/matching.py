"""Matching the rows of two tables by their key, in bounded memory.

Tables are stored in canonical order within each split, so that splits are sorted runs, and runs are walked side by side in
batches. A table whose order is another one than its key's is first cut into runs that are sorted by key, on disk.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from foundation.store.published import PublishedVersion

SPLIT = "split of the row"
"""Column of the rows' split beside the table's own; no table has a column of this name."""
BATCH_BYTES = 32_000_000
"""About this many uncompressed bytes of each run are in memory at once."""
SORTED_BYTES = 8 * BATCH_BYTES
"""Size of the runs that a table in another order is cut into."""


def matched(
    before: PublishedVersion, after: PublishedVersion, table: str, key: Sequence[str], columns: Sequence[str]
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """The rows of a table in two versions, in stretches of the key: all rows of both that lie in one.

    Args:
        before: one version.
        after: the other.
        table: which both hold.
        key: columns by which rows are matched, of the same types in both.
        columns: to read beside the key.

    Returns:
        Pairs of frames in ascending order of the key, with ``SPLIT`` beside the columns; every row in exactly one.
    """
    with ExitStack() as stack:
        sides = [_runs(version, table, key, [*key, *(name for name in columns if name not in key)], stack) for version in (before, after)]
        while True:
            bounds = [run.last for side in sides for run in side if run.filled]
            if not bounds:
                return
            bound = min(bounds, key=_in_order)
            taken = [[run.take(bound) for run in side if run.filled] for side in sides]
            yield _together(taken[0], sides[0], key), _together(taken[1], sides[1], key)


class _Run:
    """Rows in ascending order of a key, read in batches."""

    def __init__(self, batches: Iterator[pl.DataFrame], key: Sequence[str]) -> None:
        self._batches = batches
        self._key = list(key)
        self._rows = next(batches)  # a file without rows gives one empty frame, which has its schema
        self.schema = self._rows.schema

    @property
    def filled(self) -> bool:
        """Whether rows are left; reads on where the batch is used up."""
        while self._rows.is_empty():
            following = next(self._batches, None)
            if following is None:
                return False
            self._rows = following
        return True

    @property
    def last(self) -> tuple[Any, ...]:
        """Key of the last row in memory."""
        return self._rows.select(self._key).row(-1)

    def take(self, bound: tuple[Any, ...]) -> pl.DataFrame:
        """The rows in memory up to a key."""
        count = self._rows.select(_at_most(self._key, bound).sum()).item()
        taken, self._rows = self._rows.slice(0, count), self._rows.slice(count)
        return taken


def _runs(version: PublishedVersion, table: str, key: Sequence[str], columns: Sequence[str], stack: ExitStack) -> list[_Run]:
    document = version.manifest["tables"][table]
    in_order = list(document["order"]) == list(key)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="transumanza-"))) if not in_order else None
    runs = []
    for split in document["splits"]:
        files = version.table_files(table, split)
        if folder is None:
            runs.append(_Run(_batches(files, columns, split, BATCH_BYTES), key))
        else:
            for index, rows in enumerate(_batches(files, columns, split, SORTED_BYTES)):
                path = folder / f"{split}-{index:05d}.parquet"
                rows.drop(SPLIT).sort(key).write_parquet(path, compression="lz4", row_group_size=_rows_of(rows.estimated_size(), rows.height, BATCH_BYTES))
                runs.append(_Run(_batches([path], columns, split, BATCH_BYTES), key))
    return runs


def _batches(files: Sequence[Path], columns: Sequence[str], split: str, size: int) -> Iterator[pl.DataFrame]:
    """Rows of files in batches of about so many bytes; at least one, which may be empty."""
    for path in files:
        with pq.ParquetFile(path) as reader:
            groups = [reader.metadata.row_group(index) for index in range(reader.metadata.num_row_groups)]
            widest = max((group.total_byte_size / max(group.num_rows, 1) for group in groups), default=1.0)
            batch_rows = _rows_of(widest * 1000, 1000, size)
            for batch in reader.iter_batches(batch_size=batch_rows, columns=list(columns)):
                yield _frame(batch, columns, split)
    yield _frame(pq.read_schema(files[0]).empty_table().select(list(columns)), columns, split)


def _frame(rows: Any, columns: Sequence[str], split: str) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(rows)).select(*columns, pl.lit(split).alias(SPLIT))


def _rows_of(size: float, rows: int, wanted: int) -> int:
    """How many rows make about so many bytes, where ``rows`` make ``size``."""
    return max(1_000, min(1_000_000, int(wanted * rows / max(size, 1))))


def _together(parts: Sequence[pl.DataFrame], side: Sequence[_Run], key: Sequence[str]) -> pl.DataFrame:
    parts = [part for part in parts if part.height]
    if len(parts) == 1:
        return parts[0]
    return pl.concat(parts).sort(key) if parts else pl.DataFrame(schema=side[0].schema)


def _in_order(key: tuple[Any, ...]) -> tuple[Any, ...]:
    """Keys as Python compares them: nulls first, as polars sorts."""
    return tuple((value is not None, value) if value is not None else (False,) for value in key)


def _at_most(key: Sequence[str], bound: tuple[Any, ...]) -> pl.Expr:
    """Whether a row's key is not beyond a bound, column by column."""
    verdict = pl.lit(True)
    for name, value in reversed(list(zip(key, bound, strict=True))):
        column = pl.col(name)
        if value is None:
            verdict = column.is_null() & verdict
        else:
            below = (column < pl.lit(value)).fill_null(True)
            verdict = below | ((column == pl.lit(value)).fill_null(False) & verdict)
    return verdict
