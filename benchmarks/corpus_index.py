"""What the way over the index costs: a made crawl, a real HTTP server with byte ranges, the project's own selection and reader.

The crawl (``made_crawl``) has Common Crawl's layout, sizes of records and density of the language. All figures are counted
where the bytes are received, and held against what the server sent.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import hashlib
import json
import sys
import tempfile
import time
from base64 import b32encode
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks.made_crawl import NAME, CrawlPlan, MadeCrawl, made_crawl
from benchmarks.range_server import serving
from corpus.web.crawl.layout import index_files
from corpus.web.crawl.ranges import MAX_OVERHEAD, RecordPlace, coalesce
from corpus.web.crawl.selection import (
    SelectionRun,
    counts_of,
    merged_parts,
    select_part,
    select_robots,
    write_hosts,
)
from corpus.web.settings import SelectionSettings
from foundation.sources.locations import AccessSettings, ByteRange, Location, Traffic


@dataclass
class Fetched:
    """What fetching the selected records gave."""

    pages: int = 0
    robots: int = 0
    record_bytes: int = 0
    ranges: int = 0
    wrong: int = 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 1 where a record that came back is not the one that the index names."""
    options = _parser().parse_args(arguments)
    plan = CrawlPlan(captures=options.captures, share=options.density, language=options.language, seed=options.seed)
    access = AccessSettings(
        concurrency=options.concurrency, requests_per_second=options.requests_per_second, attempts=12, timeout_s=10, max_backoff_s=2
    )
    with contextlib.ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="corpus_index-")))
        crawl = made_crawl(folder / "crawl", plan)
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="selection-", dir=folder)))
        figures = measure(crawl, plan, access, work, options.max_overhead, options.refuse_every)
    if options.json:
        print(json.dumps(figures))
    else:
        _print(figures)
    return 1 if figures["wrong_records"] else 0


def measure(crawl: MadeCrawl, plan: CrawlPlan, access: AccessSettings, work: Path, max_overhead: float, refuse_every: int) -> dict[str, Any]:
    """Select and fetch over HTTP; returns the figures."""
    with serving(crawl.root, refuse_every) as served:
        run = SelectionRun(served.url, access, 1, NAME, SelectionSettings(languages=(plan.language,)))
        begin = time.perf_counter()
        parts, index_traffic = _select(run, work)
        selected = time.perf_counter()
        location = run.location()
        fetched = _fetch(location, merged_parts(parts), max_overhead)
        end = time.perf_counter()
        traffic = location.traffic
        sent = served.bytes
    scan = crawl.warc_bytes + crawl.robots_bytes
    return {
        "benchmark": "corpus_index",
        "captures": crawl.captures,
        "density": round(crawl.in_language / crawl.captures, 4),
        "warc_bytes": crawl.warc_bytes,
        "documents": fetched.pages,
        "robots": fetched.robots,
        "wrong_records": fetched.wrong,
        "record_bytes": fetched.record_bytes,
        "fetched_bytes": traffic.bytes,
        "overhead": round(traffic.bytes / fetched.record_bytes, 4),
        "index_bytes": index_traffic.bytes,
        "index_read_share": round(index_traffic.bytes / crawl.index_bytes, 3),
        "index_bytes_per_capture": round(index_traffic.bytes / crawl.captures, 1),
        "index_requests": index_traffic.requests,
        "requests_per_1000_docs": round(1000 * traffic.requests / fetched.pages, 1),
        "records_per_request": round((fetched.pages + fetched.robots) / fetched.ranges, 3),
        "saving": round(scan / (traffic.bytes + index_traffic.bytes), 2),
        "saving_without_index_bytes": round(scan / traffic.bytes, 2),
        "retries": traffic.retries + index_traffic.retries,
        "waited_s": round(traffic.waited_s + index_traffic.waited_s, 2),
        "server_bytes_unaccounted": sent - traffic.bytes - index_traffic.bytes,
        "select_seconds": round(selected - begin, 2),
        "fetch_seconds": round(end - selected, 2),
        "seconds": round(end - begin, 2),
        "requests_per_second_allowed": access.requests_per_second,
    }


def _select(run: SelectionRun, work: Path) -> tuple[list[Path], Traffic]:
    """Folders of the selection's parts, and what their making cost, lists of paths included."""
    lists = run.location()
    pages = []
    for number, path in enumerate(index_files(lists, NAME, "warc")):
        pages.append(work / f"pages-{number}")
        select_part(path, pages[-1], run)
    hosts = work / "hosts.parquet"
    write_hosts(pages, hosts)
    robots = []
    for number, path in enumerate(index_files(lists, NAME, "robotstxt")):
        robots.append(work / f"robots-{number}")
        select_robots(path, robots[-1], run, hosts)
    total = lists.traffic
    for output in (*pages, *robots):
        traffic = Traffic(**counts_of(output)["traffic"])
        for field in fields(Traffic):
            setattr(total, field.name, getattr(total, field.name) + getattr(traffic, field.name))
    return [*pages, *robots], total


def _fetch(location: Location, tables: Iterable[pa.Table], max_overhead: float) -> Fetched:
    """Fetch every selected record by coalesced ranges, and see that it is the page that the index names."""
    fetched = Fetched()
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    cuts = []

    def ranges() -> Iterator[ByteRange]:
        for table in tables:
            selected = table.to_pylist()
            rows.update({(row["warc_path"], row["warc_offset"]): row for row in selected})
            places = (RecordPlace(row["warc_path"], row["warc_offset"], row["warc_length"]) for row in selected)
            for part in coalesce(places, max_overhead=max_overhead):
                fetched.ranges += 1
                cuts.append(part)
                yield ByteRange(part.path, part.start, part.length)

    for place, (_, data) in enumerate(location.read_many(ranges())):
        part = cuts[place]
        for offset, record in part.cut(data):
            row = rows.pop((part.path, offset))
            fetched.record_bytes += len(record)
            fetched.pages += row["subset"] == "warc"
            fetched.robots += row["subset"] == "robotstxt"
            fetched.wrong += not _is_named(record, row)
    fetched.wrong += len(rows)
    return fetched


def _is_named(record: bytes, row: dict[str, Any]) -> bool:
    """Whether bytes are one whole record with the address and the payload that the index names."""
    try:
        head, _, rest = gzip.decompress(record).partition(b"\r\n\r\n")
    except (OSError, EOFError):
        return False
    payload = rest.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n\r\n")
    digest = b32encode(hashlib.sha1(payload, usedforsecurity=False).digest()).decode()
    return f"WARC-Target-URI: {row['url']}\r\n".encode() in head and digest == row["content_digest"]


def _print(figures: dict[str, Any]) -> None:
    for name, value in figures.items():
        shown = f"{value:,}" if isinstance(value, int) else str(value)
        print(f"{name.replace('_', ' '):32} {shown:>16}")


def _parser() -> argparse.ArgumentParser:
    plan = CrawlPlan()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.corpus_index",
        description=(
            "Makes a crawl in Common Crawl's layout, serves it over HTTP on 127.0.0.1, selects one language by the columnar index and "
            "fetches its records by coalesced byte ranges. overhead: WARC bytes fetched for each byte of selected records. saving: bytes of "
            "a scan (all WARC and robotstxt files) for each byte that the way over the index fetches, its index bytes included."
        ),
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on one line")
    parser.add_argument("--folder", type=Path, help="make the crawl below this folder and keep it there; default: a temporary one")
    parser.add_argument("--captures", type=int, default=plan.captures, help="captures of the crawl, of some 18 kB each")
    parser.add_argument("--density", type=float, default=plan.share, help="share of hosts in the language")
    parser.add_argument("--language", default=plan.language, help="ISO 639-3")
    parser.add_argument("--seed", type=int, default=plan.seed, help="seed of the crawl")
    parser.add_argument("--max-overhead", type=float, default=MAX_OVERHEAD, help="budget of coalescing")
    parser.add_argument("--concurrency", type=int, default=8, help="requests in flight")
    parser.add_argument("--requests-per-second", type=float, default=500.0, help="cap on requests")
    parser.add_argument("--refuse-every", type=int, default=50, help="the server answers each so many-th request with 503; 0: none")
    return parser


if __name__ == "__main__":
    sys.exit(main())
