"""Merging: parts become tables in the order of their ids, without repetitions, drawn where a maximum is set.

In memory are the ids of all rows (some 100 bytes each), and the contents of one bucket. Ids in order give each row its place; rows go
into buckets on disk by place, and bucket after bucket, sorted, is a table in order.
"""

from __future__ import annotations

import heapq
import json
import math
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from foundation.store import TableSpec
from translation.sources.reading import POSITION, draw_key, part_schema

BUCKET_CHARACTERS = 48_000_000
"""About so many characters of text are sorted at a time."""
MAX_BUCKETS = 400
"""Files that are open at a time: 20 GB of text, and larger buckets beyond."""
Contents = Literal["kept", "set_aside"]


@dataclass
class Parts:
    """What was read, file by file, and which of its rows are wanted.

    Attributes:
        folders: one part for each file, in the order in which the first of equal rows is kept.
        read: rows in all files.
        dropped: rows left out, by reason, those repeated and those not drawn among them.
        examples: some changes, each with ``step``, ``before`` and ``after``.
    """

    folders: Sequence[Path]
    read: int
    dropped: Counter[str]
    examples: list[dict[str, str]] = field(default_factory=list)
    _wanted: dict[str, pl.DataFrame] = field(default_factory=dict)
    _characters: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, folders: Sequence[Path], maximum: int | None, seed: int) -> Parts:
        """The rows of parts, each content once, and of those to be kept at most ``maximum``: the ones with the smallest hashes."""
        parts = cls(folders, 0, Counter())
        for folder in folders:
            counts = json.loads((folder / "counts.json").read_text(encoding="utf-8"))
            parts.read += counts["read"]
            parts.dropped.update(counts["dropped"])
            parts._characters.update(counts["characters"])
            parts.examples += counts["examples"]
        every = pl.concat([pl.read_parquet(folder / "ids.parquet").with_columns(part=pl.lit(part, pl.UInt32)) for part, folder in enumerate(folders)])
        once = every.unique(subset="id", keep="first", maintain_order=True)
        kept = once.filter(pl.col("kept"))
        chosen = kept if maximum is None or maximum >= kept.height else kept.filter(pl.col("id").is_in(_drawn(kept["id"], maximum, seed)))
        parts.dropped.update({reason: count for reason, count in (("repeated", every.height - once.height), ("not_drawn", kept.height - chosen.height)) if count})
        parts._wanted = {"kept": chosen.drop("kept"), "set_aside": once.filter(~pl.col("kept")).drop("kept")}
        return parts

    def rows(self, contents: Contents) -> int:
        """How many rows are wanted."""
        return self._wanted[contents].height

    def tables(self, contents: Contents, spec: TableSpec, work: Path, bucket_characters: int = BUCKET_CHARACTERS) -> Iterator[pa.Table]:
        """The wanted rows in the order of their ids, piece by piece, in the table's columns.

        Args:
            contents: those that are kept, or those set aside.
            spec: the table that they become.
            work: where buckets are written; removed afterwards.
            bucket_characters: see ``BUCKET_CHARACTERS``; never changes what comes out.
        """
        wanted = self._wanted[contents].sort("id")
        count = min(MAX_BUCKETS, max(1, math.ceil(self._characters[contents] / bucket_characters)))
        bucket = (np.arange(wanted.height, dtype=np.int64) * count // max(wanted.height, 1)).astype(np.int32)
        places = wanted.select("part", POSITION).with_columns(bucket=pl.Series(bucket))
        folder = work / f"{contents}.buckets"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            self._fill(contents, places, part_schema(spec), folder, count)
            for number in range(count):
                with pa.OSFile(str(_bucket(folder, number))) as file:
                    table = pa.ipc.open_stream(file).read_all()
                _bucket(folder, number).unlink()
                if table.num_rows:
                    yield table.sort_by("id").select(spec.schema.names)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _fill(self, contents: Contents, places: pl.DataFrame, schema: pa.Schema, folder: Path, count: int) -> None:
        """Write the wanted rows of all parts into their buckets."""
        with ExitStack() as stack:
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            writers = [
                stack.enter_context(pa.ipc.new_stream(stack.enter_context(pa.OSFile(str(_bucket(folder, number)), "wb")), schema, options=options))
                for number in range(count)
            ]
            for part, source in enumerate(self.folders):
                here = places.filter(pl.col("part") == part).sort(POSITION)
                positions, buckets = here[POSITION].to_numpy(), here["bucket"].to_numpy()
                for group in _row_groups(source / f"{contents}.parquet", schema):
                    found = np.searchsorted(positions, group.column(POSITION).to_numpy())
                    inside = found < len(positions)
                    inside[inside] = positions[found[inside]] == group.column(POSITION).to_numpy()[inside]
                    target = np.full(group.num_rows, -1, dtype=np.int64)
                    target[inside] = buckets[found[inside]]
                    for number in np.unique(target[inside]):
                        writers[number].write_table(group.filter(pa.array(target == number)))


def _row_groups(path: Path, schema: pa.Schema) -> Iterator[pa.Table]:
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group).cast(schema)


def _drawn(ids: pl.Series, maximum: int, seed: int) -> list[str]:
    return heapq.nsmallest(maximum, ids, key=lambda row_id: (draw_key(row_id, seed), row_id))


def _bucket(folder: Path, number: int) -> Path:
    return folder / f"{number:05d}.arrow"
