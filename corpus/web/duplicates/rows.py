"""What clustering reads of the signals, as arrays of fixed width in the work folder: one folder for each range of rows.

A row's number is its place among all rows: snapshots by name, in each the table's order. Memory holds one range at a time;
what is mapped is let go at once, so that it does not count as memory in use.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpus.web.errors import WebCorpusError

RANGE_ROWS = 65_536
"""Rows of one folder, about: row groups are not cut."""
ID_BYTES = 32
"""Document ids are 32 hex digits."""
_BATCH_ROWS = 4_096
_COLUMNS = ("document_id", "normalized_sha256", "signature", "bands")


@dataclass(frozen=True, slots=True)
class Layout:
    """Numbers of values: permutations of a signature, bands of a document. Zero where no document has a signature."""

    permutations: int
    bands: int


@dataclass(frozen=True, slots=True)
class RowRange:
    """A range of rows: which snapshot, the number of its first row, how many, how many of them have a signature, its folder."""

    snapshot: str
    first: int
    rows: int
    signed: int
    folder: Path

    def array(self, name: str, kind: str, *shape: int) -> np.ndarray:
        """An array of the folder, mapped; an empty one where a dimension is 0."""
        if 0 in shape:
            return np.empty(shape, kind)
        return np.memmap(self.folder / f"{name}.bin", kind, "r", shape=shape)


def shards_of(files: Mapping[str, Sequence[Path]], rows: int = RANGE_ROWS) -> list[list[Any]]:
    """``[snapshot, file, first row group, row groups]`` for all snapshots by name, each of about so many rows."""
    shards: list[list[Any]] = []
    for snapshot in sorted(files):
        for path in files[snapshot]:
            metadata = pq.read_metadata(path)
            first = held = 0
            for group in range(metadata.num_row_groups):
                held += metadata.row_group(group).num_rows
                if held >= rows or (held and group == metadata.num_row_groups - 1):
                    shards.append([snapshot, str(path), first, group + 1 - first])
                    first, held = group + 1, 0
    return shards


def layout_of(files: Mapping[str, Sequence[Path]]) -> Layout:
    """How wide signatures are, of the first document that has one."""
    for snapshot in sorted(files):
        for path in files[snapshot]:
            for batch in pq.ParquetFile(path).iter_batches(_BATCH_ROWS, columns=["signature", "bands"]):
                widths, bands = (np.asarray(batch.column(name).value_lengths().fill_null(0)) for name in ("signature", "bands"))
                if widths.any():
                    place = int(np.flatnonzero(widths)[0])
                    return Layout(int(widths[place]), int(bands[place]))
    return Layout(0, 0)


def write_range(shard: list[Any], output: Path, layout: Layout) -> None:
    """Write the arrays of one shard; bands and text hashes sorted, each with the places of its rows.

    Raises:
        WebCorpusError: signatures of several widths, or ids too long.
    """
    snapshot, path, group, groups = shard
    output.mkdir(parents=True)
    parts: dict[str, list[np.ndarray]] = {name: [] for name in ("ids", "hashes", "bands", "signed")}
    with (output / "signatures.bin").open("wb") as signatures:
        for batch in pq.ParquetFile(path).iter_batches(_BATCH_ROWS, row_groups=range(group, group + groups), columns=list(_COLUMNS)):
            columns = dict(zip(batch.schema.names, batch.columns, strict=True))
            signed = np.asarray(columns["signature"].is_valid())
            width = _width(columns, layout, f"{snapshot}, {path}")
            values = np.zeros((batch.num_rows, width), "<u4")
            values[signed] = _flat(columns["signature"], "<u4").reshape(-1, width) if width else values[signed]
            values.tofile(signatures)
            parts["ids"].append(_ids(columns["document_id"]))
            parts["hashes"].append(_digests(columns["normalized_sha256"]))
            parts["bands"].append(_flat(columns["bands"], "<u8").reshape(-1, max(layout.bands, 1)))
            parts["signed"].append(signed)
    joined = {name: np.concatenate(values) for name, values in parts.items()}
    joined["ids"].tofile(output / "ids.bin")
    _write_sorted_hashes(joined["hashes"], output)
    _write_sorted_bands(joined["bands"][:, : layout.bands], np.flatnonzero(joined["signed"]), output)
    counts = {"snapshot": snapshot, "rows": len(joined["ids"]), "signed": int(joined["signed"].sum())}
    (output / "range.json").write_text(json.dumps(counts), encoding="utf-8")


def read_ranges(folders: Sequence[Path]) -> list[RowRange]:
    """The ranges that were written, in order."""
    ranges, first = [], 0
    for folder in folders:
        counts = json.loads((folder / "range.json").read_text(encoding="utf-8"))
        ranges.append(RowRange(counts["snapshot"], first, counts["rows"], counts["signed"], folder))
        first += counts["rows"]
    return ranges


def gathered(
    ranges: Sequence[RowRange], rows: np.ndarray, name: str, kind: str, *width: int, columns: np.ndarray | None = None
) -> np.ndarray:
    """Values of an array for rows of any range, in the order of ``rows``, all columns or some; maps one range at a time."""
    found = np.empty((len(rows), *(width if columns is None else (len(columns),))), kind)
    order = np.argsort(rows, kind="stable")
    bounds = np.searchsorted(rows[order], [*(part.first for part in ranges), np.iinfo(np.int64).max])
    for part, start, end in zip(ranges, bounds[:-1], bounds[1:], strict=True):
        if end > start:
            places = order[start:end]
            values = part.array(name, kind, part.rows, *width)[rows[places] - part.first]
            found[places] = values if columns is None else values[:, columns]
    return found


def _width(columns: Mapping[str, pa.Array], layout: Layout, where: str) -> int:
    for name, expected in (("signature", layout.permutations), ("bands", layout.bands)):
        lengths = np.asarray(columns[name].value_lengths().fill_null(0))
        if not np.isin(lengths, (0, expected)).all() or ((lengths > 0) != np.asarray(columns["signature"].is_valid())).any():
            raise WebCorpusError(
                f"signals of {where}: {name} of {sorted(set(lengths.tolist()))} values, where {expected} are expected; snapshots can be "
                "compared only with the same `permutations` and `band_rows`: materialize signals again"
            )
    return layout.permutations


def _flat(column: pa.Array, kind: str) -> np.ndarray:
    return np.asarray(column.flatten()).astype(kind, copy=False)


def _ids(column: pa.Array) -> np.ndarray:
    found = np.array([value.encode() for value in column.to_pylist()], "S")
    if found.dtype.itemsize > ID_BYTES:
        raise WebCorpusError(f"document ids of {found.dtype.itemsize} bytes, where at most {ID_BYTES} are expected; materialize documents again")
    return found.astype(f"S{ID_BYTES}")


def _digests(column: pa.Array) -> np.ndarray:
    """The first 128 bits of hex digests, as two numbers each."""
    return np.frombuffer(bytes.fromhex("".join(value[:32] for value in column.to_pylist())), ">u8").astype("<u8").reshape(-1, 2)


def _write_sorted_hashes(hashes: np.ndarray, output: Path) -> None:
    order = np.lexsort((hashes[:, 1], hashes[:, 0]))
    np.ascontiguousarray(hashes[order].T).tofile(output / "hashes.bin")
    order.astype("<u4").tofile(output / "hash_rows.bin")


def _write_sorted_bands(bands: np.ndarray, rows: np.ndarray, output: Path) -> None:
    with (output / "bands.bin").open("wb") as values, (output / "band_rows.bin").open("wb") as places:
        for band in range(bands.shape[1]):
            order = np.argsort(bands[:, band], kind="stable")
            bands[order, band].tofile(values)
            rows[order].astype("<u4").tofile(places)
