"""Snapshots whose files stay where they are: crawls of Common Crawl and ready corpora. The version says what is read of them."""

from __future__ import annotations

import functools
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpus.web.crawl.layout import crawl_files, drawn_files, index_files, robots_files
from corpus.web.crawl.selection import (
    SelectionRun,
    counts_of,
    merged_parts,
    select_part,
    select_robots,
    write_hosts,
)
from corpus.web.ready.files import corpus_files, file_kind, ready_location
from corpus.web.settings import ReadyCorpus, SelectionSettings, SnapshotSettings
from corpus.web.snapshot import folder_files, source_of
from foundation.execution import Engine, run_shards
from foundation.settings import file_sha256
from foundation.sources.data import DataFolder
from foundation.sources.debian import DebianPackages
from foundation.sources.locations import AccessSettings, Location

CORPUS_FILE = "corpus.json"
"""How the rows of a ready corpus are read, in the version of its snapshot."""


def whole_files(location: Location, crawl: str, settings: SelectionSettings) -> list[dict[str, Any]]:
    """Rows of the table ``files`` for way scan: the drawn files, and the robots.txt captures where all pages are read.

    Of a part of the pages the robots.txt captures are left out: they lie in other files than the pages of their hosts, and
    reading all of them would take longer than the pages.
    """
    kinds: list[tuple[str, list[str]]] = [(settings.files, drawn_files(crawl_files(location, crawl, settings.files), settings.share, settings.max_files))]
    if settings.robots and settings.files == "warc" and settings.share == 1 and settings.max_files is None:
        kinds.append(("robotstxt", robots_files(location, crawl)))
    rows = [{"path": path, "kind": kind, "bytes": None, "sha256": None} for kind, paths in kinds for path in paths]
    return sorted(rows, key=lambda row: row["path"])


@dataclass
class Selected:
    """The selection of a crawl while it is merged: its tables once, and what they held."""

    index_rows: list[dict[str, Any]]
    parts: Sequence[Path]
    rows: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    domains: Counter[str] = field(default_factory=Counter)

    def tables(self) -> Iterator[pa.Table]:
        """The table ``selection`` in canonical order, piece by piece; counted as it goes by."""
        for table in merged_parts(self.parts):
            for subset in ("warc", "robotstxt"):
                part = table.filter(pc.equal(table.column("subset"), subset))
                self.rows[subset] += part.num_rows
                self.bytes[subset] += pc.sum(part.column("warc_length")).as_py() or 0
            pages = table.filter(pc.equal(table.column("subset"), "warc"))
            _count(self.languages, pages.column("content_languages"))
            _count(self.domains, pages.column("registered_domain"))
            yield table

    def counts(self) -> dict[str, Any]:
        """What the index held and what was selected; the same in every run."""
        names = ("rows", "matched", "not_drawn")
        parts = [counts_of(part) for part in self.parts]
        pages = [part for part in parts if part["subset"] == "warc"]
        index = {name: sum(part[name] for part in pages) for name in names}
        return {
            "index": {**index, "columns_lacking": sorted({name for part in pages for name in part["columns_lacking"]})},
            "selected": dict(self.rows),
            "selected_bytes": dict(self.bytes),
            "languages": dict(self.languages.most_common(20)),
            "registered_domains": len(self.domains),
            "top_domains": dict(sorted(self.domains.items(), key=lambda item: (-item[1], item[0]))[:20]),
        }

    def traffic(self, lists: Mapping[str, Any]) -> dict[str, Any]:
        """Requests, bytes and retries of all parts, and of what was read for the lists of files."""
        total = Counter(lists)
        for part in self.parts:
            total.update(counts_of(part).get("traffic", {}))
        return dict(total)


def select_records(location: Location, run: SelectionRun, work: Path, engine: Engine) -> Selected:
    """Ask the columnar index for pages, and for the robots.txt captures of their hosts; resumable by index file."""
    parts = index_files(location, run.crawl, "warc")
    pages = run_shards(functools.partial(select_part, run=run), parts, work, "pages", suffix="", engine=engine, label=f"index of {run.crawl}: pages")
    outputs, rows = list(pages), parts
    robots = index_files(location, run.crawl, "robotstxt") if run.settings.robots else []
    if robots:
        hosts = work / "hosts.parquet"
        if not hosts.exists():
            write_hosts(pages, hosts)
        found = run_shards(
            functools.partial(select_robots, run=run, hosts_file=hosts), robots, work, "robots", suffix="", engine=engine, label=f"index of {run.crawl}: robots.txt"
        )
        outputs.extend(found)
        rows = [*parts, *robots]
    return Selected([{"path": path, "kind": "index", "bytes": None, "sha256": None} for path in sorted(rows)], outputs)


def corpus_key(snapshot: str) -> str:
    """The profile's key of a snapshot's ready corpus, for messages."""
    return f"corpus.web.snapshot.corpora.{snapshot}"


def check_source(settings: SnapshotSettings, snapshot: str, debian: DebianPackages, data: DataFolder, access: AccessSettings) -> None:
    """See that a snapshot's source can be named and its folder is there; no network is asked.

    Raises:
        WebCorpusError: no source goes by this name, or a ready corpus's location cannot be used.
        LocationError: the folder that crawls are read from is not there.
    """
    source = source_of(settings, snapshot, debian)
    if source == "corpus":
        ready_location(settings.corpora[snapshot], data, access, key=corpus_key(snapshot))
    elif source == "common_crawl":
        Location(access.location, access)
    elif source == "folder":
        folder_files(settings, data, snapshot)


def corpus_rows(corpus: ReadyCorpus, location: Location, key: str) -> list[dict[str, Any]]:
    """Rows of the table ``files`` for a ready corpus; those of a folder with their sha256."""
    rows = []
    for path in corpus_files(corpus, location, key):
        local = location.local(path)
        rows.append({"path": path, "kind": file_kind(path), "bytes": location.size(path), "sha256": file_sha256(local) if local else None})
    return rows


def corpus_document(corpus: ReadyCorpus) -> str:
    """What the version keeps of a ready corpus's settings: how rows are read, and the address where it is one.

    A folder's place is left out: its files are known by their sha256.
    """
    values = corpus.model_dump(mode="json")
    if "://" not in corpus.location:
        values.pop("location")
    return json.dumps(values, indent=1, sort_keys=True) + "\n"


def corpus_of(document: Path, settings: ReadyCorpus | None) -> ReadyCorpus:
    """The settings that a snapshot's version was made with; a folder's place as the profile says it now."""
    values = json.loads(document.read_text(encoding="utf-8"))
    if "location" not in values and settings is not None:
        values["location"] = settings.location
    return ReadyCorpus(**values)


def listing(corpus: ReadyCorpus | None, crawl: str, access: AccessSettings, data: DataFolder) -> Mapping[str, Any]:
    """What is known of local files before they are read, so that a changed folder is noticed: a hash over names, sizes and times.

    Copies of a folder differ in times; the snapshot is then read again, and what was made of it stays. Remote files are taken
    at their word: Common Crawl's and commits of the Hub never change.
    """
    if corpus is not None:
        key = corpus_key(crawl) if crawl else "corpus.web.replay.corpus"
        location = ready_location(corpus, data, access, key=key)
        paths = corpus_files(corpus, location, key) if location.is_local else []
    else:
        location = Location(access.location, access)
        patterns = (f"crawl-data/{crawl}/*.paths.gz", f"crawl-data/{crawl}/segments/**/*.gz", f"cc-index/table/cc-main/warc/crawl={crawl}/**/*.parquet")
        paths = [path for pattern in patterns for path in location.find(pattern)] if location.is_local else []
    digest = hashlib.sha256()
    for path in paths:
        local = location.local(path)
        if local is not None:
            status = local.stat()
            digest.update(f"{path}\x00{status.st_size}\x00{status.st_mtime_ns}\n".encode())
    return {"local_files": digest.hexdigest()} if paths else {}


def traffic_of(location: Location) -> dict[str, Any]:
    """Requests and bytes so far."""
    return asdict(location.traffic)


def _count(counter: Counter[str], values: pa.ChunkedArray) -> None:
    for entry in pc.value_counts(values):
        counter[entry["values"].as_py() or "unknown"] += entry["counts"].as_py()
