"""Taking captures out of a crawl's files: WARC records by their address, and the rows of its index that name them.

A record's place is filled with an empty one of the same length, so that every other record stays where the index says.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from corpus.web.errors import WebCorpusError
from corpus.web.warc.members import MAGIC, unpack
from corpus.web.warc.reading import Damage, read_records
from foundation.store.erased import ErasedAddresses
from foundation.store.searching import Search

_ENDINGS = (".warc.gz", ".warc", ".wet.gz", ".wet")
_TARGET = re.compile(rb"^WARC-Target-URI:[ \t]*<?([^>\r\n]*)", re.IGNORECASE | re.MULTILINE)
_BLANK = b"WARC/1.0\r\nWARC-Type: metadata\r\nWARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-000000000000>\r\nContent-Length: %d\r\n\r\n"
_END = b"\r\n\r\n"
_HEAD_BYTES = 8_192


def erase_captures(folder: Path, erased: ErasedAddresses, apply: bool) -> Mapping[str, int]:
    """Take erased addresses out of the crawl below a folder.

    Args:
        folder: of WARC files and Parquet indexes; changed ones are replaced, never changed in place.
        erased: which addresses.
        apply: or only count.

    Returns:
        How many records or rows hold erased addresses, by path below the folder; files without any are left out.

    Raises:
        WebCorpusError: an erased record shares its gzip member with others.
    """
    found = {}
    for path in sorted(folder.rglob("*")) if erased and folder.is_dir() else []:
        if path.is_file() and path.name.endswith(".parquet"):
            count = _erase_rows(path, Search(erased, frozenset()), apply)
        elif path.is_file() and path.name.endswith(_ENDINGS):
            count = _erase_records(path, erased, apply)
        else:
            continue
        if count:
            found[path.relative_to(folder).as_posix()] = count
    return found


def _erase_rows(path: Path, search: Search, apply: bool) -> int:
    import pyarrow.parquet as pq

    count = 0
    part = path.with_name(f"{path.name}.part")
    with pq.ParquetFile(path) as reader:
        for batch in reader.iter_batches(columns=["url"]) if "url" in reader.schema_arrow.names else ():
            count += sum(search.addresses.holds(url) for url in batch.column("url").to_pylist())
        if count and apply:
            with pq.ParquetWriter(part, reader.schema_arrow, compression="zstd") as writer:
                for rows in search.without([path]):
                    writer.write_table(rows)
    if count and apply:
        part.replace(path)
    return count


def _erase_records(path: Path, erased: ErasedAddresses, apply: bool) -> int:
    places = list(_places(path, erased))
    if places and apply:
        content = bytearray(path.read_bytes())
        for offset, length in places:
            content[offset : offset + length] = _blank(bytes(content[offset : offset + length]))
        part = path.with_name(f"{path.name}.part")
        part.write_bytes(content)
        part.replace(path)
    return len(places)


def _places(path: Path, erased: ErasedAddresses) -> Iterator[tuple[int, int]]:
    """Offset and length of the records of erased addresses."""
    with path.open("rb") as stream:
        for record in read_records(path):
            url = getattr(record, "url", "")
            if not url and not isinstance(record, Damage) and record.length:
                stream.seek(record.offset)
                url = _target(stream.read(record.length))
            if erased.holds(url):
                if not record.length:
                    raise WebCorpusError(
                        f"{path}: a record to be erased shares its gzip member with others; write the file with one member a record "
                        "(`warcio recompress`), materialize its snapshot again, and erase again"
                    )
                yield record.offset, record.length


def _target(member: bytes) -> str:
    head = (unpack(member) or b"")[:_HEAD_BYTES] if member.startswith(MAGIC) else member[:_HEAD_BYTES]
    found = _TARGET.search(head.partition(_END)[0])
    return found[1].decode("utf-8", "replace").strip() if found else ""


def _blank(record: bytes) -> bytes:
    """A record of nothing that is as long as this one: in a gzip member its head is padded by a comment (RFC 1952, 2.3.1)."""
    if not record.startswith(MAGIC):
        tail = record[len(record.rstrip(b"\r\n")) :][-len(_END) :]
        size = len(record) - len(_BLANK % 0) - len(tail)
        while len(_BLANK % size) + size + len(tail) > len(record):
            size -= 1
        head = _BLANK % size
        return head + b" " * (len(record) - len(head) - len(tail)) + tail if size > 0 else b"\n" * len(record)
    content = _BLANK % 0 + _END
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(content) + packer.flush()
    trailer = struct.pack("<II", zlib.crc32(content), len(content))
    head = MAGIC + b"\x10" + b"\x00" * 4 + b"\x00\xff"
    padding = len(record) - len(head) - 1 - len(packed) - len(trailer)
    if padding < 0:  # too short for any record: nothing that unpacks to nothing is taken for one
        packed, trailer = b"\x03\x00", struct.pack("<II", 0, 0)
        padding = len(record) - len(head) - 1 - len(packed) - len(trailer)
    return head + b" " * padding + b"\x00" + packed + trailer
