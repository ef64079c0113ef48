"""WARC records: what a record's bytes say (ISO 28500:2017), with HTTP responses and the plain texts of WET files taken apart."""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
import re
from dataclasses import dataclass
from typing import Literal

from corpus.web.warc.http_bodies import TooLargeBody, UndecodableBody, decoded_body

MAX_HEAD_BYTES = 64 << 10
"""A head that has not ended by then is no head; the longest that crawlers write hold a URL of some kilobytes."""
MAX_HTTP_HEAD_BYTES = 256 << 10
"""The same for heads of HTTP responses, which servers fill with cookies; Chromium takes as much (``kMaxHeaderBufSize``)."""
MAX_PAYLOAD_BYTES = 16 << 20
"""Larger payloads are left unread; Common Crawl cuts pages at 1 MiB (5 MiB since March 2025)."""

_VERSION = re.compile(rb"WARC/\d\.\d+[ \t]*\r?\n")
_LENGTH = re.compile(r"[0-9]{1,18}")
_FOLDED = re.compile(r"\r?\n[ \t]+")
_STATUS = re.compile(r"HTTP/[0-9.]+[ \t]+([0-9]{3})(?![0-9])")
_FIRST_FIELD = re.compile(rb"[^\s:]{1,100}+[ \t]*+:")
_BLANK = re.compile(rb"\n\r?\n")
_CHARSET = re.compile(r"charset\s*+=\s*+[\"']?+\s*+([^\s;,\"']{1,40})", re.IGNORECASE)
_CHARSET_CHARACTERS = 1_000
"""Of a Content-Type that are searched for its charset."""
_DIGEST = re.compile(r"(sha1|sha256|md5):([A-Za-z0-9+/=]+)", re.IGNORECASE)
_MANDATORY = ("warc-type", "warc-record-id", "warc-date", "content-length")
_DIGEST_SIZES = {"sha1": 20, "sha256": 32, "md5": 16}
_DATE = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:[Zz]|[+-]\d\d:\d\d)?")

DamageReason = Literal[
    "damaged_member",
    "truncated_record",
    "too_large_member",
    "rubbish",
    "not_a_record",
    "damaged_head",
    "wrong_length",
    "wrong_digest",
    "no_http_head",
    "undecodable_body",
]
"""What a stretch without a record is:

damaged_member: a gzip member whose bytes cannot be unpacked, or whose checksum is wrong.
truncated_record: the file ends inside the record.
too_large_member: a member that goes on unpacking past the limit without the end of its record: a bomb.
rubbish: bytes where a record or member should begin, that are neither.
not_a_record: a gzip member that is whole and holds something else.
damaged_head: what is left of a record whose own head cannot be read.
wrong_length: Content-Length is missing, no number, or does not lead to the record's end.
wrong_digest: the block is not what WARC-Block-Digest says.
no_http_head: a response without the head of one, an empty one, or one whose head does not end within its limit.
undecodable_body: the body's content or transfer coding cannot be undone.
"""


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP response as captured.

    Offset and length are those of its compressed gzip member, in a plain file of the record. Where a member holds
    several records, all have its offset, and length 0: no range of bytes gives one of them.
    """

    offset: int
    length: int
    record_id: str
    url: str
    fetched_at: datetime.datetime | None
    """None where WARC-Date is missing or no date."""
    payload_digest: str | None
    status: int | None
    content_type: str
    """The media type without parameters, in lower case."""
    http_charset: str | None
    headers: dict[str, str]
    """By lower-case name; values of a repeated one joined by ``", "`` (RFC 9110, section 5.3), of X-Robots-Tag by line ends."""
    payload: bytes
    """Without transfer and content coding."""
    truncated: str | None = None
    """Why the crawler cut the payload (WARC-Truncated); no damage."""


@dataclass(frozen=True, slots=True)
class PlainText:
    """The text of a page as a WET file has it (a ``conversion`` record); ``languages`` as the crawl's own detector says."""

    offset: int
    length: int
    record_id: str
    url: str
    fetched_at: datetime.datetime | None
    payload_digest: str | None
    languages: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Oversized:
    """A record that was left unread: ``bytes`` are those of its block, or the limit that its coded body passed."""

    offset: int
    length: int
    url: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Damage:
    """A stretch of a file that gave no record.

    ``length`` is the stretch in bytes of the file (0 for a record among others in one gzip member), ``records`` how many
    records are known to be lost with it: none in rubbish between records.
    """

    offset: int
    reason: DamageReason
    length: int = 0
    records: int = 1
    url: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class OtherRecord:
    """A record of another kind: warcinfo, request, metadata, revisit; ``other_response`` for DNS and the like."""

    offset: int
    kind: str
    length: int = 0


Record = Response | PlainText | Oversized | OtherRecord | Damage


@dataclass(frozen=True, slots=True)
class Head:
    """A record's header fields by lower-case name, and where they end."""

    fields: dict[str, str]
    end: int

    @property
    def url(self) -> str:
        """The target URI, without the ``<>`` that wget and WARC 1.0's grammar put round it."""
        return self.fields.get("warc-target-uri", "").strip("<> \t")

    @property
    def length(self) -> int | None:
        """The bytes of the block; None where the field is missing or no number."""
        value = self.fields.get("content-length", "")
        return int(value) if _LENGTH.fullmatch(value) else None


def read_head(content: bytes, start: int = 0, blank_from: int = 0) -> Head | None:
    """The head of the record that begins at a place; None where there is none that ends.

    Args:
        content: bytes that hold the record.
        start: where it begins.
        blank_from: no blank line ends before this place; it spares those who try one place after the other the same search.
    """
    version = _begin(content, start)
    if version is None:
        return None
    blank = _BLANK.search(content, max(version.end(), blank_from), start + MAX_HEAD_BYTES)
    return Head(_fields(content[version.end() : blank.start()]), blank.end()) if blank else None


def begins_head(content: bytes, start: int) -> bool:
    """Whether a head begins at a place: the version, and a first field under it."""
    return _begin(content, start) is not None


def _begin(content: bytes, start: int) -> re.Match[bytes] | None:
    version = _VERSION.match(content, start)
    return version if version and _FIRST_FIELD.match(content, version.end()) else None


def read_record(content: bytes, head: Head, end: int, offset: int, length: int, max_payload_bytes: int) -> Record:
    """The record whose block stands between its head and ``end``."""
    fields = head.fields
    kind = fields.get("warc-type", "").lower()
    if kind == "response":
        media_type = fields.get("content-type", "").lower()
        if not (media_type.startswith("application/http") or (not media_type and content.startswith(b"HTTP/", head.end))):
            return OtherRecord(offset, "other_response", length)
    elif kind != "conversion" or not fields.get("content-type", "text/plain").lower().startswith("text/plain"):
        return OtherRecord(offset, kind[:40], length) if kind else Damage(offset, "damaged_head", length, url=head.url)
    if _digest_fits(content, head, end) is False:
        return Damage(offset, "wrong_digest", length, url=head.url)
    if kind == "response":
        return _response(content, head, end, offset, length, max_payload_bytes)
    if end - head.end > max_payload_bytes:
        return Oversized(offset, length, head.url, end - head.end)
    return PlainText(
        offset=offset,
        length=length,
        record_id=_record_id(fields),
        url=head.url,
        fetched_at=_date(fields.get("warc-date", "")),
        payload_digest=fields.get("warc-payload-digest"),
        languages=fields.get("warc-identified-content-language"),
        text=content[head.end : end].decode("utf-8", errors="replace"),
    )


def is_proved(content: bytes, head: Head, end: int) -> bool:
    """Whether a record has the fields that every record has, and a digest that fits its block."""
    return all(name in head.fields for name in _MANDATORY) and _digest_fits(content, head, end) is True


def _response(content: bytes, head: Head, end: int, offset: int, length: int, max_payload_bytes: int) -> Record:
    fields, begin = head.fields, head.end
    if not content.startswith(b"HTTP/", begin):
        return Damage(offset, "no_http_head", length, url=head.url)
    head_end, body = _http_head_end(content, begin, end)
    if body - begin > MAX_HTTP_HEAD_BYTES:
        return Damage(offset, "no_http_head", length, url=head.url, detail=f"it does not end within {MAX_HTTP_HEAD_BYTES:,} bytes")
    status_line, _, lines = content[begin:head_end].partition(b"\n")
    headers = _fields(lines)
    status = _STATUS.match(status_line.decode("latin-1"))
    content_type = headers.get("content-type", "")
    charset = _CHARSET.search(content_type[:_CHARSET_CHARACTERS])
    try:
        payload = decoded_body(content[body:end], headers, max_payload_bytes)
    except UndecodableBody as error:
        return Damage(offset, "undecodable_body", length, url=head.url, detail=str(error))
    except TooLargeBody:
        return Oversized(offset, length, head.url, max_payload_bytes)
    if len(payload) > max_payload_bytes:
        return Oversized(offset, length, head.url, len(payload))
    return Response(
        offset=offset,
        length=length,
        record_id=_record_id(fields),
        url=head.url,
        fetched_at=_date(fields.get("warc-date", "")),
        payload_digest=fields.get("warc-payload-digest"),
        status=int(status[1]) if status else None,
        content_type=content_type.partition(";")[0].strip().lower(),
        http_charset=charset[1].lower() if charset else None,
        headers=headers,
        payload=payload,
        truncated=fields.get("warc-truncated"),
    )


def _http_head_end(content: bytes, begin: int, end: int) -> tuple[int, int]:
    """Where an HTTP head ends and the body begins; a head without an end has no body."""
    blank = _BLANK.search(content, begin, min(end, begin + MAX_HTTP_HEAD_BYTES))
    return (blank.start(), blank.end()) if blank else (end, end)


def _fields(lines: bytes) -> dict[str, str]:
    try:
        text = lines.decode("utf-8")
    except UnicodeDecodeError:
        text = lines.decode("latin-1")
    if "\n " in text or "\n\t" in text:
        text = _FOLDED.sub(" ", text)
    values: dict[str, list[str]] = {}
    for line in text.split("\n"):
        name, colon, value = line.partition(":")
        if colon:
            values.setdefault(name.strip().lower(), []).append(value.strip())
    return {name: _joined(name, found) for name, found in values.items()}


def _joined(name: str, values: list[str]) -> str:
    if name == "content-type":  # the last one counts, as in browsers
        return values[-1]
    # ``name:`` in an X-Robots-Tag holds for the rest of its line, so that two lines must stay two.
    return ("\n" if name == "x-robots-tag" else ", ").join(values)


def _record_id(fields: dict[str, str]) -> str:
    return fields.get("warc-record-id", "").strip("<> ").removeprefix("urn:uuid:")


def _date(value: str) -> datetime.datetime | None:
    if not _DATE.fullmatch(value):
        return None
    try:
        date = datetime.datetime.fromisoformat(value.upper())
        return date.astimezone(datetime.UTC) if date.tzinfo else date.replace(tzinfo=datetime.UTC)
    except (ValueError, OverflowError):
        return None


def _digest_fits(content: bytes, head: Head, end: int) -> bool | None:
    """Whether the block is what its digest says; None where nothing can be said: no digest, another algorithm or length."""
    match = _DIGEST.fullmatch(head.fields.get("warc-block-digest", ""))
    if match is None:
        return None
    algorithm = match[1].lower()
    expected = _digest_bytes(match[2], _DIGEST_SIZES[algorithm])
    if expected is None:
        return None
    with memoryview(content) as view, view[head.end : end] as block:
        return hashlib.new(algorithm, block, usedforsecurity=False).digest() == expected


def _digest_bytes(value: str, size: int) -> bytes | None:
    """A digest in hex (of any case) or base32; None where it is neither of that size."""
    try:
        if len(value) == 2 * size:
            return bytes.fromhex(value)
        decoded = base64.b32decode(value.upper().rstrip("=") + "=" * (-len(value.rstrip("=")) % 8))
    except (ValueError, binascii.Error):
        return None
    return decoded if len(decoded) == size else None
