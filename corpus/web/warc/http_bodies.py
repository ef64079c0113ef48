"""Bodies of HTTP messages without their transfer and content coding.

Common Crawl stores bodies as decoded and renames the headers that said how they were coded (``X-Crawler-…``,
``X-Crawl-…``); wget stores them as they came; others decode them and leave the headers. What the bytes show goes before
what the headers say.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping

MAX_CODINGS = 4
"""Codings undone, one inside another; real servers code twice at the most."""

_MEMBER_STEP_BYTES = 4 << 10
"""Of gzip members after the first, unpacked at once: what follows a member is copied, and may be thousands of tiny ones."""
_ZSTD_STEP_BYTES = 64 << 10
_GZIP_MAGIC = b"\x1f\x8b\x08"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_GZIP_TYPES = ("application/gzip", "application/x-gzip", "application/x-tar", "application/octet-stream", "application/warc")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n]*)?\r?\n")
_NO_TEXT = re.compile(rb"[\x00-\x06\x0e-\x1a\x1c-\x1f]")
_CODED_BY_NAME = ("content-encoding", "x-crawler-content-encoding", "x-crawl-content-encoding")


class UndecodableBody(ValueError):
    """A body whose coding cannot be undone: broken, or of a kind that is not known here."""


class TooLargeBody(ValueError):
    """A body that decodes to more bytes than wanted; decoding stopped there."""


def decoded_body(body: bytes, headers: Mapping[str, str], limit: int) -> bytes:
    """The body as the server meant it; one that was cut gives what is there of it, and is refused where nothing is.

    Args:
        body: as stored.
        headers: by lower-case name.
        limit: most bytes that a coding may unpack to.

    Raises:
        UndecodableBody: the coding cannot be undone.
        TooLargeBody: the limit was passed.
    """
    if "transfer-encoding" in headers and "chunked" in headers["transfer-encoding"].lower():
        body = joined_chunks(body)
    named = headers.get("content-encoding")
    if named is not None and body:
        body = _undone(body, named, limit)
    if body[:3] == _GZIP_MAGIC and _is_page_coded_again(headers):
        body = _gunzipped_again(body, limit)
    return body


def joined_chunks(body: bytes) -> bytes:
    """A chunked body (RFC 9112, section 7.1) as one; as it is where it does not begin with a chunk.

    A body that ends inside a chunk gives what came; so does one without a last chunk. What follows the last chunk
    (trailers) is left out.

    Raises:
        UndecodableBody: something else stands where a chunk's size or its end should be.
    """
    parts: list[bytes] = []
    position = 0
    while size := _CHUNK_SIZE.match(body, position):
        start, length = size.end(), int(size[1], 16)
        if length == 0:
            return b"".join(parts)
        parts.append(body[start : start + length])
        position = start + length
        if position >= len(body):
            return b"".join(parts)
        if body.startswith(b"\r\n", position):
            position += 2
        elif body.startswith(b"\n", position):
            position += 1
        elif body[position:] != b"\r":
            raise UndecodableBody(f"the chunk at byte {size.start()} does not end after its {length} bytes")
    if not parts:
        return body
    if position < len(body) - 20:
        raise UndecodableBody(f"no chunk size at byte {position}")
    return b"".join(parts)  # the few bytes left are a size that was cut


def _undone(body: bytes, named: str, limit: int) -> bytes:
    """The body without the codings that a header names, the last one first."""
    codings = [coding.strip().lower() for coding in named.split(",")]
    for coding in reversed(codings[-MAX_CODINGS:]):
        undo = _CODINGS.get(coding)
        if undo is None:
            if coding in _UNKNOWN_HERE and not _looks_like_text(body):
                raise UndecodableBody(f"content coding {coding}")
            continue  # identity, none, utf-8 and the like: names that servers put here and that code nothing
        body = undo(body, limit)
    return body


def _is_page_coded_again(headers: Mapping[str, str]) -> bool:
    """Whether gzip under gzip is a server's or crawler's slip, and not a file that is gzip itself."""
    mime = headers.get("content-type", "").split(";")[0].strip().lower()
    return mime not in _GZIP_TYPES and any("gzip" in headers.get(name, "").lower() for name in _CODED_BY_NAME)


def _gunzipped_again(body: bytes, limit: int) -> bytes:
    for _ in range(MAX_CODINGS):
        if body[:3] != _GZIP_MAGIC:
            return body
        body = _gunzipped(body, limit)
    raise UndecodableBody(f"gzip more than {MAX_CODINGS} deep")


def _gunzipped(body: bytes, limit: int) -> bytes:
    if body[:2] != _GZIP_MAGIC[:2]:
        if _looks_like_text(body):
            return body
        raise UndecodableBody("named gzip and is not")
    return _inflated(body, 31, limit)


def _inflated(body: bytes, wbits: int, limit: int) -> bytes:
    """A stream unpacked; of gzip, whose members may follow one another (RFC 1952, section 2.2), all members."""
    try:
        unpacker = zlib.decompressobj(wbits=wbits)
        parts = [unpacker.decompress(body, limit + 1)]
        size, position = len(parts[0]), len(body) - len(unpacker.unused_data)
        while size <= limit and unpacker.eof and body[position : position + 3] == _GZIP_MAGIC and wbits == 31:
            unpacker = zlib.decompressobj(wbits=wbits)
            while size <= limit and not unpacker.eof and (piece := body[position : position + _MEMBER_STEP_BYTES]):
                parts.append(unpacker.decompress(piece, limit + 1 - size))
                size += len(parts[-1])
                position += len(piece) - len(unpacker.unused_data)
    except zlib.error as error:
        raise UndecodableBody(str(error)) from error
    if size > limit:
        raise TooLargeBody(f"more than {limit} bytes")
    return b"".join(parts)


def _deflated(body: bytes, limit: int) -> bytes:
    """``deflate``: a zlib stream by RFC 9110, section 8.4.1.2, and a bare one by what some servers send."""
    has_zlib_head = len(body) > 1 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
    for wbits in (zlib.MAX_WBITS, -zlib.MAX_WBITS) if has_zlib_head else (-zlib.MAX_WBITS,):
        try:
            return _inflated(body, wbits, limit)
        except UndecodableBody:
            continue
    return _as_it_is(body, "deflate")


def _brotli(body: bytes, limit: int) -> bytes:
    try:
        import brotli  # FastWARC brings it
    except ImportError:
        return _as_it_is(body, "br")
    unpacker, parts, size = brotli.Decompressor(), [], 0
    try:
        piece = unpacker.process(body, output_buffer_limit=limit + 1)
        while piece:
            parts.append(piece)
            size += len(piece)
            if size > limit:
                raise TooLargeBody(f"more than {limit} bytes")
            piece = b"" if unpacker.is_finished() else unpacker.process(b"", output_buffer_limit=limit + 1)
    except brotli.error:
        return _as_it_is(body, "br")
    return b"".join(parts) if parts or unpacker.is_finished() else _as_it_is(body, "br")


def _zstandard(body: bytes, limit: int) -> bytes:
    """A cut body gives the blocks that came whole; a block is up to 128 KiB (RFC 8878, section 3.1.1.2.4), so that of most cut pages none did."""
    if not body.startswith(_ZSTD_MAGIC):
        return _as_it_is(body, "zstd")
    import pyarrow as pa

    parts: list[bytes] = []
    size = 0
    try:
        with pa.CompressedInputStream(pa.BufferReader(body), "zstd") as stream:
            while size <= limit and (piece := stream.read(min(_ZSTD_STEP_BYTES, limit + 1 - size))):
                parts.append(piece)
                size += len(piece)
    except OSError as error:
        if not parts or "Truncated" not in str(error):
            raise UndecodableBody(str(error)) from error
    if size > limit:
        raise TooLargeBody(f"more than {limit} bytes")
    return b"".join(parts)


def _as_it_is(body: bytes, coding: str) -> bytes:
    """A body that a coding does not fit, if it is text already."""
    if _looks_like_text(body):
        return body
    raise UndecodableBody(f"content coding {coding}")


def _looks_like_text(body: bytes) -> bool:
    """Whether the first bytes hold no control characters, of which coded bytes hold many."""
    return _NO_TEXT.search(body, 0, 512) is None


_CODINGS: Mapping[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gunzipped,
    "x-gzip": _gunzipped,
    "deflate": _deflated,
    "br": _brotli,
    "zstd": _zstandard,
}
_UNKNOWN_HERE = ("compress", "x-compress", "dcb", "dcz", "exi", "pack200-gzip")
"""Registered codings (IANA) that nothing here undoes."""
