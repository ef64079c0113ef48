"""WARC files to records, in file order; what is damaged is counted in its place and costs itself alone.

Readers of the whole stream either end silently at a cut file or fail at the first damaged byte, and neither says how much
was lost. Here each gzip member is unpacked on its own, and after damage reading goes on at the next member (in plain
files: the next record) that really begins one.
"""

from __future__ import annotations

import mmap
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path

from corpus.web.warc.members import (
    HEAD_BYTES,
    MAGIC,
    RECORD_BEGIN,
    TRAILER_BYTES,
    WINDOW_BYTES,
    MemberStream,
    PlainStream,
    Source,
    Stream,
    UnpackedStream,
    begins_record,
    ending_of,
    is_damaged_member,
    next_member,
    unpack,
)
from corpus.web.warc.records import (
    MAX_PAYLOAD_BYTES,
    Damage,
    DamageReason,
    OtherRecord,
    Oversized,
    PlainText,
    Record,
    Response,
    read_head,
    read_record,
)
from corpus.web.warc.streams import RECORD_ENDS, StreamRecords, head_at

__all__ = ["Damage", "DamageReason", "OtherRecord", "Oversized", "PlainText", "Record", "Response", "read_buffer", "read_records"]


def read_records(path: Path, *, max_payload_bytes: int = MAX_PAYLOAD_BYTES) -> Iterator[Record]:
    """Everything that a .warc.gz, .warc, .wet.gz … file holds, in file order.

    Args:
        path: the file; it may be larger than memory, and be one gzip member as a whole.
        max_payload_bytes: records whose payload is larger, coded or not, give an ``Oversized``.
    """
    with path.open("rb", buffering=0) as stream:
        yield from _read(Source(stream), max_payload_bytes)


def read_buffer(
    data: bytes | bytearray | memoryview | mmap.mmap, base_offset: int = 0, *, max_payload_bytes: int = MAX_PAYLOAD_BYTES
) -> Iterator[Record]:
    """The same for bytes that were fetched from ``base_offset`` on; offsets are those of the file."""
    yield from _read(Source(data, base_offset), max_payload_bytes)


def _read(source: Source, max_payload_bytes: int) -> Iterator[Record]:
    if source.end == source.start:
        return
    if _is_plain(source):
        yield from StreamRecords(PlainStream(source), max_payload_bytes, source.start, plain=True)
    else:
        yield from _members(source, max_payload_bytes)


def _is_plain(source: Source) -> bool:
    """Whether an archive is uncompressed; where it begins with neither a record nor a member, what is found first decides."""
    begin = source.at(source.start, 16)
    if RECORD_BEGIN.match(begin) or begins_record(source, source.start):
        return not begin.startswith(MAGIC)
    member = next_member(source, source.start)
    if begin.startswith(MAGIC) and member < source.end:
        return False
    stream = PlainStream(Source(source.at(source.start, min(member - source.start, WINDOW_BYTES))))
    return stream.seek_begin(WINDOW_BYTES) and head_at(stream) is not None


def _members(source: Source, max_payload_bytes: int) -> Iterator[Record]:
    """Records of a row of gzip members."""
    position, window, start = source.start, b"", source.start
    while position < source.end:
        end = window.find(MAGIC, position - start + HEAD_BYTES + TRAILER_BYTES)
        if end < 0 and start + len(window) < source.end:
            window, start = source.at(position, WINDOW_BYTES), position
            end = window.find(MAGIC, HEAD_BYTES + TRAILER_BYTES)
        if end < 0 and start + len(window) >= source.end:
            end = len(window)
        content = unpack(window[position - start : end]) if end >= 0 else None
        if content is None:
            position = yield from _member(source, position, max_payload_bytes)
            continue
        offset, position = position, start + end
        record = _only_record(content, offset, position - offset, max_payload_bytes)
        if record is not None:
            yield record
        else:
            yield from _whole(UnpackedStream(content), offset, position - offset, max_payload_bytes)


def _only_record(content: bytes, offset: int, length: int, max_payload_bytes: int) -> Record | None:
    """The record of a member that holds one and nothing else, as nearly all do; None for any other content."""
    head = read_head(content)
    size = head.length if head is not None else None
    if head is None or size is None or size > max_payload_bytes or content[head.end + size :] not in RECORD_ENDS:
        return None
    return read_record(content, head, head.end + size, offset, length, max_payload_bytes)


def _member(source: Source, position: int, max_payload_bytes: int) -> Generator[Record, None, int]:
    """A member of any size and state, or the gap that stands in its place; returns where it ends."""
    if source.at(position, len(MAGIC)) != MAGIC:
        return (yield from _gap(source, position))
    ending, end = ending_of(source, position)
    stream = MemberStream(source, position)
    if ending == "whole":
        yield from _whole(stream, position, end - position, max_payload_bytes)
        return end
    following = next_member(source, position + 1)
    reason: DamageReason = "damaged_member"
    if ending == "too_large":
        reason = "too_large_member"
    elif ending == "cut" and following == source.end:
        reason = "truncated_record"
    yield from _broken(stream, position, following, reason, max_payload_bytes)
    return following


def _whole(stream: Stream, offset: int, length: int, max_payload_bytes: int) -> Iterator[Record]:
    """What a whole member holds; a record that is alone in it has the member's length, and one without any is foreign."""
    records = StreamRecords(stream, max_payload_bytes, offset, plain=False)
    first: list[Record] = []
    for record in records:
        if records.heads > 1:
            yield from first
            yield record
            first = []
        else:
            first.append(record)
    for record in first:
        if records.heads == 0 and isinstance(record, Damage):
            yield replace(record, reason="damaged_head" if record.records else "not_a_record", length=length)
        elif records.heads > 1 or (isinstance(record, Damage) and not record.records):
            yield record
        else:
            yield replace(record, length=length)


def _broken(stream: MemberStream, offset: int, end: int, reason: DamageReason, max_payload_bytes: int) -> Iterator[Record]:
    """What a member that is not whole gives: of one record nothing, of several those before the first that is not proved.

    Wrong bytes may unpack without an error, and are noticed by the checksum at the end alone. What they spoil comes
    after them, so that records are sound up to the first whose block its digest does not prove. Nothing proves heads.
    """
    spoiled = reason != "truncated_record"
    records = StreamRecords(stream, max_payload_bytes, offset, plain=False, proved=spoiled)
    held: list[Record] = []
    for record in records:
        if spoiled and isinstance(record, Damage):
            records.partial = True
            break
        held.append(record)
        if records.heads > 1:
            yield from held
            held = []
    if records.heads > 1:
        yield from held
        begin = min(stream.position, end)
        yield Damage(begin, reason, end - begin, int(records.partial), records.url if records.partial else "")
    else:
        yield Damage(offset, reason, end - offset, url=records.url)


def _gap(source: Source, position: int) -> Generator[Record, None, int]:
    """Bytes that begin no gzip member, up to the next one."""
    following = next_member(source, position)
    rest = source.at(position, len(MAGIC))
    if following == source.end and MAGIC.startswith(rest):
        yield Damage(position, "truncated_record", following - position)
    elif is_damaged_member(source, position, following):
        yield Damage(position, "damaged_member", following - position)
    else:
        yield Damage(position, "rubbish", following - position, records=0)
    return following
