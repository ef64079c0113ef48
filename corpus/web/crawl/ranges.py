"""Byte ranges to fetch: selected records of a WARC file, near neighbours together.

Each gap that is fetched along saves one request and costs its bytes. Gaps are bought smallest first out of a budget of
bytes per file, so that for any crawl as many requests are saved as a given overhead can save.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from corpus.web.errors import WebCorpusError

MAX_OVERHEAD = 1.2
"""At most this many bytes are fetched for one byte of the selected records, in each WARC file.

Where 2.5 % of Common Crawl's captures are selected, neighbours are about 1 MB apart, and 1.2 saves less than a tenth of
the requests (``costs.joined``); where the pages of a selection lie together it saves nearly all."""
MAX_GAP = 1 << 20
"""A longer gap is never fetched along: at 50 MB/s and 20 requests a second a request is worth 2.5 MB, near the data less."""
MAX_BYTES = 8 << 20
"""A longer range is begun anew: AWS names 8 to 16 MB as typical for byte-range requests ("Performance design patterns for
Amazon S3"), and readers hold ``access.concurrency`` ranges in memory."""


@dataclass(frozen=True, slots=True)
class RecordPlace:
    """Where a record lies: its file, and offset and length of its gzip member, in bytes."""

    path: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class FetchRange:
    """A byte range of one file and the records inside it, by offset; records may overlap only in a broken index."""

    path: str
    start: int
    length: int
    records: tuple[tuple[int, int], ...]

    def cut(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Offset and bytes of each record, out of the bytes of the range.

        Raises:
            WebCorpusError: the bytes are not those of the range.
        """
        if len(data) != self.length:
            raise WebCorpusError(f"{self.path}: {len(data)} bytes for the range {self.start}+{self.length}; the file is shorter than its index says")
        for offset, length in self.records:
            yield offset, data[offset - self.start : offset - self.start + length]


def coalesce(
    records: Iterable[RecordPlace], max_gap: int = MAX_GAP, max_bytes: int = MAX_BYTES, max_overhead: float = MAX_OVERHEAD
) -> Iterator[FetchRange]:
    """Ranges that cover each record once, in order; records come by path and offset, as the table ``selection`` has them.

    Args:
        records: in ascending order of path and offset. Those of one file are held in memory (some tens of thousands).
        max_gap: bytes between two records above which they are never joined.
        max_bytes: length above which a range is not extended; a single longer record is a range of its own.
        max_overhead: bytes of all ranges of a file, at most, for one byte of its records.

    Raises:
        WebCorpusError: records out of order, twice, or of a length that is not positive.
    """
    if max_gap < 0 or max_bytes < 1 or max_overhead < 1:
        raise WebCorpusError(f"ranges: max_gap {max_gap} must be at least 0, max_bytes {max_bytes} at least 1, max_overhead {max_overhead} at least 1")
    last = ""
    for path, group in groupby(records, key=lambda record: record.path):
        if path < last:
            raise WebCorpusError(f"ranges: records of {path} come after those of {last}; sort them by path and offset")
        last = path
        yield from _of_file(path, list(group), max_gap, max_bytes, max_overhead)


def _of_file(path: str, records: Sequence[RecordPlace], max_gap: int, max_bytes: int, max_overhead: float) -> Iterator[FetchRange]:
    _see_order(path, records)
    ends, gaps, reach = [], [], 0
    for record in records:
        gaps.append(record.offset - reach)  # negative where records overlap: such are never parted
        reach = max(reach, record.offset + record.length)
        ends.append(reach)
    wanted = ends[-1] - records[0].offset - sum(gap for gap in gaps[1:] if gap > 0)
    joined = _bought(gaps, min(max_gap, max_bytes), int(wanted * (max_overhead - 1)))
    first = 0
    for index in range(1, len(records) + 1):
        if index < len(records):
            overlapping = gaps[index] < 0
            fits = ends[index] - records[first].offset <= max_bytes
            if overlapping or (index in joined and fits):
                continue
        start = records[first].offset
        yield FetchRange(path, start, ends[index - 1] - start, tuple((record.offset, record.length) for record in records[first:index]))
        first = index


def _bought(gaps: Sequence[int], max_gap: int, budget: int) -> set[int]:
    """Positions of the records that are joined to the one before: the smallest gaps that the budget pays for."""
    joined = set()
    for gap, index in sorted((gap, index) for index, gap in enumerate(gaps) if index and 0 <= gap <= max_gap):
        budget -= gap
        if budget < 0:
            break
        joined.add(index)
    return joined


def _see_order(path: str, records: Sequence[RecordPlace]) -> None:
    last = -1
    for record in records:
        if record.length < 1 or record.offset < 0:
            raise WebCorpusError(f"{path}: a record at {record.offset} of {record.length} bytes; the index is damaged")
        if record.offset <= last:
            raise WebCorpusError(f"{path}: the record at {record.offset} follows the one at {last}; sort records by offset, each once")
        last = record.offset
