"""Erasing from the web corpus: out of pages, measures, clusters, the clean corpus and the crawl's own files; and no rebuild brings it back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

from corpus.web.settings import ReadyCorpus, ReplaySettings, SnapshotSettings, WebSettings
from corpus.web.stages import stages
from corpus.web.warc.erasing import erase_captures
from corpus.web.warc.reading import Damage, Response, read_records
from foundation.settings import file_sha256
from foundation.stages import Stage, StageResult
from foundation.store import PublishedVersion, Store
from foundation.store.erased import NOTHING_ERASED
from foundation.store.erasure import erase

SNAPSHOT = "SAMPLE-2026-01"
DOMAIN = "sentieri-alti.example"
LINE = ("benchmark_sets", "snapshot", "documents", "signals", "decisions", "duplicate_clusters", "clean_corpus", "replay_text", "evaluation_text")

Runner = Callable[..., StageResult]


def _run(runner: Runner, web: WebSettings, sections: Mapping[str, Any], benchmark: Stage) -> dict[str, StageResult]:
    graph = (*stages(web), benchmark)
    partitioned = {stage.asset for stage in graph if stage.partitioned}
    return {asset: runner(graph, sections, asset, SNAPSHOT if asset in partitioned else None) for asset in LINE}


def _versions(store: Store) -> Iterator[PublishedVersion]:
    for asset, partition in store.places():
        yield from (store.published(record) for record in store.builds(asset, partition))


def _mentions(version: PublishedVersion, ids: set[str]) -> int:
    """Rows, records and files of a version that hold the domain or one of its documents."""
    found = 0
    for table in version.tables:
        for row in version.read(table).drop("cluster_id", strict=False).iter_rows():
            found += DOMAIN in str(row) or any(key in ids for key in row if isinstance(key, str))
    for path in version.files.rglob("*") if version.files.is_dir() else []:
        if path.name.endswith(".parquet"):
            found += sum(DOMAIN in str(url) for url in pq.read_table(path, columns=["url"])["url"].to_pylist())
        elif ".warc" in path.name:
            found += sum(DOMAIN in str(record) for record in read_records(path))
    return found + (DOMAIN in (version.path / "manifest.json").read_text(encoding="utf-8"))


@pytest.mark.services
def test_a_planted_domain_is_erased_from_the_whole_line(
    stage_runner: Runner, web: WebSettings, sections: Mapping[str, Any], benchmark_stage: Stage, home: Path
) -> None:
    first = _run(stage_runner, web, sections, benchmark_stage)
    documents = first["documents"].published.read("documents")
    ids = set(documents.filter(pl.col("url").str.contains(DOMAIN))["document_id"])
    store = Store(home / "store")
    assert len(ids) > 2 and sum(bool(_mentions(version, ids)) for version in _versions(store)) >= 6
    erasers = {stage.asset: stage.erase_files for stage in stages(web) if stage.erase_files}
    done = erase(store, domains=[DOMAIN], erasers=erasers)
    assert {held.key.asset for held in done.held} >= {"snapshot", "documents", "signals", "decisions", "duplicate_clusters", "clean_corpus"}
    assert all(held.way == "rewritten" for held in done.held)
    assert [version for version in _versions(store) if _mentions(version, ids)] == []
    assert all(version.damage(hashes=True) == [] for version in _versions(store))
    snapshot = store.resolve("snapshot", SNAPSHOT, ref="test")
    for path, size, sha256 in snapshot.read("files").select("path", "bytes", "sha256").iter_rows():
        assert (size, sha256) == ((snapshot.files / path).stat().st_size, file_sha256(snapshot.files / path))

    second = _run(stage_runner, web, sections, benchmark_stage)
    assert not second["documents"].reused and not second["clean_corpus"].reused
    assert [version for version in _versions(store) if _mentions(version, ids)] == []
    pages = second["documents"].published
    others = documents.filter(~pl.col("document_id").is_in(list(ids)))
    assert pages.read("documents").equals(others), "another page is not what it was"
    assert pages.rows > 10 and all(result.record.passed for result in second.values())


def test_other_records_stay_where_the_index_says(stage_runner: Runner, web: WebSettings, sections: Mapping[str, Any]) -> None:
    root = stage_runner(stages(web), sections, "snapshot", SNAPSHOT).published.files
    path = max(root.rglob("*.warc.gz"), key=lambda path: sum(DOMAIN in getattr(record, "url", "") for record in read_records(path)))
    before = {record.offset: record for record in read_records(path)}
    gone = {offset for offset, record in before.items() if DOMAIN in getattr(record, "url", "")}
    erased = NOTHING_ERASED.with_addresses([], [DOMAIN])
    found = erase_captures(root, erased, False)
    assert found[path.relative_to(root).as_posix()] == len(gone) > 1 and {record.offset for record in read_records(path)} == set(before)
    assert erase_captures(root, erased, True) == found and erase_captures(root, erased, True) == {}
    after = {record.offset: record for record in read_records(path)}
    assert set(after) == set(before) and all(after[offset] == record for offset, record in before.items() if offset not in gone)
    assert not any(isinstance(after[offset], Response | Damage) for offset in gone)
    assert DOMAIN.encode() not in b"".join(str(record).encode() for record in after.values())


@pytest.mark.parametrize("plain", [False, True], ids=["gzip", "plain"])
def test_records_of_a_request_and_of_plain_files_go_too(tmp_path: Path, plain: bool) -> None:
    import gzip

    def record(kind: str, url: str, block: bytes) -> bytes:
        head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:1>\r\nWARC-Date: 2026-01-01T00:00:00Z\r\nWARC-Target-URI: {url}\r\nContent-Length: {len(block)}\r\n\r\n"
        content = head.encode() + block + b"\r\n\r\n"
        return content if plain else gzip.compress(content, mtime=0)

    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>x</p>"
    parts = [record(kind, url, page) for url in ("https://a.example/", "https://b.example/") for kind in ("request", "response")]
    path = tmp_path / ("x.warc" if plain else "x.warc.gz")
    path.write_bytes(b"".join(parts))
    assert erase_captures(tmp_path, NOTHING_ERASED.with_addresses(["http://a.example/"], []), True) == {path.name: 2}
    content = path.read_bytes()
    assert len(content) == sum(map(len, parts)) and content.endswith(parts[2] + parts[3])
    assert b"a.example" not in (content if plain else gzip.decompress(content))
    records = list(read_records(path))
    assert [entry.url for entry in records if isinstance(entry, Response)] == ["https://b.example/"] and not any(isinstance(entry, Damage) for entry in records)


def test_readers_of_ready_corpora_leave_erased_rows_out(
    stage_runner: Runner, web: WebSettings, sections: dict[str, Any], home: Path, tmp_path: Path
) -> None:
    graph, name = stages(web), "ready"
    text = "Le montagne che chiudono la valle a nord restano bianche fino a maggio inoltrato. " * 8
    english = "The mountains that close the valley to the north stay white until well into the month of May. " * 12
    hosts = ("www.rossi.example", "bianchi.example", "verdi.example")
    (tmp_path / "target").mkdir()
    (tmp_path / "source").mkdir()
    pl.DataFrame({"url": [f"https://{host}/{page}" for host in hosts for page in range(3)], "text": [f"{text}{page} {host}" for host in hosts for page in range(3)]}).write_parquet(tmp_path / "target" / "a.parquet")
    pl.DataFrame({"url": [f"https://{host}/{page}" for host in hosts for page in range(3)], "text": [f"{english}{page} {host}" for host in hosts for page in range(3)]}).write_parquet(tmp_path / "source" / "a.parquet")
    chosen = {
        **sections,
        "corpus.web.snapshot": SnapshotSettings(source="bundled", corpora={name: ReadyCorpus(location=str(tmp_path / "target"), fetched=None)}),
        "corpus.web.replay": ReplaySettings(corpus=ReadyCorpus(location=str(tmp_path / "source"), fetched=None)),
    }

    def hosts_of() -> tuple[set[str], set[str]]:
        stage_runner(graph, chosen, "snapshot", name, snapshots=(name,))
        documents = stage_runner(graph, chosen, "documents", name, snapshots=(name,)).published.read("documents")
        replay = stage_runner(graph, chosen, "replay_text", snapshots=(name,)).published.read("text")
        return {url.split("/")[2] for url in documents["url"]}, {url.split("/")[2] for url in replay["url"]}

    assert hosts_of() == (set(hosts), set(hosts))
    erase(Store(home / "store"), domains=["rossi.example"])
    assert hosts_of() == (set(hosts[1:]), set(hosts[1:]))
    documents = stage_runner(graph, chosen, "documents", name, snapshots=(name,)).published
    assert documents.statistics["skipped"] == {"erased": 3}
