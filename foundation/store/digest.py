"""The content digest of a table: sha256 over canonical Arrow values, column by column, in fixed row blocks.

The digest depends on values, their types and the row order alone: neither on shards, row groups, dictionary encoding,
chunking nor the Parquet writer. Each column has a running sha256; every ``BLOCK_ROWS`` rows its validity, lengths and
values enter it in one canonical layout (little-endian, nulls zeroed, one bit pattern for NaN and for zero).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from foundation.store.errors import StoreError

BLOCK_ROWS = 16_384
"""Rows per digest block. Part of the format: another number would give every table another version."""

Feed = Callable[[bytes | memoryview], None]


class TableDigest:
    """Digest of one split of a table, fed block by block in canonical order."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._columns = [hashlib.sha256() for _ in schema]
        self._rows = 0

    def update(self, block: pa.Table) -> None:
        """Add a block. Every block but the last must hold exactly ``BLOCK_ROWS`` rows."""
        if self._rows % BLOCK_ROWS:
            raise StoreError("digest blocks are fixed: only the last block may be shorter")
        self._rows += block.num_rows
        for running, column in zip(self._columns, block.columns, strict=True):
            _feed_column(column, running.update)

    def columns(self) -> dict[str, str]:
        """Hex digest by column: tells which column changed between two versions."""
        return {column.name: running.hexdigest() for column, running in zip(self._schema, self._columns, strict=True)}

    def hexdigest(self) -> str:
        """Hex digest of names, types, number of rows and all columns."""
        identity = {
            "columns": [[column.name, _type_name(column.type)] for column in self._schema],
            "rows": self._rows,
            "digests": [running.hexdigest() for running in self._columns],
        }
        return hashlib.sha256(json.dumps(identity, separators=(",", ":")).encode()).hexdigest()


def _feed_column(column: pa.ChunkedArray, feed: Feed) -> None:
    """As ``_feed_array`` of the whole column; chunks of text, the bulk of most tables, are not copied together for it."""
    if column.num_chunks != 1 and _is_text_or_bytes(column.type):
        large = pa.large_string() if _is_text(column.type) else pa.large_binary()
        empty = pa.scalar("" if _is_text(column.type) else b"", large)
        _feed_validity(column, feed)
        parts = [part for chunk in column.chunks if len(part := _filled(chunk.cast(large), empty))]
        for part in parts:
            feed(np.diff(_offsets(part)).data.cast("B"))
        for part in parts:
            _feed_data(part, feed)
    else:
        _feed_array(_one_array(column), feed)


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    combined = column.combine_chunks()
    return combined if isinstance(combined, pa.Array) else pa.concat_arrays(combined.chunks)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _is_text_or_bytes(kind: pa.DataType) -> bool:
    return _is_text(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _type_name(kind: pa.DataType) -> str:
    """The type without the encodings that readers choose for themselves (large offsets, views, dictionaries)."""
    if pa.types.is_dictionary(kind):
        return _type_name(kind.value_type)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"list<{_type_name(kind.value_type)}>"
    if pa.types.is_struct(kind):
        fields = ",".join(f"{kind.field(i).name}:{_type_name(kind.field(i).type)}" for i in range(kind.num_fields))
        return f"struct<{fields}>"
    return str(kind).removeprefix("large_").removesuffix("_view")


def _feed_array(array: pa.Array, feed: Feed) -> None:
    kind = array.type
    if pa.types.is_dictionary(kind):
        _feed_array(array.dictionary_decode(), feed)
        return
    _feed_validity(array, feed)
    if pa.types.is_null(kind):
        return
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        feed(_little_endian(pc.fill_null(pc.list_value_length(array), 0), "<i8"))
        _feed_array(array.flatten(), feed)
    elif pa.types.is_struct(kind):
        for child in array.flatten():
            _feed_array(child, feed)
    elif pa.types.is_boolean(kind):
        feed(np.packbits(pc.fill_null(array, False).to_numpy(zero_copy_only=False)).tobytes())
    elif _is_text(kind):
        _feed_bytes(array.cast(pa.large_string()), pa.scalar("", pa.large_string()), feed)
    elif pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        _feed_bytes(array.cast(pa.large_binary()), pa.scalar(b"", pa.large_binary()), feed)
    elif pa.types.is_floating(kind):
        feed(_canonical_floats(array))
    elif pa.types.is_integer(kind):
        feed(_little_endian(pc.fill_null(array, 0), f"<{'i' if pa.types.is_signed_integer(kind) else 'u'}8"))
    elif pa.types.is_temporal(kind):
        feed(_little_endian(pc.fill_null(array.cast(pa.int64()), 0), "<i8"))
    else:
        raise StoreError(f"type {kind} has no canonical form; use strings, numbers, booleans, times, lists or structs")


def _feed_validity(array: pa.Array | pa.ChunkedArray, feed: Feed) -> None:
    feed(len(array).to_bytes(8, "little"))
    if array.null_count:
        feed(b"\x01")
        valid = array.is_valid()
        feed(np.packbits(valid.to_numpy() if isinstance(valid, pa.ChunkedArray) else valid.to_numpy(zero_copy_only=False)).tobytes())
    else:
        feed(b"\x00")


def _little_endian(array: pa.Array, dtype: str) -> memoryview:
    values = np.ascontiguousarray(array.to_numpy(zero_copy_only=False).astype(dtype, copy=False))
    return values.data.cast("B") if len(values) else memoryview(b"")


def _canonical_floats(array: pa.Array) -> memoryview:
    values = pc.fill_null(array, 0.0).to_numpy(zero_copy_only=False).astype("<f8")
    values[values == 0.0] = 0.0  # one zero: -0.0 and 0.0 are the same value
    values[np.isnan(values)] = np.nan
    return np.ascontiguousarray(values).data.cast("B") if len(values) else memoryview(b"")


def _feed_bytes(array: pa.Array, empty: pa.Scalar, feed: Feed) -> None:
    filled = _filled(array, empty)
    if len(filled):
        feed(np.diff(_offsets(filled)).data.cast("B"))
        _feed_data(filled, feed)


def _filled(array: pa.Array, empty: pa.Scalar) -> pa.Array:
    return pc.fill_null(array, empty) if array.null_count else array


def _offsets(array: pa.Array) -> np.ndarray:
    return np.frombuffer(array.buffers()[1], dtype="<i8", count=len(array) + 1, offset=array.offset * 8)


def _feed_data(array: pa.Array, feed: Feed) -> None:
    data = array.buffers()[2]
    if data is not None:
        offsets = _offsets(array)
        feed(memoryview(data)[int(offsets[0]) : int(offsets[-1])])
