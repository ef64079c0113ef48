"""Damaged archives lose what is damaged, alone, and the counts are right."""

from __future__ import annotations

import gzip
import itertools
import time
import tracemalloc
import zlib
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.web.warc import members as gzip_members
from corpus.web.warc.members import MAGIC
from corpus.web.warc.reading import Damage, Oversized, Record, Response, read_buffer, read_records
from corpus.web.warc.records import MAX_HTTP_HEAD_BYTES
from tests.corpus.web.damaged import (
    MEMBER_WOUNDS,
    RECORD_WOUNDS,
    Wound,
    bomb,
    http_block,
    packed,
    page_of,
    page_record,
    record,
    url_of,
)

PAGES = {url_of(number): page_of(number) for number in range(6)}


def pages_of(records: Iterable[Record]) -> dict[str, bytes]:
    found = [entry for entry in records if isinstance(entry, Response)]
    assert len({entry.url for entry in found}) == len(found)
    return {entry.url: entry.payload for entry in found}


def damage_of(records: Iterable[Record]) -> list[Damage]:
    return [entry for entry in records if isinstance(entry, Damage)]


def assert_tiled(records: list[Record], size: int) -> None:
    """Records and damage lie one behind the other and leave no byte of the file out."""
    position = 0
    for entry in records:
        assert entry.offset == position
        position += entry.length
    assert position == size


@pytest.fixture
def low_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gzip_members, "MAX_UNPACKED_BYTES", 8 << 20)


@pytest.mark.usefixtures("low_limit")
@pytest.mark.parametrize("place", [0, 3, 6])
@pytest.mark.parametrize("wound", RECORD_WOUNDS + MEMBER_WOUNDS, ids=lambda wound: wound.name)
def test_compressed_files_lose_the_damaged_record_alone(wound: Wound, place: int, tmp_path: Path) -> None:
    piece = wound.make() if wound.raw else packed(wound.make())
    parts = [packed(page_record(number)) for number in range(6)]
    parts.insert(place, piece)
    path = tmp_path / "a.warc.gz"
    path.write_bytes(b"".join(parts))
    records = list(read_records(path))
    assert pages_of(records) == PAGES
    (damage,) = damage_of(records)
    cut_at_end = place == 6 and wound.name == "end cut off"
    assert damage.reason == ("truncated_record" if cut_at_end else wound.reason) and damage.records == wound.records
    assert (damage.offset, damage.length) == (sum(map(len, parts[:place])), len(piece))
    assert_tiled(records, sum(map(len, parts)))


@pytest.mark.parametrize("place", [0, 3, 6])
@pytest.mark.parametrize("wound", RECORD_WOUNDS, ids=lambda wound: wound.name)
def test_plain_files_lose_the_damaged_record_alone(wound: Wound, place: int, tmp_path: Path) -> None:
    parts = [page_record(number) for number in range(6)]
    parts.insert(place, wound.make())
    path = tmp_path / "a.warc"
    path.write_bytes(b"".join(parts))
    records = list(read_records(path))
    assert pages_of(records) == PAGES
    (damage,) = damage_of(records)
    too_long = place == 6 and wound.name in ("length too long by 7", "length too long by 700", "length past any file")
    assert damage.reason == ("truncated_record" if too_long else wound.plain_reason or wound.reason) and damage.records == wound.records
    assert (damage.offset, damage.length) == (sum(map(len, parts[:place])), len(parts[place]))
    assert_tiled(records, sum(map(len, parts)))


@pytest.mark.parametrize("place", [0, 3, 6])
@pytest.mark.parametrize("wound", RECORD_WOUNDS, ids=lambda wound: wound.name)
def test_files_of_one_member_lose_the_damaged_record_alone(wound: Wound, place: int, tmp_path: Path) -> None:
    parts = [page_record(number) for number in range(6)]
    parts.insert(place, wound.make())
    path = tmp_path / "a.warc.gz"
    path.write_bytes(packed(b"".join(parts)))
    records = list(read_records(path))
    assert pages_of(records) == PAGES
    (damage,) = damage_of(records)
    assert damage.reason == (wound.plain_reason or wound.reason) and damage.records == wound.records
    assert all(entry.offset == 0 and entry.length == 0 for entry in records if isinstance(entry, Response))


@pytest.mark.parametrize("lost", range(1, 60, 7))
def test_cut_files_lose_their_last_record(lost: int, tmp_path: Path) -> None:
    members = [packed(page_record(number)) for number in range(6)]
    (tmp_path / "a.warc.gz").write_bytes(b"".join(members)[:-lost])
    (tmp_path / "a.warc").write_bytes(b"".join(page_record(number) for number in range(6))[: -lost - 4])
    for name in ("a.warc.gz", "a.warc"):
        records = list(read_records(tmp_path / name))
        assert list(pages_of(records)) == list(PAGES)[:5]
        assert [(damage.reason, damage.records) for damage in damage_of(records)] == [("truncated_record", 1)]
        assert_tiled(records, (tmp_path / name).stat().st_size)


def test_a_file_may_end_anywhere(tmp_path: Path) -> None:
    members = [packed(page_record(number)) for number in range(2)]
    for end in range(len(members[0]) + 1, len(members[0]) + len(members[1])):
        records = list(read_buffer(b"".join(members)[:end]))
        assert list(pages_of(records)) == [url_of(0)] and [damage.reason for damage in damage_of(records)] == ["truncated_record"]


def test_a_record_that_the_crawler_cut_is_no_damage() -> None:
    block = http_block(page_of(1))[:200]
    content = packed(record(block, url_of(1), fields="WARC-Truncated: length\r\n"))
    (response,) = read_buffer(content)
    assert isinstance(response, Response) and response.truncated == "length"
    assert response.payload == page_of(1)[: len(response.payload)] != b""


def test_repeated_headers_are_joined() -> None:
    block = http_block(page_of(1), "Vary: a", "X-Robots-Tag: ccbot: nofollow", "vary: b", "x-robots-tag: noindex", "Content-Type: text/plain; charset=x")
    (response,) = read_buffer(packed(record(block)))
    assert isinstance(response, Response) and response.headers["vary"] == "a, b" and response.content_type == "text/plain"
    assert response.headers["x-robots-tag"] == "ccbot: nofollow\nnoindex"  # one line would make noindex ccbot's


def test_http_heads_have_a_limit() -> None:
    fits, passes = ((MAX_HTTP_HEAD_BYTES // 1000 + more) * f"Set-Cookie: {'x' * 986}\r\n" for more in (-1, 1))
    content = b"".join(packed(record(http_block(page_of(number), fields[:-2]), url_of(number))) for number, fields in enumerate((fits, passes)))
    records = list(read_buffer(content))
    assert pages_of(records) == {url_of(0): page_of(0)}
    assert [(damage.reason, damage.url, damage.detail) for damage in damage_of(records)] == [
        ("no_http_head", url_of(1), f"it does not end within {MAX_HTTP_HEAD_BYTES:,} bytes")
    ]


@pytest.mark.parametrize(
    "fields", ["Content-Type: text/html; charset=" + " " * 250_000, "Content-Type: " + "charset " * 30_000, "A: b\r\n" * 40_000, "A:\r\n " * 30_000]
)
def test_no_http_head_takes_long(fields: str) -> None:
    content = record(http_block(page_of(1), fields.removesuffix("\r\n")))
    begun = time.perf_counter()
    (response,) = read_buffer(content)
    assert isinstance(response, Response) and response.payload == page_of(1) and time.perf_counter() - begun < 2


@pytest.mark.parametrize("unit", ["WARC/1.0\r\n", "WARC/1.0\r\na: b\r\n", "a: WARC/1.0\r\n", "WARC/1.0\r\nWARC-Type: response\r\n\r\n", "a: WARC/1.0\r\n" * 4000 + "\r\n"])
@pytest.mark.parametrize("compressed", [False, True])
def test_what_seems_to_begin_records_takes_no_long(unit: str, compressed: bool) -> None:
    payload = (unit * (600_000 // len(unit))).encode()
    content = record(http_block(payload), length="3", digest=None) + page_record(1)
    begun = time.perf_counter()
    records = list(read_buffer(packed(content) if compressed else content))
    assert time.perf_counter() - begun < 3  # looking for the end of each head anew: a minute
    assert pages_of(records) == {url_of(1): page_of(1)} and damage_of(records)[0].reason == "wrong_length"


def test_uris_and_dates_may_be_odd() -> None:
    block = http_block(page_of(1))
    odd = [
        record(block, f"<{url_of(1)}>", date="2026-01-10T01:00:00.123456789+01:00"),
        record(block, url_of(2), date=None),
        record(block, url_of(3), date="20260110000000"),
        record(block, url_of(4), date="2026-02-30T00:00:00Z"),
        record(block, "https://città.example/però"),
    ]
    for content in (b"".join(map(packed, odd)), b"".join(odd), packed(b"".join(odd))):
        found = [entry for entry in read_buffer(content) if isinstance(entry, Response)]
        assert [entry.url for entry in found] == [*map(url_of, range(1, 5)), "https://città.example/però"]
        assert [entry.fetched_at is None for entry in found] == [False, True, True, True, False]
        assert found[0].fetched_at is not None and found[0].fetched_at.isoformat() == "2026-01-10T00:00:00.123456+00:00"


@pytest.mark.parametrize("compressed", [True, False])
def test_magic_and_records_inside_pages_are_no_records(compressed: bool) -> None:
    inner = packed(page_record(7))
    pages = [b"<html>" + inner + b"</html>", page_record(8) + page_record(9), MAGIC * 50]
    parts = [record(http_block(page), url_of(number)) for number, page in enumerate(pages)]
    stored = [gzip.compress(part, 0) for part in parts]  # stored: the inner member stands in the file as it is
    content = b"".join(stored) if compressed else b"".join(parts)
    records = list(read_buffer(content))
    assert pages_of(records) == {url_of(number): page for number, page in enumerate(pages)} and damage_of(records) == []
    assert_tiled(records, len(content))


def test_gaps_may_be_longer_than_a_window() -> None:
    parts = [packed(page_record(0)), bytes(9 << 20), packed(page_record(1)), b"ab" * (3 << 20)]
    records = list(read_buffer(b"".join(parts)))
    assert list(pages_of(records)) == [url_of(0), url_of(1)]
    assert [(damage.reason, damage.length) for damage in damage_of(records)] == [("rubbish", 9 << 20), ("rubbish", 6 << 20)]
    assert_tiled(records, sum(map(len, parts)))


def test_bombs_cost_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.warc.gz"
    head = page_record(50).replace(b"Content-Length: ", b"Content-Length: 99999999")
    path.write_bytes(packed(page_record(0)) + bomb(1024) + packed(page_record(1)) + bomb(1024, head) + packed(page_record(2)))
    tracemalloc.start()
    records = list(read_records(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert list(pages_of(records)) == [url_of(0), url_of(1), url_of(2)]
    assert [(damage.reason, damage.url) for damage in damage_of(records)] == [("too_large_member", ""), ("too_large_member", url_of(50))]
    assert peak < 120 << 20, f"{peak >> 20} MiB"


@pytest.mark.parametrize("form", ["member", "one member", "plain"])
def test_huge_pages_are_named_and_not_kept(form: str, tmp_path: Path) -> None:
    block = http_block(b"<p>ciao</p>" * (100 << 17))
    parts = [page_record(0), record(block, url_of(50)), page_record(1)]
    path = tmp_path / "a.warc.gz"
    if form == "member":
        path.write_bytes(b"".join(gzip.compress(part, 1) for part in parts))
    else:
        path.write_bytes(gzip.compress(b"".join(parts), 1) if form == "one member" else b"".join(parts))
    size = len(block)
    del block, parts
    tracemalloc.start()
    records = list(read_records(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [type(entry) for entry in records] == [Response, Oversized, Response]
    assert isinstance(records[1], Oversized) and (records[1].url, records[1].bytes) == (url_of(50), size)
    if form != "one member":
        assert_tiled(records, path.stat().st_size)
    assert peak < 60 << 20, f"{peak >> 20} MiB"


def test_bodies_that_unpack_to_too_much_are_named() -> None:
    inner = bomb(40)
    cases = [http_block(inner, "Content-Encoding: gzip"), http_block(packed(inner), "Content-Encoding: gzip"), http_block(bytes(70_000))]
    content = b"".join(packed(record(block, url_of(number))) for number, block in enumerate(cases)) + packed(page_record(5))
    records = list(read_buffer(content, max_payload_bytes=60_000))
    assert [type(entry) for entry in records] == [Oversized, Oversized, Oversized, Response]
    assert [entry.url for entry in records if isinstance(entry, Oversized)] == [url_of(0), url_of(1), url_of(2)]


def test_a_file_of_one_member_is_streamed(tmp_path: Path) -> None:
    path = tmp_path / "a.warc.gz"
    packer = zlib.compressobj(1, wbits=31)
    page = page_of(1, 30_000)
    with path.open("wb") as stream:
        for number in range(1500):
            stream.write(packer.compress(record(http_block(page), url_of(number))))
        stream.write(packer.flush())
    tracemalloc.start()
    count = sum(isinstance(entry, Response) and (entry.url, entry.payload) == (url_of(number), page) for number, entry in enumerate(read_records(path)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 1500 and peak < 30 << 20, f"{peak >> 20} MiB"


SIZES = st.lists(st.integers(0, 4000), min_size=2, max_size=7)
BITES = st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=200)), min_size=1, max_size=3)


def bitten(content: bytes, bites: list[tuple[float, bytes]]) -> tuple[bytes, list[tuple[int, int]]]:
    """Content with bytes overwritten, and where."""
    damaged = bytearray(content)
    touched = []
    for place, teeth in bites:
        start = int(place * (len(content) - 1))
        end = min(start + len(teeth), len(content))
        damaged[start:end] = teeth[: end - start]
        touched.append((start, end))
    return bytes(damaged), touched


def untouched(parts: list[bytes], touched: list[tuple[int, int]]) -> list[str]:
    ends = list(itertools.accumulate(map(len, parts)))
    places = zip([0, *ends], ends, strict=False)
    return [url_of(number) for number, (start, end) in enumerate(places) if all(b <= start or a >= end for a, b in touched)]


@settings(max_examples=150, deadline=None)
@given(sizes=SIZES, bites=BITES, compressed=st.booleans())
def test_whatever_is_overwritten_untouched_records_are_read(sizes: list[int], bites: list[tuple[float, bytes]], compressed: bool) -> None:
    parts = [page_record(number, size) for number, size in enumerate(sizes)]
    if compressed:
        parts = [packed(part) for part in parts]
    content, touched = bitten(b"".join(parts), bites)
    records = list(read_buffer(content))
    found = pages_of(records)
    for url in untouched(parts, touched):
        assert found[url] == page_of(int(url[13:].split(".")[0]), sizes[int(url[13:].split(".")[0])])
    if compressed:  # the checksum lets nothing wrong through
        assert set(found) <= {url_of(number) for number in range(len(parts))}
        assert (len(found) < len(parts)) == bool(damage_of(records))
    if compressed or content[:1] not in b"\r\n":
        assert_tiled(records, len(content))


@settings(max_examples=80, deadline=None)
@given(sizes=SIZES, rubbish=st.lists(st.binary(max_size=300) | st.text(max_size=99).map(str.encode), min_size=7, max_size=7), compressed=st.booleans())
def test_whatever_stands_between_records_costs_none(sizes: list[int], rubbish: list[bytes], compressed: bool) -> None:
    parts = [packed(page_record(number, size)) if compressed else page_record(number, size) for number, size in enumerate(sizes)]
    content = b"".join(itertools.chain.from_iterable(zip(parts, rubbish, strict=False)))
    records = list(read_buffer(content))
    assert pages_of(records) == {url_of(number): page_of(number, size) for number, size in enumerate(sizes)}
    if compressed:
        assert_tiled(records, len(content))


@settings(max_examples=80, deadline=None)
@given(sizes=SIZES, place=st.floats(0, 1), teeth=st.binary(min_size=1, max_size=60))
def test_one_member_gives_the_records_before_the_damage(sizes: list[int], place: float, teeth: bytes) -> None:
    parts = [page_record(number, size) for number, size in enumerate(sizes)]
    content, ((start, _),) = bitten(packed(b"".join(parts)), [(place, teeth)])
    try:
        before = len(zlib.decompressobj(wbits=31).decompress(content[:start]))
    except zlib.error:
        before = 0
    ends = list(itertools.accumulate(map(len, parts)))
    certain = [url_of(number) for number, end in enumerate(ends) if end + 400 <= before]  # 400: the next record's head
    found = [entry for entry in read_buffer(content) if isinstance(entry, Response)]
    assert set(certain) <= {entry.url for entry in found}
    assert {entry.payload for entry in found} <= {page_of(number, size) for number, size in enumerate(sizes)}  # the digests see to that


@settings(max_examples=150, deadline=None)
@given(st.lists(st.binary(max_size=60) | st.sampled_from([MAGIC, b"WARC/1.0\r\n", packed(page_record(1)), page_record(2), b"\r\n\r\n", b"Content-Length: 9\r\n"]), max_size=12))
def test_any_bytes_are_read_to_their_end(pieces: list[bytes]) -> None:
    content = b"".join(pieces)
    records = list(read_buffer(content, 1000))
    assert all(1000 <= entry.offset <= 1000 + len(content) for entry in records)
    assert sum(entry.length for entry in records) <= len(content)
