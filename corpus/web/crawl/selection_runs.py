"""Rows of the selection as sorted runs, one folder of them for each part, and their merging in bounded memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from foundation.store import TableSpec

SELECTION = TableSpec(
    "selection",
    pa.schema(
        [
            ("subset", pa.string()),
            ("warc_path", pa.string()),
            ("warc_offset", pa.int64()),
            ("warc_length", pa.int64()),
            ("url", pa.string()),
            ("registered_domain", pa.string()),
            ("fetch_time", pa.timestamp("us", tz="UTC")),
            ("content_digest", pa.string()),
            ("content_languages", pa.string()),
            ("content_charset", pa.string()),
        ]
    ),
    key=("subset", "warc_path", "warc_offset"),
    description="The records that the crawl's columnar index names for this language: `warc` are pages, `robotstxt` "
    "the robots.txt captures of their hosts; empty where whole files are read.",
)

RUN_ROWS = 250_000
"""Rows sorted at a time; some 100 MB, and as much again while they are sorted."""
_GROUP_ROWS = 4_096  # small, since each range of the key takes a few thousand rows of each run
_COUNTS = "counts.json"


def write_counts(output: Path, counts: Mapping[str, Any]) -> None:
    """Write the counts of one part beside its runs."""
    (output / _COUNTS).write_text(json.dumps(counts, sort_keys=True))


def counts_of(output: Path) -> dict[str, Any]:
    """The counts of one part."""
    return dict(json.loads((output / _COUNTS).read_text()))


def merged_parts(outputs: Sequence[Path], rows: int = 500_000) -> Iterator[pa.Table]:
    """All parts' rows as tables in canonical order; of rows with equal keys one is kept.

    The number of repeated rows is the sum of the parts' ``selected`` less what comes out.

    Args:
        outputs: folders of ``select_part`` and ``select_robots``; their order does not matter.
        rows: rows of one table, about; a WARC file's rows are never parted. Memory holds two such
            tables, some 450 bytes a row.
    """
    files = run_files(outputs)
    windows = _windows(files, rows)
    edges = [_positions(file, windows) for file in files]
    for number in range(len(windows)):
        parts = [_slice(file, positions[number], positions[number + 1]) for file, positions in zip(files, edges, strict=True)]
        table = _sorted_once(pa.concat_tables(parts))
        if table.num_rows:
            yield table


class SortedRuns:
    """Sorted files of at most some ``RUN_ROWS`` rows in one folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._tables: list[pa.Table] = []
        self._waiting = self._files = self._given = self._kept = self._bytes = 0

    def add(self, table: pa.Table) -> None:
        self._tables.append(table)
        self._waiting += table.num_rows
        self._given += table.num_rows
        if self._waiting >= RUN_ROWS:
            self._flush()

    def close(self) -> None:
        if self._waiting or not self._files:
            self._flush()

    def counts(self) -> dict[str, int]:
        return {"selected": self._kept, "repeated": self._given - self._kept, "selected_bytes": self._bytes}

    def _flush(self) -> None:
        table = _sorted_once(pa.concat_tables([SELECTION.schema.empty_table(), *self._tables]))
        path = self._folder / f"rows-{self._files:05d}.parquet"
        pq.write_table(table, path, row_group_size=_GROUP_ROWS, compression="zstd")
        self._files += 1
        self._kept += table.num_rows
        self._bytes += pc.sum(table.column("warc_length")).as_py() or 0
        self._tables, self._waiting = [], 0


def _sorted_once(table: pa.Table) -> pa.Table:
    """Rows in canonical order; of equal keys the first by all columns stays."""
    order = pc.sort_indices(table, sort_keys=[(column, "ascending") for column in SELECTION.key])
    keys = table.select(list(SELECTION.key)).take(order)
    if pc.all(changes(keys.columns), min_count=0).as_py():
        return table.take(order)
    table = table.sort_by([(column, "ascending") for column in SELECTION.schema.names])
    return table.filter(changes([table.column(column) for column in SELECTION.key]))


def changes(columns: Sequence[pa.ChunkedArray]) -> pa.ChunkedArray:
    """Where sorted rows differ from the row before in any of the columns; the first row does."""
    changed = None
    for column in columns:
        values = column.combine_chunks()
        differs = pc.not_equal(values[1:], values[:-1]) if len(values) else pa.array([], pa.bool_())
        changed = differs if changed is None else pc.or_(changed, differs)
    first = pa.array([True] * min(len(columns[0]), 1), pa.bool_())
    return pa.chunked_array([first, changed], pa.bool_())


def run_files(outputs: Sequence[Path]) -> list[Path]:
    return [file for output in sorted(outputs) for file in sorted(output.glob("rows-*.parquet"))]


def _files_rows(file: Path) -> Iterator[tuple[tuple[str, str], int]]:
    """Subset and WARC file with the number of its rows, in order, for one run."""
    for batch in pq.ParquetFile(file).iter_batches(RUN_ROWS, columns=["subset", "warc_path"]):
        grouped = pa.Table.from_batches([batch]).group_by(["subset", "warc_path"], use_threads=False).aggregate([([], "count_all")])
        for row in grouped.to_pylist():
            yield (row["subset"], row["warc_path"]), row["count_all"]


def _windows(files: Sequence[Path], rows: int) -> list[tuple[str, str]]:
    """The first (subset, WARC file) of each range of the key that holds about ``rows`` rows."""
    totals: dict[tuple[str, str], int] = {}
    for file in files:
        for place, count in _files_rows(file):
            totals[place] = totals.get(place, 0) + count
    starts, held = [], rows
    for place in sorted(totals):
        if held + totals[place] > rows:
            starts.append(place)
            held = 0
        held += totals[place]
    return starts


def _positions(file: Path, windows: Sequence[tuple[str, str]]) -> list[int]:
    """Row numbers at which the windows begin in one run, and the run's length."""
    positions: list[int] = []
    row = 0
    for place, count in _files_rows(file):
        while len(positions) < len(windows) and windows[len(positions)] <= place:
            positions.append(row)
        row += count
    return [*positions, *[row] * (len(windows) - len(positions)), row]


def _slice(file: Path, start: int, end: int) -> pa.Table:
    """Rows ``start`` to ``end`` of a run, reading only their row groups."""
    if start >= end:
        return SELECTION.schema.empty_table()
    first = start // _GROUP_ROWS
    groups = range(first, (end - 1) // _GROUP_ROWS + 1)
    with pq.ParquetFile(file) as run:
        table = run.read_row_groups(list(groups))
    return table.slice(start - first * _GROUP_ROWS, end - start).cast(SELECTION.schema)
