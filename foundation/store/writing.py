"""Writing a table: rows in canonical order become checked, hashed, zstd-compressed Parquet shards.

Nothing here is visible to readers: everything is written below a staging folder. A row out of order, a repeated key,
a missing or surplus column is an error that names the table and the row.
"""

from __future__ import annotations

import functools
import hashlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from foundation.store.digest import BLOCK_ROWS, TableDigest
from foundation.store.errors import StoreError
from foundation.store.tables import TableSpec, schema_document

SHARD_BYTES = 500_000_000
"""About this many uncompressed bytes go into one Parquet file, the size that ``datasets`` itself shards to."""
ROW_GROUP_BYTES = 64_000_000
"""A row group is closed at this size; ``datasets`` and the Hub viewer want at most 100 MB."""

_HASHES_AHEAD = 64
"""Blocks and pieces of files that may wait to be hashed: memory is bounded where hashing is slower than compression."""
_INDEX = "position in the table"
"""Name of a column that exists while rows are compared; no table has a column of this name."""

Rows: TypeAlias = "pa.Table | pa.RecordBatch | pl.DataFrame | Sequence[Mapping[str, Any]]"


class TableWriter:
    """Writes one table into a staging folder; use it as a context manager.

    Rows of each split arrive in the table's canonical order. Splits may be written in turn or alternately.
    """

    def __init__(self, spec: TableSpec, folder: Path) -> None:
        self.spec = spec
        self._folder = folder
        # Hashing leaves Python's lock and runs beside compression; one thread, so that everything is hashed in its order.
        self._hashing = ThreadPoolExecutor(1, thread_name_prefix=f"hash-{spec.name}")
        self._splits = {split: _SplitWriter(spec, split, folder, self._hashing) for split in spec.splits}
        self._key_hashes: list[np.ndarray] = []
        self.document: dict[str, Any] | None = None

    def __enter__(self) -> TableWriter:
        self._folder.mkdir(parents=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            for split in self._splits.values():
                split.close(complete=kind is None)
        finally:
            for split in self._splits.values():
                split.release()
            self._hashing.shutdown(cancel_futures=kind is not None)
        if kind is None:
            self._check_unique_keys()
            self.document = self._describe()

    def write(self, rows: Rows, split: str | None = None) -> None:
        """Append rows to a split (default: the only or first one).

        Raises:
            StoreError: rows out of canonical order, a column missing or too many, a null where none is allowed.
        """
        name = split or self.spec.splits[0]
        if name not in self._splits:
            raise StoreError(f"table {self.spec.name}: unknown split {name!r}; it declares {list(self._splits)}")
        table = self._conform(rows)
        if table.num_rows == 0:
            return
        if not self.spec.order_implies_unique_key:
            keys = pl.DataFrame(pl.from_arrow(table.select(list(self.spec.key))))
            self._key_hashes.append(keys.hash_rows(seed=0).to_numpy())
        self._splits[name].append(table)

    def _conform(self, rows: Rows) -> pa.Table:
        """Rows as an Arrow table with exactly the declared schema, floats rounded to the declared decimals."""
        schema = self.spec.schema
        if isinstance(rows, pl.DataFrame):
            table = rows.to_arrow()
        elif isinstance(rows, pa.RecordBatch):
            table = pa.Table.from_batches([rows])
        elif isinstance(rows, pa.Table):
            table = rows
        else:
            for row in rows:
                self._check_columns(row.keys())
            table = self._from_rows(rows)
        self._check_columns(table.column_names)
        try:
            table = table.select(schema.names).cast(schema)
        except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError) as error:
            raise StoreError(f"table {self.spec.name}: rows do not fit the declared schema: {error}") from error
        for index, column in enumerate(schema):
            if not column.nullable and table.column(index).null_count:
                raise StoreError(f"table {self.spec.name}: column {column.name} holds nulls, and allows none")
            if column.name in self.spec.decimals:
                rounded = pc.round(table.column(index), ndigits=self.spec.decimals[column.name])
                table = table.set_column(index, column, rounded)
        return table

    def _from_rows(self, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
        try:
            return pa.Table.from_pylist([dict(row) for row in rows], schema=self.spec.schema)
        except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError, OverflowError) as error:
            raise StoreError(f"table {self.spec.name}: rows do not fit the declared schema: {error}") from error

    def _check_columns(self, names: Any) -> None:
        given, declared = set(names), set(self.spec.schema.names)
        if given != declared:
            raise StoreError(
                f"table {self.spec.name}: columns do not match its schema; "
                f"missing {sorted(declared - given)}, not declared {sorted(given - declared)}"
            )

    def _check_unique_keys(self) -> None:
        if not self._key_hashes:
            return
        hashes = np.concatenate(self._key_hashes)
        if len(np.unique(hashes)) == len(hashes):
            return
        files = [path for split in self._splits.values() for path in split.paths]
        keys = pl.scan_parquet(files).select(self.spec.key)
        repeated = keys.group_by(self.spec.key).len().filter(pl.col("len") > 1).head(3).collect()
        if repeated.height:
            raise StoreError(
                f"table {self.spec.name}: key {self.spec.key} is not unique, for instance "
                f"{repeated.drop('len').to_dicts()}; give each row its own key or drop the copies"
            )

    def _describe(self) -> dict[str, Any]:
        return {
            "description": self.spec.description,
            "schema": schema_document(self.spec.schema),
            "key": list(self.spec.key),
            "order": list(self.spec.canonical_order),
            "rows": sum(split.rows for split in self._splits.values()),
            "splits": {name: split.describe() for name, split in self._splits.items()},
        }


class _SplitWriter:
    """The shards of one split."""

    def __init__(self, spec: TableSpec, split: str, folder: Path, hashing: Executor) -> None:
        self._spec = spec
        self._split = split
        self._folder = folder
        self._hashing = hashing
        self._hashed: deque[Future[None]] = deque()
        self._digest = TableDigest(spec.schema)
        self._pending: list[pa.Table] = []
        self._pending_rows = 0
        self._group: list[pa.Table] = []
        self._group_bytes = 0
        self._shard_bytes = 0
        self._writer: pq.ParquetWriter | None = None
        self._sink: _Sink | None = None
        self._last: pl.DataFrame | None = None
        self.paths: list[Path] = []
        self.shard_rows: list[int] = []
        self._shard_hashes: list[Any] = []
        self.rows = 0

    def append(self, table: pa.Table) -> None:
        self._check_order(table)
        self.rows += table.num_rows
        self._pending.append(table)
        self._pending_rows += table.num_rows
        while self._pending_rows >= BLOCK_ROWS:
            pending = pa.concat_tables(self._pending)
            self._flush_block(pending.slice(0, BLOCK_ROWS))
            rest = pending.slice(BLOCK_ROWS)
            self._pending, self._pending_rows = ([rest] if rest.num_rows else []), rest.num_rows

    def close(self, *, complete: bool) -> None:
        if complete:
            if self._pending_rows:
                self._flush_block(pa.concat_tables(self._pending))
            if not self.paths and not self._group:
                self._open_shard()  # an empty split is a file too: readers find its schema
            self._flush_group()
        self._close_shard(complete=complete)
        if complete:
            self._await_hashes(0)
            self._rename_shards()

    def release(self) -> None:
        """Close the file whatever happened; nothing is left open after a failure."""
        if self._sink is not None:
            self._sink.close()

    def describe(self) -> dict[str, Any]:
        files = [
            {"path": path.name, "rows": rows, "bytes": path.stat().st_size, "sha256": sha256.hexdigest()}
            for path, rows, sha256 in zip(self.paths, self.shard_rows, self._shard_hashes, strict=True)
        ]
        return {
            "rows": self.rows,
            "digest": self._digest.hexdigest(),
            "columns": self._digest.columns(),
            "files": files,
        }

    def _check_order(self, table: pa.Table) -> None:
        columns = self._spec.canonical_order
        frame = pl.DataFrame(pl.from_arrow(table.select(list(columns))))
        both = frame if self._last is None else pl.concat([self._last, frame], how="vertical_relaxed")
        first_row = self.rows - (0 if self._last is None else 1)
        self._last = frame.tail(1)
        ascending = pl.lit(False)
        for column in reversed(columns):
            before, after = pl.col(column).shift(1), pl.col(column)
            ascending = (before < after) | ((before == after) & ascending)
        wrong = both.with_row_index(_INDEX).filter((pl.col(_INDEX) > 0) & ~ascending.fill_null(False))
        if wrong.height:
            first = wrong.row(0, named=True)
            index = first.pop(_INDEX)
            raise StoreError(
                f"table {self._spec.name}, split {self._split}: row {first_row + index} ({first}) does not follow "
                f"the row before it ({both.row(index - 1, named=True)}) in ascending order of {list(columns)}; "
                "sort the rows, and look for repeated keys"
            )

    def _flush_block(self, block: pa.Table) -> None:
        self._hash(self._digest.update, block)
        step = max(1, int(block.num_rows * ROW_GROUP_BYTES / max(block.nbytes, 1)))
        for start in range(0, block.num_rows, step):
            part = block.slice(start, step)
            self._group.append(part)
            self._group_bytes += part.nbytes
            if self._group_bytes >= ROW_GROUP_BYTES:
                self._flush_group()

    def _hash(self, update: Callable[[Any], None], content: Any) -> None:
        self._hashed.append(self._hashing.submit(update, content))
        self._await_hashes(_HASHES_AHEAD)

    def _await_hashes(self, left: int) -> None:
        while len(self._hashed) > left:
            self._hashed.popleft().result()

    def _flush_group(self) -> None:
        if not self._group:
            return
        if self._writer is None or self._shard_bytes + self._group_bytes > SHARD_BYTES:
            self._open_shard()
        group = pa.concat_tables(self._group)
        assert self._writer is not None and self._sink is not None
        self._writer.write_table(group, row_group_size=max(group.num_rows, 1))
        self._sink.check()
        self.shard_rows[-1] += group.num_rows
        self._shard_bytes += self._group_bytes
        self._group, self._group_bytes = [], 0

    def _close_shard(self, *, complete: bool) -> None:
        if self._writer is None or self._sink is None:
            return
        self._writer.close()
        self._writer = None
        self._sink.close()
        if complete:
            self._sink.check()

    def _open_shard(self) -> None:
        self._close_shard(complete=True)
        path = self._folder / f"{self._split}-{len(self.paths):05d}.parquet"
        sha256 = hashlib.sha256()
        self._shard_hashes.append(sha256)
        self._sink = _Sink(path, functools.partial(self._hash, sha256.update))
        self._writer = pq.ParquetWriter(
            self._sink, self._spec.schema, compression="zstd", write_page_index=True, use_content_defined_chunking=True
        )
        self.paths.append(path)
        self.shard_rows.append(0)
        self._shard_bytes = 0

    def _rename_shards(self) -> None:
        total = len(self.paths)
        self.paths = [
            path.rename(self._folder / f"{self._split}-{index:05d}-of-{total:05d}.parquet")
            for index, path in enumerate(self.paths)
        ]


class _Sink:
    """The file under a Parquet writer, which hears of a failed write only from ``check``.

    Arrow's Parquet writer aborts the whole process when its output fails in the middle of a row group (seen with
    pyarrow 26 on a full disk); so the first error is kept here, and raised between two row groups.
    """

    def __init__(self, path: Path, hashed: Callable[[bytes], None]) -> None:
        self._stream = path.open("wb")
        self._hash = hashed
        self._error: OSError | None = None
        self._position = 0
        self.closed = False

    def write(self, data: bytes) -> int:
        if self._error is None:
            try:
                self._stream.write(data)
            except OSError as error:
                self._error = error
        self._position += len(data)
        self._hash(data)
        return len(data)

    def tell(self) -> int:
        return self._position

    def flush(self) -> None:
        pass

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            try:
                self._stream.close()
            except OSError as error:
                self._error = self._error or error

    def check(self) -> None:
        """Raise the first error that a write met."""
        if self._error is not None:
            raise self._error
