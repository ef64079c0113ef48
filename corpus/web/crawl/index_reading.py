"""Common Crawl's columnar index: rows that match, read with as few bytes as Parquet's row groups allow.

Row groups whose statistics exclude a match are not read. Of the others the small columns that decide are read first,
and the wide ones (address, digest, place) only where a row matched. Memory holds one row group's compressed columns and
a batch of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpus.web.crawl.selection_runs import SELECTION
from corpus.web.domains import registered_domain
from corpus.web.errors import WebCorpusError
from foundation.sources.locations import Location

BATCH_ROWS = 131_072
"""Rows decoded at a time; some 40 MB of addresses and digests."""

NEEDED = ("url", "fetch_time", "fetch_status", "warc_filename", "warc_record_offset", "warc_record_length")
"""Columns that every crawl's index has."""
_WIDE = {
    "warc_filename": "warc_path",
    "warc_record_offset": "warc_offset",
    "warc_record_length": "warc_length",
    "url": "url",
    "url_host_registered_domain": "registered_domain",
    "fetch_time": "fetch_time",
    "content_digest": "content_digest",
    "content_languages": "content_languages",
    "content_charset": "content_charset",
}
_REPEATING = (
    "content_languages",
    "content_mime_detected",
    "content_truncated",
    "content_charset",
    "url_host_registered_domain",
    "warc_filename",
)

Test = Callable[[pa.Array], pa.Array]
Bounds = Sequence[tuple[Any, Any]]


@dataclass(frozen=True)
class Condition:
    """What one column must be.

    ``test`` maps an array of the column's values to booleans (null counts as no). ``bounds`` are closed ranges outside
    which no value passes, or None where any might; a row group of nulls alone is passed over unless ``null_passes``.
    """

    column: str
    test: Test
    bounds: Bounds | None = None
    null_passes: bool = False

    def may_hold(self, statistics: Any) -> bool:
        """Whether a row group with these column statistics can hold a match; unknown statistics can."""
        if statistics is None:
            return True
        if statistics.num_values == 0 and statistics.has_null_count and statistics.null_count:
            return self.null_passes
        if self.bounds is None or not statistics.has_min_max:
            return True
        return any(low <= statistics.max and statistics.min <= high for low, high in self.bounds)

    def of(self, column: pa.Array) -> np.ndarray:
        """Where a column's values pass, as booleans."""
        if pa.types.is_dictionary(column.type):  # judge each distinct value once
            passes = pc.fill_null(self.test(column.dictionary), False)
            passes = pc.fill_null(pc.take(passes, column.indices), self.null_passes)
        else:
            passes = pc.fill_null(self.test(column), self.null_passes)
        return np.asarray(passes.to_numpy(zero_copy_only=False), dtype=bool)


@dataclass
class IndexCounts:
    """What reading one index file met."""

    rows: int = 0
    row_groups: int = 0
    row_groups_passed_over: int = 0
    row_groups_without_match: int = 0
    matched: int = 0
    columns_lacking: list[str] = field(default_factory=list)


class IndexFile:
    """One Parquet file of the columnar index, read through a location; use it as a context manager."""

    def __init__(self, location: Location, path: str, subset: str) -> None:
        self.path = path
        self.counts = IndexCounts()
        self._subset = subset
        self._stream = location.open(path)
        try:
            metadata = pq.read_metadata(self._stream)
            names = metadata.schema.to_arrow_schema().names
            repeating = [column for column in _REPEATING if column in names]
            self._file = pq.ParquetFile(self._stream, metadata=metadata, pre_buffer=True, read_dictionary=repeating)
        except pa.ArrowInvalid as error:
            self._stream.close()
            raise WebCorpusError(f"{location.url}: {path} is no Parquet file ({error}); fetch it again") from error
        self.columns = frozenset(names)
        lacking = [column for column in NEEDED if column not in self.columns]
        if lacking:
            self._stream.close()
            raise WebCorpusError(f"{location.url}: {path} is no file of Common Crawl's columnar index: it lacks {lacking}")

    def __enter__(self) -> IndexFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._stream.close()

    def matches(self, conditions: Sequence[Condition], bounds: Sequence[Condition] = ()) -> Iterator[pa.Table]:
        """Tables of the rows that meet all conditions, with the columns of the table ``selection``.

        Args:
            conditions: on columns of the file.
            bounds: conditions that only statistics are held against; their columns are not read.
        """
        metadata = self._file.metadata
        places = {metadata.schema.column(index).path: index for index in range(metadata.num_columns)}
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            self.counts.row_groups += 1
            self.counts.rows += group.num_rows
            watched = [condition for condition in (*conditions, *bounds) if condition.column in places]
            if not all(condition.may_hold(group.column(places[condition.column]).statistics) for condition in watched):
                self.counts.row_groups_passed_over += 1
                continue
            hits = self._hits(number, conditions)
            if not hits.any():
                self.counts.row_groups_without_match += 1
                continue
            self.counts.matched += int(hits.sum())
            yield from self._rows(number, hits)

    def _hits(self, number: int, conditions: Sequence[Condition]) -> np.ndarray:
        columns = list(dict.fromkeys(condition.column for condition in conditions))
        parts = []
        for batch in self._file.iter_batches(BATCH_ROWS, row_groups=[number], columns=columns):
            hits = np.ones(batch.num_rows, dtype=bool)
            for condition in conditions:
                hits &= condition.of(batch.column(condition.column))
            parts.append(hits)
        return np.concatenate(parts) if parts else np.zeros(0, dtype=bool)

    def _rows(self, number: int, hits: np.ndarray) -> Iterator[pa.Table]:
        columns = [column for column in _WIDE if column in self.columns]
        start = 0
        for batch in self._file.iter_batches(BATCH_ROWS, row_groups=[number], columns=columns):
            mask = hits[start : start + batch.num_rows]
            start += batch.num_rows
            if mask.any():
                yield self._as_selection(pa.Table.from_batches([batch.filter(pa.array(mask))]))

    def _as_selection(self, table: pa.Table) -> pa.Table:
        rows = table.num_rows
        values: dict[str, Any] = {"subset": pa.array([self._subset] * rows, pa.string())}
        for column, name in _WIDE.items():
            values[name] = table.column(column).combine_chunks() if column in self.columns else pa.nulls(rows, pa.string())
        values["registered_domain"] = _domains(values["registered_domain"], values["url"])
        values["fetch_time"] = _utc(values["fetch_time"])
        return pa.table({name: values[name] for name in SELECTION.schema.names}).cast(SELECTION.schema)


def _utc(times: pa.Array) -> pa.Array:
    """Microseconds in UTC; Parquet's old INT96 and local timestamps carry no zone, and Common Crawl's are UTC."""
    if times.type.tz is None:
        times = pc.assume_timezone(times, "UTC")
    return times.cast(pa.timestamp("us", tz="UTC"), safe=False)


def _domains(domains: pa.Array, urls: pa.Array) -> pa.Array:
    """The index's registered domains; where it has none (addresses without a name), ours."""
    plain = domains.cast(pa.string())
    if not plain.null_count:
        return plain
    filled = [domain or registered_domain(url) for domain, url in zip(plain.to_pylist(), urls.to_pylist(), strict=True)]
    return pa.array(filled, pa.string())
