"""Bodies without their codings: undone where they are coded, left where they are not, refused where neither is certain."""

from __future__ import annotations

import contextlib
import gzip
import time
import zlib

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.web.warc.http_bodies import TooLargeBody, UndecodableBody, decoded_body, joined_chunks
from tests.corpus.web.damaged import bomb

PAGE = ("<html><body><p>Perché così? È già più di là.</p></body></html>" * 30).encode()
LIMIT = 1 << 20


def brotli_of(content: bytes) -> bytes:
    return pytest.importorskip("brotli").compress(content)


def raw_deflate(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(content) + packer.flush()


def zstandard(content: bytes) -> bytes:
    return pa.compress(content, codec="zstd", asbytes=True)


CODINGS = {"gzip": gzip.compress, "x-gzip": gzip.compress, "deflate": zlib.compress, "br": brotli_of, "zstd": zstandard}


@pytest.mark.parametrize("coding", CODINGS)
def test_each_coding_is_undone(coding: str) -> None:
    assert decoded_body(CODINGS[coding](PAGE), {"content-encoding": coding.upper()}, LIMIT) == PAGE
    assert decoded_body(PAGE, {"content-encoding": coding}, LIMIT) == PAGE  # decoded by the crawler, which left the header
    assert decoded_body(b"", {"content-encoding": coding}, LIMIT) == b""


def test_servers_send_deflate_without_its_wrapper() -> None:
    assert decoded_body(raw_deflate(PAGE), {"content-encoding": "deflate"}, LIMIT) == PAGE


@pytest.mark.parametrize("coding", CODINGS)
def test_broken_codings_are_refused(coding: str) -> None:
    coded = CODINGS[coding](PAGE)
    middle = len(coded) // 2
    broken = coded[:middle] + bytes(byte ^ 0xFF for byte in coded[middle : middle + 12]) + b"\xff" * 30
    with pytest.raises(UndecodableBody):
        decoded_body(broken, {"content-encoding": coding}, LIMIT)
    with pytest.raises(UndecodableBody):
        decoded_body(b"\x00\x01\x02\x03" * 9, {"content-encoding": coding}, LIMIT)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
def test_cut_bodies_give_what_is_there(coding: str) -> None:
    page = b"".join(b"<p>%d</p>" % number**5 for number in range(3000))
    part = decoded_body(CODINGS[coding](page)[:-2000], {"content-encoding": coding}, LIMIT)
    assert page.startswith(part) and len(part) > 1000


def test_a_cut_zstandard_body_gives_its_whole_blocks() -> None:
    page = b"".join(b"<p>%d</p>" % number**5 for number in range(30_000))
    part = decoded_body(zstandard(page)[:-2000], {"content-encoding": "zstd"}, LIMIT)
    assert page.startswith(part) and len(part) > 100_000
    with pytest.raises(UndecodableBody, match="Truncated"):  # its one block is not whole
        decoded_body(zstandard(PAGE)[:-5], {"content-encoding": "zstd"}, LIMIT)
    assert decoded_body(zstandard(PAGE) + zstandard(PAGE), {"content-encoding": "zstd"}, LIMIT) == PAGE + PAGE


def test_gzip_of_several_members_is_one_body() -> None:
    members = [gzip.compress(part) for part in (PAGE, b"", b"<p>ciao</p>", PAGE * 100)]
    coded, whole = b"".join(members), PAGE + b"<p>ciao</p>" + PAGE * 100
    headers = {"content-encoding": "gzip"}
    assert decoded_body(coded, headers, LIMIT) == decoded_body(coded + bytes(64), headers, LIMIT) == whole  # zeros: padding
    assert decoded_body(coded, headers, len(whole)) == whole
    with pytest.raises(TooLargeBody):
        decoded_body(coded, headers, len(whole) - 1)
    cut = decoded_body(coded[:-200], headers, LIMIT)
    assert whole.startswith(cut) and len(cut) > len(PAGE) + 11
    with pytest.raises(UndecodableBody):
        decoded_body(members[0] + members[0][:-8] + bytes(8), headers, LIMIT)


def test_many_tiny_members_take_no_long() -> None:
    begun = time.perf_counter()
    assert decoded_body(gzip.compress(b"a") * 50_000, {"content-encoding": "gzip"}, LIMIT) == b"a" * 50_000
    assert time.perf_counter() - begun < 10  # hundredths of a ms each; what follows a member copied whole: minutes


def test_codings_may_be_nested_and_named_oddly() -> None:
    assert decoded_body(brotli_of(gzip.compress(PAGE)), {"content-encoding": "gzip, br"}, LIMIT) == PAGE
    for odd in ("identity", "none", "UTF-8", "text/html", "", "chunked"):
        assert decoded_body(PAGE, {"content-encoding": odd}, LIMIT) == PAGE
    with pytest.raises(UndecodableBody, match="compress"):
        decoded_body(b"\x1f\x9d\x90\x00\x01", {"content-encoding": "compress"}, LIMIT)


def test_gzip_twice_is_a_slip_in_pages_and_a_file_elsewhere() -> None:
    twice = gzip.compress(gzip.compress(PAGE))
    assert decoded_body(twice, {"content-encoding": "gzip", "content-type": "text/html"}, LIMIT) == PAGE
    assert decoded_body(gzip.compress(PAGE), {"x-crawler-content-encoding": "gzip"}, LIMIT) == PAGE  # not decoded after all
    assert decoded_body(gzip.compress(PAGE), {"x-crawl-content-encoding": "gzip"}, LIMIT) == PAGE
    file = gzip.compress(PAGE)
    assert decoded_body(file, {"content-type": "application/gzip"}, LIMIT) == file
    assert decoded_body(gzip.compress(file), {"content-encoding": "gzip", "content-type": "application/gzip"}, LIMIT) == file
    assert decoded_body(PAGE, {"x-crawler-content-encoding": "gzip", "x-crawler-transfer-encoding": "chunked"}, LIMIT) == PAGE


@pytest.mark.parametrize("coding", CODINGS)
def test_bombs_stop_at_the_limit(coding: str) -> None:
    coded = bomb(64) if "gzip" in coding else CODINGS[coding](bytes(64 << 20))
    with pytest.raises(TooLargeBody):
        decoded_body(coded, {"content-encoding": coding}, LIMIT)
    exact = CODINGS[coding](b"a" * LIMIT)
    assert len(decoded_body(exact, {"content-encoding": coding}, LIMIT)) == LIMIT


def test_gzip_in_gzip_without_end_is_refused() -> None:
    coded = PAGE
    for _ in range(9):
        coded = gzip.compress(coded)
    with pytest.raises(UndecodableBody):
        decoded_body(coded, {"content-encoding": "gzip"}, LIMIT)


@pytest.mark.parametrize(
    ("body", "joined"),
    [
        (b"4\r\nciao\r\n3;x=y\r\n, a\r\n0\r\n\r\n", b"ciao, a"),
        (b"0004 \r\nciao\r\n0\r\nExpires: never\r\n\r\n", b"ciao"),
        (b"4\nciao\n0\n\n", b"ciao"),
        (b"0\r\n\r\n", b""),
        (b"<p>ciao, not chunked", b"<p>ciao, not chunked"),
        (b"4\r\nciao\r\n", b"ciao"),  # without a last chunk
        (b"4\r\nciao\r\n20\r\nun pez", b"ciaoun pez"),  # cut
        (b"4\r\nciao\r\n20", b"ciao"),
        (b"4\r\nciao\r", b"ciao"),
        (b"4\r\nciao\r\n0\r\n\r\nmore", b"ciao"),
        (b"5\r\nciao\r\n0\r\n\r\n", b"ciao\r"),  # bare line ends are taken, so that this is one
        (b"6\r\nciao\r\n0\r\n\r\n", None),
        (b"3\r\nciao\r\n0\r\n\r\n", None),
        (b"4\r\nciao\r\nzzz and more than a chunk size could be\r\n", None),
        (b"-4\r\nciao\r\n", b"-4\r\nciao\r\n"),
        (b"fffffffffffffff\r\nciao", b"ciao"),
    ],
)
def test_chunks_are_joined(body: bytes, joined: bytes | None) -> None:
    if joined is None:
        with pytest.raises(UndecodableBody):
            joined_chunks(body)
    else:
        assert decoded_body(body, {"transfer-encoding": "Chunked"}, LIMIT) == joined


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=6))
def test_what_is_chunked_is_joined(parts: list[bytes]) -> None:
    body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    assert joined_chunks(body) == b"".join(parts)


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=200) | st.sampled_from(sorted(CODINGS)).map(lambda coding: CODINGS[coding](PAGE)),
    st.lists(st.sampled_from([*CODINGS, "compress", "none"]), max_size=3).map(", ".join),
    st.booleans(),
)
def test_any_body_is_read_or_refused(body: bytes, codings: str, chunked: bool) -> None:
    headers = {"content-encoding": codings, **({"transfer-encoding": "chunked"} if chunked else {})}
    with contextlib.suppress(UndecodableBody, TooLargeBody):
        assert len(decoded_body(body, headers, 5000)) <= max(5000, len(body))
