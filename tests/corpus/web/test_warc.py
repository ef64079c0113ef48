"""WARC files: what was written is read, damage is counted and costs what it damaged, alone."""

from __future__ import annotations

import datetime
import functools
import gzip
import hashlib
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.web import merging
from corpus.web.harvest import HarvestRun, harvest_files
from corpus.web.made.bundled import load_pages
from corpus.web.made.sample import write_sample
from corpus.web.settings import DocumentSettings, WebSettings
from corpus.web.warc.reading import Damage, OtherRecord, PlainText, Response, read_records
from corpus.web.warc.writing import Capture, read_index, write_index, write_warc
from foundation.execution import run_shards
from foundation.sources.data import SAMPLES_ROOT
from foundation.sources.locations import AccessSettings

AT = datetime.datetime(2026, 1, 10, tzinfo=datetime.UTC)
PLACE = "crawl-data/SAMPLE-2026-01/segments/1/warc/SAMPLE-2026-01-00000.warc.gz"


def captures(count: int) -> list[Capture]:
    return [Capture(f"https://www.a{n}.example/p", AT, f"<html><p>pagina {n} {'x' * 200}</p></html>".encode(), "ita", "CC0-1.0") for n in range(count)]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    warc = write_warc(captures(3), tmp_path, PLACE)
    records = list(read_records(tmp_path / PLACE))
    assert isinstance(records[0], OtherRecord)
    responses = [record for record in records if isinstance(record, Response)]
    assert [record.url for record in responses] == [capture.url for capture in captures(3)]
    assert [record.payload for record in responses] == [capture.payload for capture in captures(3)]
    assert responses[0].fetched_at == AT and responses[0].http_charset == "utf-8" and responses[0].status == 200
    write_index([warc], tmp_path, "SAMPLE-2026-01")
    rows = list(read_index(tmp_path, "ita"))
    assert {row["warc_record_offset"] for row in rows} == {record.offset for record in responses}
    content = (tmp_path / PLACE).read_bytes()
    for record in responses:  # offset and length are those of a whole .gz, as Common Crawl's index promises
        assert record.url.encode() in gzip.decompress(content[record.offset : record.offset + record.length])


@settings(max_examples=60, deadline=None)
@given(place=st.floats(0, 1), width=st.integers(1, 300), zero=st.booleans())
def test_damage_costs_at_most_what_it_touches(place: float, width: int, zero: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("warc")
    write_warc(captures(8), folder, PLACE)
    path = folder / PLACE
    content = bytearray(path.read_bytes())
    whole = {record.offset: record for record in read_records(path) if isinstance(record, Response)}
    start = int(place * (len(content) - 1))
    end = min(start + width, len(content))
    content[start:end] = bytes(end - start) if zero else bytes(byte ^ 0x5A for byte in content[start:end])
    path.write_bytes(content)
    found = {record.offset: record for record in read_records(path) if isinstance(record, Response)}
    untouched = {offset for offset, record in whole.items() if offset >= end or offset + record.length <= start}
    assert untouched <= set(found)
    for offset in untouched:
        assert found[offset].payload == whole[offset].payload


@pytest.mark.parametrize("lost", [1, 9, 60])
def test_a_truncated_file_loses_its_last_record_and_says_so(lost: int, tmp_path: Path) -> None:
    write_warc(captures(4), tmp_path, PLACE)
    path = tmp_path / PLACE
    path.write_bytes(path.read_bytes()[:-lost])
    records = list(read_records(path))
    assert sum(isinstance(record, Response) for record in records) == 3
    assert [record.reason for record in records if isinstance(record, Damage)] == ["truncated_record"]


def _record(block: bytes, length: int | str, digest: str = "", media_type: str = "application/http; msgtype=response") -> bytes:
    head = (
        "WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: <https://www.a.example/>\r\nWARC-Date: 2026-01-10T00:00:00Z\r\n"
        f"WARC-Record-ID: <urn:uuid:12345678-1234-1234-1234-123456789012>\r\nContent-Type: {media_type}\r\n{digest}"
        f"Content-Length: {length}\r\n\r\n"
    )
    return gzip.compress(head.encode() + block + b"\r\n\r\n")


def test_wrong_lengths_and_digests_are_damage_of_one_record(tmp_path: Path) -> None:
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html><p>ciao</p></html>"
    path = tmp_path / "bad.warc.gz"
    wrong = "WARC-Block-Digest: sha1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\n"
    parts = [_record(block, len(block) + 500), _record(block, "abc"), _record(block, len(block), wrong), gzip.compress(b"no record"), _record(block, len(block))]
    path.write_bytes(b"".join(parts))
    records = list(read_records(path))
    assert [record.reason for record in records if isinstance(record, Damage)] == ["wrong_length", "wrong_length", "wrong_digest", "not_a_record"]
    responses = [record for record in records if isinstance(record, Response)]
    assert [record.url for record in responses] == ["https://www.a.example/"] and responses[0].payload == b"<html><p>ciao</p></html>"


def test_responses_that_are_not_http_cost_nothing(tmp_path: Path) -> None:
    name, page = b"20260110000000\nwww.a.example. 300 IN A 192.0.2.7\n", b"HTTP/1.1 200 OK\r\n\r\nciao"
    path = tmp_path / "dns.warc.gz"
    path.write_bytes(_record(name, len(name), media_type="text/dns") + _record(b"", 0) + _record(page, len(page)))
    records = list(read_records(path))
    assert [type(record) for record in records] == [OtherRecord, Damage, Response]
    assert isinstance(records[0], OtherRecord) and records[0].kind == "other_response"


@pytest.mark.parametrize(
    ("digest", "read"),
    [
        ("sha1:{sha1}", True),
        ("md5:{md5}", True),
        ("sha1:0000000000000000000000000000000000000000", False),
        ("sha512:0000", True),  # nobody can check these
        ("sha1:0000", True),
        ("sha1", True),
    ],
)
def test_only_digests_that_can_be_checked_are_evidence(digest: str, read: bool, tmp_path: Path) -> None:
    block = b"HTTP/1.1 200 OK\r\n\r\nciao"
    value = digest.format(sha1=hashlib.sha1(block).hexdigest(), md5=hashlib.md5(block).hexdigest())
    path = tmp_path / "digest.warc.gz"
    path.write_bytes(_record(block, len(block), f"WARC-Block-Digest: {value}\r\n"))
    assert [isinstance(record, Response) for record in read_records(path)] == [read]


def test_chunks_hold_a_coded_page(tmp_path: Path) -> None:
    coded = gzip.compress(b"<p>ciao</p>")
    block = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(coded), coded)
    path = tmp_path / "coded.warc.gz"
    path.write_bytes(_record(block, len(block)))
    assert [record.payload for record in read_records(path) if isinstance(record, Response)] == [b"<p>ciao</p>"]


def test_records_of_a_plain_file_have_places_of_their_own(tmp_path: Path) -> None:
    write_warc(captures(3), tmp_path, PLACE)
    plain = tmp_path / "plain.warc"
    content = gzip.decompress((tmp_path / PLACE).read_bytes())
    plain.write_bytes(content)
    responses = [record for record in read_records(plain) if isinstance(record, Response)]
    assert [record.payload for record in responses] == [capture.payload for capture in captures(3)]
    for record in responses:
        piece = content[record.offset : record.offset + record.length]
        assert piece.startswith(b"WARC/1.") and piece.endswith(record.payload + b"\r\n\r\n") and record.url.encode() in piece


def test_texts_of_wet_files_are_a_kind_of_their_own(tmp_path: Path) -> None:
    text = _record(b"ciao", 4, media_type="text/plain")
    path = tmp_path / "a.warc.gz"
    path.write_bytes(gzip.compress(gzip.decompress(text).replace(b"WARC-Type: response", b"WARC-Type: conversion")))
    assert [type(record) for record in read_records(path)] == [PlainText]


def test_empty_and_foreign_files(tmp_path: Path) -> None:
    (tmp_path / "empty.warc.gz").write_bytes(b"")
    (tmp_path / "foreign.warc.gz").write_bytes(b"not gzip at all" * 100)
    assert list(read_records(tmp_path / "empty.warc.gz")) == []
    assert [record.reason for record in read_records(tmp_path / "foreign.warc.gz") if isinstance(record, Damage)] == ["rubbish"]


def test_same_documents_for_any_number_of_workers(tmp_path: Path, web: WebSettings, model: Path) -> None:
    root = tmp_path / "crawl"
    pages = load_pages(SAMPLES_ROOT / "web" / "pages.yaml", "crawl")
    sample = web.snapshot.sample.model_copy(update={"warc_files": 3})
    warcs, _ = write_sample("SAMPLE-2026-01", sample, {}, pages, root, seed=7)
    again, _ = write_sample("SAMPLE-2026-01", sample, {}, pages, tmp_path / "again", seed=7)
    assert [(root / warc.path).read_bytes() for warc in warcs] == [(tmp_path / "again" / warc.path).read_bytes() for warc in again]
    run = HarvestRun("SAMPLE-2026-01", str(root), AccessSettings(), 1, str(model), "it", DocumentSettings())
    tables = []
    for workers in (1, 2):
        work = tmp_path / f"w{workers}"
        shards = run_shards(functools.partial(harvest_files, run=run), [[[warc.path, None]] for warc in warcs], work, "d", suffix="", workers=workers)
        merging.merge_robots(shards, work / "robots.parquet")
        merge = merging.MergeRun(merging.run_files(shards), str(work / "robots.parquet"), robots_read=True)
        ranges = run_shards(functools.partial(merging.merge_range, run=merge), merging.key_ranges(3 * workers, 1), work, "m", suffix="", workers=workers)
        rows = pl.concat([pl.read_parquet(part / "documents.parquet") for part in ranges])
        tables.append((rows, merging.merge_skipped(shards, ranges)))
    assert len(ranges) == 6  # other ranges, the same rows
    assert tables[0][0].equals(tables[1][0]) and tables[0][1].equals(tables[1][1])
    assert tables[0][0].height > 25
