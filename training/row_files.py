"""Packed rows in a file that is mapped into memory: a run reads the rows of its steps, never all of them."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from itertools import accumulate, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import pyarrow as pa

from training.packing import Row

if TYPE_CHECKING:
    import polars as pl

SCHEMA = pa.schema(
    [
        pa.field("input_ids", pa.list_(pa.int32()), nullable=False),
        pa.field("document_lengths", pa.list_(pa.int32()), nullable=False),
        pa.field("targets", pa.list_(pa.bool_())),
    ]
)
BATCH_ROWS = 1_024


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write rows, in their order; a file of that name is replaced at once and whole."""
    part = path.with_name(f"{path.name}.part")
    with pa.OSFile(str(part), "wb") as sink, pa.ipc.new_file(sink, SCHEMA) as writer:
        source = iter(rows)
        while some := list(islice(source, BATCH_ROWS)):
            values = [[list(row.input_ids) for row in some], [list(row.document_lengths) for row in some],
                      [None if row.targets is None else list(row.targets) for row in some]]  # fmt: skip
            writer.write_batch(pa.record_batch([pa.array(column, field.type) for column, field in zip(values, SCHEMA, strict=True)], schema=SCHEMA))
    part.replace(path)


def stream_rows(path: Path, frame: pl.LazyFrame) -> None:
    """The same of a table of packed rows, without reading all of it at one time."""
    part = path.with_name(f"{path.name}.part")
    frame.select("input_ids", "document_lengths").sink_ipc(part, compression="uncompressed")
    part.replace(path)


class RowFile(Sequence[Row]):
    """The rows of such a file, each read when it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reader = pa.ipc.open_file(pa.memory_map(str(path)))
        self._ends = list(accumulate(self._reader.get_batch(index).num_rows for index in range(self._reader.num_record_batches)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> list[Row]: ...
    def __getitem__(self, place: int | slice) -> Row | list[Row]:
        if isinstance(place, slice):
            return [self[index] for index in range(*place.indices(len(self)))]
        if not 0 <= place < len(self):
            raise IndexError(place)
        number = bisect.bisect_right(self._ends, place)
        batch = self._reader.get_batch(number)
        inside = place - (self._ends[number - 1] if number else 0)
        ids, lengths = (batch.column(index)[inside].values.to_numpy() for index in (0, 1))
        targets: Any = batch.column(2)[inside] if batch.num_columns > 2 else None
        return Row(ids, lengths, targets.values.to_numpy(zero_copy_only=False) if targets is not None and targets.is_valid else None)
