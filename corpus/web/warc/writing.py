"""Captures to WARC files in Common Crawl's layout, with its columnar index; the same bytes for the same captures."""

from __future__ import annotations

import base64
import datetime
import gzip
import hashlib
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from corpus.web.domains import host_of, registered_domain

INDEX_SCHEMA = pa.schema(
    [
        ("url_surtkey", pa.string()),
        ("url", pa.string()),
        ("url_host_name", pa.string()),
        ("url_host_tld", pa.string()),
        ("url_host_registered_domain", pa.string()),
        ("fetch_time", pa.timestamp("ms", tz="UTC")),
        ("fetch_status", pa.int16()),
        ("content_digest", pa.string()),
        ("content_mime_type", pa.string()),
        ("content_mime_detected", pa.string()),
        ("content_charset", pa.string()),
        ("content_languages", pa.string()),
        ("content_truncated", pa.string()),
        ("warc_filename", pa.string()),
        ("warc_record_offset", pa.int32()),
        ("warc_record_length", pa.int32()),
        ("warc_segment", pa.string()),
    ]
)
"""The columns of Common Crawl's index that matter here (commoncrawl/cc-index-table, flat schema)."""

_NAMESPACE = uuid.UUID("6b1f3f0e-6d0f-5d9f-9f53-7c3c7c5d4f10")


@dataclass(frozen=True, slots=True)
class Capture:
    """One page as a crawler would have met it.

    ``damaged`` zeroes bytes of the record's gzip member after it was written.
    """

    url: str
    fetched_at: datetime.datetime
    payload: bytes
    language: str
    licence: str = ""
    status: int = 200
    content_type: str = "text/html; charset=utf-8"
    kind: str = "page"
    damaged: bool = False


@dataclass(frozen=True, slots=True)
class WrittenWarc:
    """A WARC file that was written, and the index rows of its successful captures."""

    path: str
    records: int
    bytes: int
    index: tuple[dict[str, Any], ...]


def write_warc(captures: Sequence[Capture], root: Path, relative: str, *, index_failures: bool = False) -> WrittenWarc:
    """Write captures as one .warc.gz, each record its own gzip member, at a path below the crawl's root.

    Only successful captures are indexed: the index keeps the others in a subset of their own. Its subset of robots.txt
    captures holds all of them (``index_failures``).
    """
    path = root / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = []
    with path.open("wb") as stream:
        stream.write(_compressed(_warcinfo(relative, captures[0].fetched_at)))
        for capture in captures:
            offset = stream.tell()
            member = _compressed(_response(capture, f"{relative}:{offset}"))
            if capture.damaged:
                middle = len(member) // 2
                member = member[:middle] + bytes(min(64, len(member) - middle)) + member[middle + 64 :]
            stream.write(member)
            if capture.status == 200 or index_failures:
                rows.append(_index_row(capture, relative, offset, len(member)))
        size = stream.tell()
    return WrittenWarc(relative, len(captures) + 1, size, tuple(rows))


def write_index(warcs: Sequence[WrittenWarc], root: Path, crawl: str, subset: str = "warc") -> Path:
    """Write one subset of the columnar index of a crawl, sorted by ``url_surtkey`` as Common Crawl's is."""
    folder = root / "cc-index" / "table" / "cc-main" / "warc" / f"crawl={crawl}" / f"subset={subset}"
    folder.mkdir(parents=True, exist_ok=True)
    rows = sorted(
        (row for warc in warcs for row in warc.index),
        key=lambda row: (row["url_surtkey"], row["warc_filename"], row["warc_record_offset"]),
    )
    path = folder / "part-00000.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=INDEX_SCHEMA), path, compression="zstd")
    return path


def write_path_list(paths: Sequence[str], root: Path, crawl: str, kind: str) -> Path:
    """Write a crawl's list of files of one kind (``warc``, ``robotstxt``, ``cc-index-table``), one path a line."""
    path = root / "crawl-data" / crawl / f"{kind}.paths.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("".join(f"{name}\n" for name in paths).encode(), mtime=0))
    return path


def read_index(root: Path, languages: str) -> Iterator[dict[str, Any]]:
    """Index rows whose primary language is ``languages`` (ISO 639-3); nothing where a crawl has no index."""
    for path in sorted(root.glob("cc-index/table/cc-main/warc/crawl=*/subset=warc/*.parquet")):
        for row in pq.read_table(path, columns=["url", "content_languages", "warc_filename", "warc_record_offset"], partitioning=None).to_pylist():
            if (row["content_languages"] or "").split(",")[0] == languages:
                yield row


def _compressed(record: bytes) -> bytes:
    return gzip.compress(record, compresslevel=6, mtime=0)


def _warcinfo(relative: str, at: datetime.datetime) -> bytes:
    body = f"software: Transumanza sample crawl\r\nformat: WARC File Format 1.0\r\nisPartOf: {relative.split('/')[1]}\r\n".encode()
    return _record("warcinfo", at, body, "application/warc-fields", {"WARC-Filename": Path(relative).name}, relative)


def _response(capture: Capture, place: str) -> bytes:
    licence = f'Link: <https://spdx.org/licenses/{capture.licence}>; rel="license"\r\n' if capture.licence else ""
    reason = "OK" if capture.status == 200 else "Not Found"
    head = (
        f"HTTP/1.1 {capture.status} {reason}\r\nContent-Type: {capture.content_type}\r\n{licence}"
        f"Content-Length: {len(capture.payload)}\r\n\r\n"
    )
    block = head.encode() + capture.payload
    fields = {
        "WARC-Target-URI": capture.url,
        "WARC-Payload-Digest": f"sha1:{_sha1(capture.payload)}",
        "WARC-Block-Digest": f"sha1:{_sha1(block)}",
    }
    return _record("response", capture.fetched_at, block, "application/http; msgtype=response", fields, place)


def _record(kind: str, at: datetime.datetime, block: bytes, content_type: str, fields: dict[str, str], place: str) -> bytes:
    lines = {
        "WARC-Type": kind,
        "WARC-Date": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "WARC-Record-ID": f"<urn:uuid:{uuid.uuid5(_NAMESPACE, place)}>",
        "Content-Length": str(len(block)),
        "Content-Type": content_type,
        **fields,
    }
    head = "WARC/1.0\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return head.encode() + b"\r\n" + block + b"\r\n\r\n"


def _sha1(content: bytes) -> str:
    return base64.b32encode(hashlib.sha1(content, usedforsecurity=False).digest()).decode()


def _index_row(capture: Capture, relative: str, offset: int, length: int) -> dict[str, Any]:
    host = host_of(capture.url)
    mime = capture.content_type.split(";")[0]
    path = capture.url.split("://", 1)[-1].partition("/")[2]
    return {
        "url_surtkey": f"{','.join(reversed(host.removeprefix('www.').split('.')))})/{path}",
        "url": capture.url,
        "url_host_name": host,
        "url_host_tld": host.rsplit(".", maxsplit=1)[-1],
        "url_host_registered_domain": registered_domain(capture.url),
        "fetch_time": capture.fetched_at,
        "fetch_status": capture.status,
        "content_digest": _sha1(capture.payload),
        "content_mime_type": mime,
        "content_mime_detected": mime,
        "content_charset": "UTF-8" if mime == "text/html" else None,
        "content_languages": capture.language if mime == "text/html" else None,
        "content_truncated": None,
        "warc_filename": relative,
        "warc_record_offset": offset,
        "warc_record_length": length,
        "warc_segment": relative.split("/")[3],
    }
