"""Archives with damage of each kind, and what reading them has to say about it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from corpus.web.warc.records import DamageReason

LINE_ENDS = b"\r\n\r\n"


def url_of(number: int) -> str:
    return f"https://www.a{number}.example/pagina"


def page_of(number: int, size: int = 300) -> bytes:
    """A page that compresses about as pages do."""
    words = " ".join(hashlib.sha1(f"{number} {word}".encode()).hexdigest()[:7] for word in range(size // 8))
    return f"<html><body><p>pagina {number}: così è. {words}</p></body></html>".encode()


def http_block(page: bytes, *fields: str) -> bytes:
    head = "".join(f"{field}\r\n" for field in ("Content-Type: text/html; charset=utf-8", *fields))
    return b"HTTP/1.1 200 OK\r\n" + head.encode() + b"\r\n" + page


def record(
    block: bytes,
    url: str = "https://www.a.example/",
    *,
    kind: str = "response",
    length: str | None = "true",
    date: str | None = "2026-01-10T00:00:00Z",
    media_type: str = "application/http; msgtype=response",
    digest: str | None = "true",
    fields: str = "",
) -> bytes:
    """A record as it stands in a plain file; ``true`` stands for the right length or digest, None for none."""
    lines = [f"WARC-Type: {kind}", f"WARC-Target-URI: {url}", f"Content-Type: {media_type}"]
    lines.append(f"WARC-Record-ID: <urn:uuid:{hashlib.md5(url.encode()).hexdigest()}>")
    if date is not None:
        lines.append(f"WARC-Date: {date}")
    if digest is not None:
        sha1 = base64.b32encode(hashlib.sha1(block).digest()).decode()
        lines.append(f"WARC-Block-Digest: {f'sha1:{sha1}' if digest == 'true' else digest}")
    if length is not None:
        lines.append(f"Content-Length: {len(block) if length == 'true' else length}")
    head = "WARC/1.0\r\n" + "".join(f"{line}\r\n" for line in lines) + fields + "\r\n"
    return head.encode() + block + LINE_ENDS


def page_record(number: int, size: int = 300) -> bytes:
    return record(http_block(page_of(number, size)), url_of(number))


def packed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def zeroed(content: bytes, start: int, end: int) -> bytes:
    return content[:start] + bytes(end - start) + content[end:]


def bomb(megabytes: int, begin: bytes = b"") -> bytes:
    """A gzip member of zeros without an end: a thousandth of what it unpacks to."""
    packer = zlib.compressobj(9, wbits=31)
    head = packer.compress(begin) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + block * megabytes


@dataclass(frozen=True)
class Wound:
    """A piece that stands between sound records, and the damage that it has to count as.

    ``make`` gives the piece for a plain file; in a compressed one it is packed, unless it is ``raw`` and for that alone.
    """

    name: str
    make: Callable[[], bytes]
    reason: DamageReason
    records: int = 1
    raw: bool = False
    plain_reason: DamageReason | None = None


def _long(extra: int) -> bytes:
    block = http_block(page_of(50))
    return record(block, url_of(50), length=str(len(block) + extra))


def _short(missing: int) -> bytes:
    block = http_block(page_of(50))
    return record(block, url_of(50), length=str(len(block) - missing))


RECORD_WOUNDS = (
    Wound("length too long by 7", lambda: _long(7), "wrong_length"),
    Wound("length too long by 700", lambda: _long(700), "wrong_length"),
    Wound("length past any file", lambda: _long(10**12), "wrong_length"),
    Wound("length too short", lambda: _short(40), "wrong_length"),
    Wound("length zero", lambda: record(http_block(page_of(50)), url_of(50), length="0"), "wrong_length"),
    Wound("length negative", lambda: record(http_block(page_of(50)), url_of(50), length="-5"), "wrong_length"),
    Wound("length no number", lambda: record(http_block(page_of(50)), url_of(50), length="molti"), "wrong_length"),
    Wound("length in other digits", lambda: record(http_block(page_of(50)), url_of(50), length="\u0663"), "wrong_length"),
    Wound("length missing", lambda: record(http_block(page_of(50)), url_of(50), length=None), "wrong_length"),
    Wound("wrong digest", lambda: record(http_block(page_of(50)), url_of(50), digest="sha1:" + "A" * 32), "wrong_digest"),
    Wound("empty response", lambda: record(b"", url_of(50)), "no_http_head"),
    Wound("response without head", lambda: record(b"<html><p>ciao</p></html>", url_of(50)), "no_http_head"),
    Wound(
        "broken content coding",
        lambda: record(http_block(packed(page_of(50))[:20] + b"\x00" * 200, "Content-Encoding: gzip"), url_of(50)),
        "undecodable_body",
    ),
    Wound("first line destroyed", lambda: b"\x00" * 10 + page_record(50)[10:], "damaged_head"),
    Wound("text instead of a record", lambda: b"no record\r\n" * 9, "not_a_record", records=0, plain_reason="rubbish"),
)
"""Damage inside a record or instead of one, in a plain file or in a gzip member of its own."""

MEMBER_WOUNDS = (
    Wound("middle zeroed", lambda: zeroed(packed(page_record(50)), 150, 190), "damaged_member", raw=True),
    Wound("first two bytes", lambda: b"xx" + packed(page_record(50))[2:], "damaged_member", raw=True),
    Wound("gzip header zeroed", lambda: zeroed(packed(page_record(50)), 0, 10), "damaged_member", raw=True),
    Wound("first forty bytes", lambda: zeroed(packed(page_record(50)), 0, 40), "damaged_member", raw=True),
    Wound("checksum", lambda: packed(page_record(50))[:-8] + b"\x00" * 4 + packed(page_record(50))[-4:], "damaged_member", raw=True),
    Wound("end cut off", lambda: packed(page_record(50))[:-30], "damaged_member", raw=True),
    Wound("zeros", lambda: bytes(3000), "rubbish", records=0, raw=True),
    Wound("text", lambda: b"una riga di testo\n" * 40, "rubbish", records=0, raw=True),
    Wound("HTML", lambda: page_of(60), "rubbish", records=0, raw=True),
    Wound("magic in rubbish", lambda: b"abc\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03abc" * 20, "rubbish", records=0, raw=True),
    Wound("bomb of zeros", lambda: bomb(40), "too_large_member", raw=True),
    Wound("bomb in a record", lambda: bomb(40, page_record(50)[:-4].replace(b"Content-Length: ", b"Content-Length: 9999")), "too_large_member", raw=True),
)
"""Damage of a gzip file."""
