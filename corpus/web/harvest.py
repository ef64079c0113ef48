"""The harvest: records of a crawl or rows of a ready corpus to documents, shard by shard.

A shard is some whole files (``scan``, ready corpora) or some selected records (``index``). Its result is a folder: sorted runs
of documents, counts of what was skipped, robots rules, and what it took. Which shard held what never shows in a row.
"""

from __future__ import annotations

import itertools
import json
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from corpus.web.crawl.ranges import FetchRange, RecordPlace, coalesce
from corpus.web.documents import NO_RECORDS, REMARKS, SKIPPED, SkippedPages, document_row
from corpus.web.errors import WebCorpusError
from corpus.web.extraction import Extracted, PageExtractor, Skip
from corpus.web.merging import DocumentRuns
from corpus.web.ready.files import BadRow, ReadyRow, read_rows
from corpus.web.rights.robots import ROBOTS, ROBOTS_PATH, TDMREP_PATH, robots_row
from corpus.web.settings import DocumentSettings, ReadyCorpus
from corpus.web.warc.reading import (
    Damage,
    OtherRecord,
    Oversized,
    PlainText,
    Record,
    Response,
    read_buffer,
    read_records,
)
from foundation.language.identification import load_identifier
from foundation.settings import file_sha256
from foundation.sources.locations import AccessSettings, ByteRange, Location, OutsideFile
from foundation.store.erased import NOTHING_ERASED, ErasedAddresses

FilesShard: TypeAlias = "list[list[str | None]]"
"""Paths, each with the sha256 that the snapshot knows of it; None where it knows none, or the store vouches for it."""
SHARDS_MOST = 2_000
"""Files are grouped so that there are no more shards than this: job arrays and folders stay of a usable size."""
SHARD_RECORDS = 20_000
"""Selected records of one shard at most: some 350 MB of a crawl."""
SHARD_SECONDS = 1_200.0
"""What one shard may take by the rate of requests: it is done whole or not at all."""


@dataclass(frozen=True)
class HarvestRun:
    """What a shard needs besides its files or records; picklable.

    Attributes:
        location: root of the crawl's or corpus's files.
        sharers: processes among which requests per second are divided.
        corpus: how a ready corpus's rows are read; None for a crawl.
        erased: addresses that are left out.
    """

    snapshot: str
    location: str
    access: AccessSettings
    sharers: int
    model: str
    label: str
    settings: DocumentSettings
    corpus: ReadyCorpus | None = None
    erased: ErasedAddresses = NOTHING_ERASED


class _Harvester:
    """Collects what one shard gives."""

    def __init__(self, run: HarvestRun, output: Path) -> None:
        output.mkdir(parents=True)
        self._run = run
        self._output = output
        self._extractor = PageExtractor(run.settings, load_identifier(Path(run.model)), run.label)
        self._documents = DocumentRuns(output)
        self._skipped: dict[str, SkippedPages] = {}
        self._robots: list[dict[str, Any]] = []
        self._seconds = {"read": 0.0, "rejected": 0.0, "extracted": 0.0, "written": 0.0}
        self._records = self._pages = self._payload_bytes = self._read_bytes = self._lost_bytes = 0

    def take_file(self, path: str, records: Iterable[Record], size: int) -> None:
        """All records of a file of so many bytes."""
        before, lost = self._records, self._lost_bytes
        self.take_records(path, records, size)
        if self._records == before:
            self._records += 1
            self._lost_bytes = lost + size  # rubbish among it was counted already
            self._skipped[path].add(NO_RECORDS, example=f"{size} bytes")

    def take_records(self, path: str, records: Iterable[Record], size: int) -> None:
        """Records out of so many bytes of one file of a crawl."""
        skipped = self._skipped.setdefault(path, SkippedPages(path))
        self._read_bytes += size
        for record in self._timed(records):
            if isinstance(record, Damage):
                self._take_damage(skipped, record)
                continue
            self._records += 1
            if self._is_erased(record):
                skipped.add("erased")
            elif isinstance(record, Oversized):
                skipped.add("too_large", example=record.url)
            elif isinstance(record, OtherRecord):
                skipped.add("not_a_response")
            elif isinstance(record, Response) and record.url.endswith((ROBOTS_PATH, TDMREP_PATH)):
                row = robots_row(record, path)
                skipped.add("host_statement", example=record.url)
                if row is not None:
                    self._robots.append(row)
            else:
                self._take_page(path, skipped, record)

    def _is_erased(self, record: Record) -> bool:
        return bool(self._run.erased) and not isinstance(record, OtherRecord | Damage) and self._run.erased.holds(record.url)

    def _take_damage(self, skipped: SkippedPages, damage: Damage) -> None:
        self._records += damage.records
        self._lost_bytes += damage.length
        reason = damage.reason if damage.records or damage.reason in REMARKS else "damaged_end"
        skipped.add(reason, example=_place(damage), pages=max(damage.records, 1))

    def lose(self, path: str, offset: int, length: int) -> None:
        """A selected record that its file ends before."""
        self._read_bytes += length
        self._take_damage(self._skipped.setdefault(path, SkippedPages(path)), Damage(offset, "truncated_record", length))

    def take_rows(self, path: str, rows: Iterable[ReadyRow | BadRow], size: int) -> None:
        """Rows of one file of a ready corpus of so many bytes."""
        skipped = self._skipped.setdefault(path, SkippedPages(path))
        self._read_bytes += size
        for row in self._timed(rows):
            if isinstance(row, BadRow):
                self._records += row.reason != "bad_time"  # the row itself follows
                skipped.add(row.reason, example=f"row {row.row}")
                if row.reason == "damaged_file" and row.row == 0:
                    self._lost_bytes += size
            else:
                self._records += 1
                if self._run.erased.holds(row.url):
                    skipped.add("erased")
                else:
                    self._take_page(path, skipped, row)

    def close(self, location: Location) -> None:
        """Write what is left: counts, robots rules, what the shard took."""
        begun = time.perf_counter()
        self._documents.close()
        rows = [row for skipped in self._skipped.values() for row in skipped.rows()]
        pq.write_table(pa.Table.from_pylist(rows, schema=SKIPPED.schema), self._output / "skipped.parquet")
        pq.write_table(pa.Table.from_pylist(self._robots, schema=ROBOTS.schema), self._output / "robots.parquet")
        self._seconds["written"] += time.perf_counter() - begun
        took = {
            "records": self._records,
            "pages": self._pages,
            "payload_bytes": self._payload_bytes,
            "read_bytes": self._read_bytes,
            "lost_bytes": self._lost_bytes,
            "text_bytes": self._documents.text_bytes,
            "seconds": self._seconds,
            "traffic": asdict(location.traffic),
        }
        (self._output / "took.json").write_text(json.dumps(took), encoding="utf-8")

    def _take_page(self, path: str, skipped: SkippedPages, record: Response | PlainText | ReadyRow) -> None:
        begun = time.perf_counter()
        self._pages += 1
        if isinstance(record, Response):
            self._payload_bytes += len(record.payload)
            page = self._extractor.extract(record)
        else:
            self._payload_bytes += len(record.text)
            page = self._extractor.extract_record(record) if isinstance(record, PlainText) else self._extractor.extract_text(record.text)
        ended = time.perf_counter()
        if isinstance(page, Skip):
            self._seconds["rejected"] += ended - begun
            skipped.add(page.reason, page.language, record.url or "")
            return
        self._seconds["extracted"] += ended - begun
        self._add(path, record, page)
        self._seconds["written"] += time.perf_counter() - ended

    def _add(self, path: str, record: Response | PlainText | ReadyRow, page: Extracted) -> None:
        place = record.row if isinstance(record, ReadyRow) else record.offset
        self._documents.add(document_row(self._run.snapshot, self._run.label, record, page, path), path, place)

    def _timed(self, items: Iterable[Any]) -> Iterator[Any]:
        iterator = iter(items)
        while True:
            begun = time.perf_counter()
            item = next(iterator, None)
            self._seconds["read"] += time.perf_counter() - begun
            if item is None:
                return
            yield item


def harvest_files(shard: FilesShard, output: Path, run: HarvestRun) -> None:
    """Read whole files; those of a remote crawl are fetched one at a time and removed again."""
    location = Location(run.location, run.access, run.sharers)
    harvester = _Harvester(run, output)
    for name, sha256 in shard:
        path = str(name)
        local = location.local(path)
        if local is not None and sha256 is not None and file_sha256(local) != sha256:
            raise WebCorpusError(f"{local} changed since the snapshot {run.snapshot} was made; materialize snapshot again")
        size = location.size(path)  # says what is missing
        if run.corpus is not None:
            harvester.take_rows(path, read_rows(path, run.corpus, location), size)
        elif local is not None:
            harvester.take_file(path, read_records(local), size)
        else:
            fetched = output / "fetched"
            location.download(path, fetched)
            harvester.take_file(path, read_records(fetched), size)
            fetched.unlink()
    harvester.close(location)


def harvest_selection(shard: list[Any], output: Path, run: HarvestRun) -> None:
    """Fetch the selected records ``[file, start, rows]`` of the table ``selection`` and read them."""
    file, start, rows = shard
    location = Location(run.location, run.access, run.sharers)
    harvester = _Harvester(run, output)
    for fetched, data in _fetched(location, coalesce(_places(file, start, rows))):
        records = fetched.cut(data) if data is not None else ((offset, _inside(location, fetched.path, offset, length)) for offset, length in fetched.records)
        lengths = dict(fetched.records)
        for offset, content in records:
            if content is None:
                harvester.lose(fetched.path, offset, lengths[offset])
            else:
                harvester.take_records(fetched.path, read_buffer(content, offset), len(content))
    harvester.close(location)


def file_shards(files: Sequence[Sequence[str | None]], most: int = SHARDS_MOST) -> list[FilesShard]:
    """Files (path and sha256) in groups of equal size, in order."""
    size = -(-len(files) // most) or 1
    return [[list(file) for file in files[start : start + size]] for start in range(0, len(files), size)]


def shard_records(access: AccessSettings, tasks_at_once: int) -> int:
    """Selected records of one shard, so that it ends in reasonable time where many tasks share the requests per second."""
    wanted = int(SHARD_SECONDS * access.requests_per_second / tasks_at_once)
    return max(200, min(SHARD_RECORDS, wanted))


def selection_shards(files: Iterable[Path], rows: int = SHARD_RECORDS) -> list[list[Any]]:
    """Row ranges of the selection's Parquet files."""
    return [[str(file), start, rows] for file in files for start in range(0, pq.read_metadata(file).num_rows, rows)]


def _places(file: str, start: int, rows: int) -> Iterator[RecordPlace]:
    import polars as pl

    columns = pl.scan_parquet(file, glob=False).select("subset", "warc_path", "warc_offset", "warc_length").slice(start, rows).collect()
    ordered = columns.sort("warc_path", "warc_offset")  # robots.txt and pages lie in different files
    for _, path, offset, length in ordered.iter_rows():
        yield RecordPlace(path, offset, length)


def _fetched(location: Location, ranges: Iterable[FetchRange]) -> Iterator[tuple[FetchRange, bytes | None]]:
    """Ranges with their bytes, in order; drawn no faster than they are wanted. None where the file ends before the range does."""
    coming = iter(ranges)
    while True:
        waiting: deque[FetchRange] = deque()

        def wanted(waiting: deque[FetchRange] = waiting, coming: Iterator[FetchRange] = coming) -> Iterator[ByteRange]:
            for item in coming:
                waiting.append(item)
                yield ByteRange(item.path, item.start, item.length)

        try:
            for _, data in location.read_many(wanted()):
                yield waiting.popleft(), data
            return
        except OutsideFile:
            yield waiting.popleft(), None
            coming = itertools.chain(waiting, coming)


def _inside(location: Location, path: str, offset: int, length: int) -> bytes | None:
    """A record's bytes; None where the file ends before they do."""
    try:
        return location.read(path, offset, length)
    except OutsideFile:
        return None


def _place(damage: Damage) -> str:
    lost = f" ({damage.length} bytes)" if damage.length else ""
    return f"offset {damage.offset}{lost}{f': {damage.detail}' if damage.detail else ''}"
