"""A crawl from everywhere: the same rows and versions from a folder, over HTTP, from S3, by one worker or two."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from corpus.web.settings import SelectionSettings, SnapshotSettings, WebSettings
from corpus.web.stages import stages
from foundation.sources.locations import AccessSettings
from foundation.stages import StageResult
from tests.corpus.web.made_crawl import CRAWL, OPTED_OUT, write_crawl, write_wet
from tests.servers import ServerFault, folder_server, s3_server

Runner = Callable[..., StageResult]
FAST = {"requests_per_second": 1000.0, "max_backoff_s": 0.05}


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_crawl(tmp_path_factory.mktemp("crawl"))


@pytest.fixture
def harvested(stage_runner: Runner, web: WebSettings, sections: dict[str, Any]) -> Callable[..., tuple[StageResult, StageResult]]:
    """Snapshot and documents of the crawl at a place."""

    def run(location: str, way: str = "index", workers: int = 1, access: dict[str, Any] | None = None, **selection: Any) -> tuple[StageResult, StageResult]:
        chosen = SelectionSettings(way=way, languages=("ita",), **selection)  # type: ignore[arg-type]
        settings = {
            **sections,
            "corpus.web.access": AccessSettings(location=location, **{**FAST, **(access or {})}),
            "corpus.web.snapshot": SnapshotSettings(selection=chosen),
        }
        snapshot, documents = (
            stage_runner(stages(web), settings, asset, CRAWL, snapshots=(CRAWL,), workers=workers) for asset in ("snapshot", "documents")
        )
        return snapshot, documents

    return run


@contextmanager
def _fresh(path: Path) -> Iterator[None]:
    """Forget all builds, so that the next run does its work."""
    for record in [*path.rglob("builds/*.json")]:
        record.unlink()
    yield


@pytest.mark.parametrize("way", ["index", "scan"])
def test_same_versions_from_a_folder_and_over_http_by_one_worker_or_two(
    crawl: Path, harvested: Callable[..., tuple[StageResult, StageResult]], home: Path, way: str
) -> None:
    versions = set()
    for workers in (1, 2):
        with folder_server(crawl) as server, _fresh(home):
            found = harvested(f"{server.url}/", way, workers)
            versions.add(tuple(result.published.version for result in found))
            assert not any(result.reused for result in found) and len(server.requests) > 3
    with _fresh(home):
        found = harvested(str(crawl), way)
        versions.add(tuple(result.published.version for result in found))
    assert len(versions) == 1
    documents = found[1].published
    assert documents.rows > 20 and found[1].record.passed
    if way == "scan":
        assert documents.statistics["skipped"]["exact_copy"] == 1


def test_the_index_selects_what_a_scan_finds(crawl: Path, harvested: Callable[..., tuple[StageResult, StageResult]]) -> None:
    selected, by_index = harvested(str(crawl))
    _, by_scan = harvested(str(crawl), "scan")
    pages = selected.published.read("selection").filter(pl.col("subset") == "warc")
    assert set(pages["content_languages"]) == {"ita"}
    rows = {name: result.published.read("documents") for name, result in (("index", by_index), ("scan", by_scan))}
    same = rows["scan"].filter(pl.col("document_id").is_in(rows["index"]["document_id"].to_list()))
    assert same.equals(rows["index"]) and same.height <= rows["scan"].height
    assert rows["index"].height + by_index.published.statistics["skipped"].get("exact_copy", 0) + _lost(by_index) == pages.height


def test_hosts_that_shut_out_crawlers_are_known_either_way(crawl: Path, harvested: Callable[..., tuple[StageResult, StageResult]]) -> None:
    for way in ("index", "scan"):
        _, documents = harvested(str(crawl), way)
        rows = documents.published.read("documents")
        refused = rows.filter(pl.col("robots_disallowed").list.contains("CCBot"))
        assert refused.height and all(url.startswith(OPTED_OUT) for url in refused["url"])
        assert documents.published.read("robots")["host"].to_list() == [OPTED_OUT]
        assert documents.published.statistics["opted_out"]["robots_disallowed"] == refused.height


def test_a_server_under_load_costs_time_and_no_rows(crawl: Path, harvested: Callable[..., tuple[StageResult, StageResult]], home: Path) -> None:
    with folder_server(crawl) as server:
        plain = harvested(f"{server.url}/")
    with folder_server(crawl) as server, _fresh(home):
        server.fail(ServerFault(status=503), times=3)
        server.fail(ServerFault(status=403), times=2)
        loaded = harvested(f"{server.url}/")
    assert [result.published.version for result in plain] == [result.published.version for result in loaded]
    retries = sum(result.record.observations["traffic"]["retries"] for result in loaded)
    assert retries >= 5


def test_a_share_is_a_part_of_the_whole(crawl: Path, harvested: Callable[..., tuple[StageResult, StageResult]]) -> None:
    whole, half = (harvested(str(crawl), share=share)[1].published.read("documents") for share in (1.0, 0.5))
    assert 0 < half.height < whole.height and set(half["document_id"]) < set(whole["document_id"])
    _, one_file = harvested(str(crawl), "scan", max_files=1)
    paths = set(one_file.published.read("documents")["warc_path"])
    assert len(paths) == 1


def test_a_changed_mirror_is_read_again(crawl: Path, tmp_path: Path, harvested: Callable[..., tuple[StageResult, StageResult]]) -> None:
    mirror = write_crawl(tmp_path / "mirror", warc_files=2)
    first, _ = harvested(str(mirror))
    again, _ = harvested(str(mirror))
    assert not first.reused and again.reused
    write_crawl(mirror, warc_files=3)
    changed, _ = harvested(str(mirror))
    assert not changed.reused and changed.published.version != first.published.version


@pytest.mark.services
@pytest.mark.parametrize("way", ["index", "scan"])
def test_same_versions_from_an_s3_server(
    crawl: Path, harvested: Callable[..., tuple[StageResult, StageResult]], home: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = harvested(str(crawl), way)
    server: AbstractContextManager[Any] = s3_server(crawl)
    with server as s3, _fresh(home):
        for name, value in s3.environment.items():
            monkeypatch.setenv(name, value)
        there = harvested(s3.url, way, access={"s3_endpoint": s3.endpoint})
        assert not any(result.reused for result in there)
    assert [result.published.version for result in here] == [result.published.version for result in there]


def _lost(documents: StageResult) -> int:
    skipped = documents.published.read("skipped").filter(~pl.col("reason").is_in(["exact_copy", "host_statement"]))
    return int(skipped["pages"].sum())


def test_what_a_build_took_is_recorded_beside_it(crawl: Path, harvested: Callable[..., tuple[StageResult, StageResult]]) -> None:
    _, documents = harvested(str(crawl), "scan")
    took, counts = documents.record.observations, documents.published.statistics
    assert set(took["seconds_by_step"]) == {"read", "rejected", "extracted", "written"} and took["traffic"]["requests"] >= 0
    assert counts["records"] == counts["documents"] + sum(counts["skipped"].values())
    assert "seconds" not in json.dumps(counts)  # nothing of this machine in what is versioned


def test_a_damaged_crawl_loses_what_is_damaged_and_says_where(
    crawl: Path, tmp_path: Path, harvested: Callable[..., tuple[StageResult, StageResult]]
) -> None:
    _, whole = harvested(str(crawl), "scan")
    mirror = shutil.copytree(crawl, tmp_path / "mirror")
    path = sorted(mirror.rglob("warc/*.warc.gz"))[0]
    relative = path.relative_to(mirror).as_posix()
    rows = whole.published.read("documents").filter(pl.col("warc_path") == relative).sort("warc_offset")
    hurt, last = rows.row(1, named=True), rows.row(rows.height - 1, named=True)
    content = bytearray(path.read_bytes())
    middle = hurt["warc_offset"] + hurt["warc_length"] // 2
    content[middle : middle + 40] = bytes(40)
    cut = last["warc_offset"] + last["warc_length"] // 2
    rubbish = b"<html>no record</html>" * 9
    path.write_bytes(bytes(content[: last["warc_offset"]]) + rubbish + bytes(content[last["warc_offset"] : cut]))
    _, damaged = harvested(str(mirror), "scan")
    lost = set(whole.published.read("documents")["document_id"]) - set(damaged.published.read("documents")["document_id"])
    assert {hurt["document_id"], last["document_id"]} <= lost
    after = [row["document_id"] for row in rows.iter_rows(named=True) if row["warc_offset"] > last["warc_offset"]]
    assert lost == {hurt["document_id"], last["document_id"], *after}
    counts = damaged.published.statistics
    assert counts["skipped"]["damaged_member"] == 1 and counts["skipped"]["truncated_record"] == 1 and counts["remarks"] == {"rubbish": 1}
    places = damaged.published.read("skipped").filter(pl.col("path") == relative, pl.col("reason") == "damaged_member")["examples"].to_list()
    assert places[0][0].startswith(f"offset {hurt['warc_offset']} ({hurt['warc_length']} bytes)")
    assert counts["records"] == counts["documents"] + sum(counts["skipped"].values())


def test_too_much_damage_fails_the_gate(crawl: Path, tmp_path: Path, harvested: Callable[..., tuple[StageResult, StageResult]]) -> None:
    mirror = shutil.copytree(crawl, tmp_path / "mirror")
    for path in mirror.rglob("warc/*.warc.gz"):
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 3] + bytes(len(content) // 3) + content[2 * len(content) // 3 :])
    _, documents = harvested(str(mirror), "scan")
    gates = {gate.name: gate.passed for gate in documents.record.gates}
    assert gates == {"not_empty": True, "damage_share": False}


def test_texts_of_wet_files_are_documents(crawl: Path, tmp_path: Path, harvested: Callable[..., tuple[StageResult, StageResult]]) -> None:
    mirror = shutil.copytree(crawl, tmp_path / "mirror")
    write_wet(mirror)
    snapshot, documents = harvested(str(mirror), "scan", files="wet")
    assert snapshot.published.read("files")["kind"].to_list() == ["wet"]
    rows = documents.published.read("documents")
    assert rows.height > 20 and set(rows["extractor"]) == {"commoncrawl-wet"}
    assert rows["warc_record_id"].null_count() == 0 and rows["noai"].null_count() == rows.height
    by_scan = harvested(str(crawl), "scan")[1].published.read("documents")
    assert set(by_scan["url"]) - set(rows["url"]) == set()


@pytest.mark.parametrize("kind", ["empty", "page"])
def test_a_file_without_records_is_a_loss(crawl: Path, tmp_path: Path, harvested: Callable[..., tuple[StageResult, StageResult]], kind: str) -> None:
    mirror = shutil.copytree(crawl, tmp_path / "mirror")
    path = sorted(mirror.rglob("warc/*.warc.gz"))[0]
    path.write_bytes(b"" if kind == "empty" else b"<html>503 Slow down</html>" * 500)
    _, documents = harvested(str(mirror), "scan")
    counts = documents.published.statistics
    assert counts["skipped"]["no_records"] == 1 and counts["records"] == counts["documents"] + sum(counts["skipped"].values())
    gates = {gate.name: gate.value for gate in documents.record.gates}
    assert gates["damage_share"] > 0.01 and counts["lost_bytes"] >= path.stat().st_size


def test_a_file_cut_in_half_fails_the_gate_by_its_bytes(crawl: Path, tmp_path: Path, harvested: Callable[..., tuple[StageResult, StageResult]]) -> None:
    mirror = shutil.copytree(crawl, tmp_path / "mirror")
    for path in sorted(mirror.rglob("warc/*.warc.gz"))[:2]:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    _, by_index = harvested(str(mirror), "index")
    counts = by_index.published.statistics
    assert counts["skipped"]["truncated_record"] > 3 and counts["documents"] > 5  # what is there of the files is read
    assert not by_index.record.passed


def test_shard_sizes_show_in_no_row(
    crawl: Path, home: Path, harvested: Callable[..., tuple[StageResult, StageResult]], monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = set()
    for rows in (20_000, 4):
        monkeypatch.setattr("corpus.web.harvest.shard_records", lambda access, tasks, rows=rows: rows)
        with _fresh(home):
            versions.add(harvested(str(crawl))[1].published.version)
    assert len(versions) == 1


def test_unread_robots_are_unknown_and_not_silent(crawl: Path, tmp_path: Path, harvested: Callable[..., tuple[StageResult, StageResult]]) -> None:
    part = harvested(str(crawl), "scan", max_files=2)[1].published.read("documents")
    assert part["robots_disallowed"].null_count() == part.height
    mirror = shutil.copytree(crawl, tmp_path / "mirror")
    shutil.rmtree(next(mirror.rglob("robotstxt")))
    for leftover in [*mirror.rglob("robotstxt.paths.gz"), *mirror.rglob("subset=robotstxt/*.parquet")]:
        leftover.unlink()
    without = harvested(str(mirror), "scan")[1].published.read("documents")
    assert without.height and without["robots_disallowed"].null_count() == without.height
