"""WARC files to records: gzip member by member, so that one damaged member costs that member alone.

fastwarc reads a record; the split into members is done here, because readers of the whole stream either end silently at
a cut file or fail at the first damaged byte, and neither says how much was lost.
"""

from __future__ import annotations

import datetime
import io
import mmap
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

GZIP_MAGIC = b"\x1f\x8b\x08"
CHUNK_BYTES = 1 << 16
MAX_MEMBER_BYTES = 512 << 20
"""A member that unpacks to more is taken for damage; Common Crawl cuts pages at 1 MiB."""
_CHECKABLE = re.compile(r"(?:sha1:(?:[A-Z2-7]{32}|[0-9a-fA-F]{40})|sha256:[0-9a-fA-F]{64}|md5:[0-9a-fA-F]{32})")
"""Digests that can be told right from wrong; of any other algorithm or length nothing is known."""
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r\n")
_TRAILERS = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n]*\r\n)*\r\n")

DamageReason = Literal["damaged_member", "truncated_record", "wrong_digest", "not_a_record"]


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP response as captured. Offset and length are those of its compressed gzip member, in a plain file of the record."""

    offset: int
    length: int
    record_id: str
    url: str
    fetched_at: datetime.datetime | None
    payload_digest: str | None
    status: int | None
    content_type: str
    http_charset: str | None
    headers: dict[str, str]
    payload: bytes


@dataclass(frozen=True, slots=True)
class Damage:
    """A stretch of a file that gave no record."""

    offset: int
    reason: DamageReason


@dataclass(frozen=True, slots=True)
class OtherRecord:
    """A record that is no HTTP response: warcinfo, request, metadata, revisit; ``other_response`` for DNS and the like."""

    offset: int
    kind: str


@dataclass(frozen=True, slots=True)
class _Member:
    offset: int
    length: int
    content: bytes
    whole: bool
    plain: bool = False


def read_responses(path: Path) -> Iterator[Response | OtherRecord | Damage]:
    """Everything a .warc.gz (or plain .warc) file holds, in file order; damage is reported in its place."""
    for member in _members(path):
        if isinstance(member, Damage):
            yield member
        elif member.plain:
            yield from _with_lengths(_records(member), member.length)
        else:
            yield from _records(member)


def _members(path: Path) -> Iterator[_Member | Damage]:
    if path.stat().st_size == 0:
        return
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[:5] == b"WARC/":
            yield _Member(0, len(data), data[:], whole=True, plain=True)
            return
        position, in_gap = 0, False
        while 0 <= position < len(data):
            member = _unpack(data, position)
            if member is not None and (member.whole or member.content):
                yield member
                in_gap = False
                position = position + member.length if member.whole else data.find(GZIP_MAGIC, position + 1)
                continue
            if not in_gap:
                yield Damage(position, "damaged_member")
                in_gap = True
            position = data.find(GZIP_MAGIC, position + 1)


def _unpack(data: mmap.mmap, start: int) -> _Member | None:
    """The member at an offset; not whole where the file ends inside it; None where it is damaged."""
    unpacker = zlib.decompressobj(wbits=31)
    parts: list[bytes] = []
    position, unpacked = start, 0
    try:
        while not unpacker.eof and position < len(data):
            chunk = data[position : position + CHUNK_BYTES]
            position += len(chunk)
            parts.append(unpacker.decompress(chunk))
            unpacked += len(parts[-1])
            if unpacked > MAX_MEMBER_BYTES:
                return None
    except zlib.error:
        return None
    return _Member(start, position - len(unpacker.unused_data) - start, b"".join(parts), unpacker.eof)


def _records(member: _Member) -> Iterator[Response | OtherRecord | Damage]:
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    offset, found = member.offset, False
    try:
        for record in ArchiveIterator(io.BytesIO(member.content), parse_http=False):
            found = True
            offset = record.stream_pos if member.plain else member.offset
            kind = record.record_type
            if kind != WarcRecordType.response:
                yield OtherRecord(offset, str(kind).rsplit(".", maxsplit=1)[-1])
                continue
            if not record.is_http:
                yield OtherRecord(offset, "other_response")
                continue
            digest = record.headers.get("WARC-Block-Digest") or ""
            if _CHECKABLE.fullmatch(digest.strip()) and member.whole and not record.verify_block_digest():
                yield Damage(offset, "wrong_digest")
                continue
            yield _response(record, member, offset)
    except (OSError, ValueError, EOFError):
        yield Damage(offset, "not_a_record")
        return
    if not found:
        yield Damage(offset, "not_a_record")


def _with_lengths(
    records: Iterator[Response | OtherRecord | Damage], end: int
) -> Iterator[Response | OtherRecord | Damage]:
    """Records of a plain file with the distance to the next one, or to the end of the file, as their length."""
    pending: Response | OtherRecord | Damage | None = None
    for record in records:
        if pending is not None:
            yield _ending(pending, record.offset if record.offset > pending.offset else end)
        pending = record
    if pending is not None:
        yield _ending(pending, end)


def _ending(record: Response | OtherRecord | Damage, end: int) -> Response | OtherRecord | Damage:
    return replace(record, length=end - record.offset) if isinstance(record, Response) else record


def _response(record: object, member: _Member, offset: int) -> Response | Damage:
    """A parsed response; damage where the member ends before the length that its header declares."""
    from fastwarc.warc import WarcRecord

    if not isinstance(record, WarcRecord):
        raise TypeError(type(record))
    headers = record.headers
    block = record.content_length
    record.parse_http(auto_decode="none")
    declared = record.content_length
    payload = record.reader.read()
    if len(payload) < declared or block == 0 or not member.whole:
        return Damage(offset, "truncated_record")
    http = record.http_headers
    if http is None:
        return Damage(offset, "not_a_record")
    fields = {name.lower(): value for name, value in http.to_tuples()}
    return Response(
        offset=offset,
        length=member.length,
        record_id=(record.record_id or "").strip("<>").removeprefix("urn:uuid:"),
        url=(headers.get("WARC-Target-URI") or "").strip("<> "),  # wget wraps URIs in <>
        fetched_at=record.record_date,
        payload_digest=headers.get("WARC-Payload-Digest"),
        status=http.status_code,
        content_type=(record.http_content_type or "").lower(),
        http_charset=record.http_charset,
        headers=fields,
        payload=_decoded(payload, fields),
    )


def _decoded(payload: bytes, headers: dict[str, str]) -> bytes:
    """The payload without transfer and content coding. Common Crawl stores it decoded and renames the headers; wget does not."""
    if headers.get("transfer-encoding", "").strip().lower() == "chunked":
        payload = _joined_chunks(payload)
    coding = headers.get("content-encoding", "").strip().lower()
    if coding not in ("gzip", "x-gzip", "deflate") or not payload:
        return payload
    try:
        return zlib.decompressobj(wbits=47 if "gzip" in coding else zlib.MAX_WBITS).decompress(payload, MAX_MEMBER_BYTES)
    except zlib.error:
        return payload


def _joined_chunks(payload: bytes) -> bytes:
    """A chunked body (RFC 9112, section 7.1) as one; the payload as it is where it is anything else, or cut."""
    parts: list[bytes] = []
    position = 0
    while size := _CHUNK_SIZE.match(payload, position):
        start, length = size.end(), int(size[1], 16)
        if length == 0:
            return b"".join(parts) if _TRAILERS.fullmatch(payload, start) else payload
        position = start + length + 2
        if payload[position - 2 : position] != b"\r\n":
            return payload
        parts.append(payload[start : start + length])
    return payload
