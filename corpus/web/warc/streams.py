"""Records of a stream of bytes, told apart by their heads and lengths: plain archives, and gzip members that hold anything
but one sound record."""

from __future__ import annotations

import re
from collections.abc import Iterator

from corpus.web.warc.members import RECORD_BEGIN, Stream
from corpus.web.warc.records import (
    MAX_HEAD_BYTES,
    Damage,
    DamageReason,
    Head,
    Oversized,
    Record,
    begins_head,
    is_proved,
    read_head,
    read_record,
)

MAX_PASSED_BYTES = 32 << 20
"""Bytes of a broken member that are passed over in search of a record's end or of the next record."""
RECORD_ENDS = (b"\r\n\r\n", b"\n\n")
_AHEAD = 16
_BLANK_BYTES = 3
"""The longest end of a head."""
_OWN_FIELD = re.compile(rb"\bWARC-(?:Type|Record-ID|Date|Target-URI):", re.IGNORECASE)


class StreamRecords:
    """The records of a stream, with damage in its place.

    Iteration stops where the stream ends; ``stream.ended`` says how, ``partial`` whether that was inside a record,
    ``heads`` how many records began, ``url`` what the last of them was of.
    """

    def __init__(self, stream: Stream, max_payload_bytes: int, offset: int, *, plain: bool, proved: bool = False) -> None:
        """Read a stream.

        Args:
            stream: at its beginning.
            max_payload_bytes: larger records are passed over.
            offset: of the stream in its file.
            plain: records have places of their own in the file; else all have that of their gzip member.
            proved: the stream is known to break: a record without a digest that fits counts as damage.
        """
        self.stream, self.heads, self.partial, self.url = stream, 0, False, ""
        self._offset, self._plain, self._max_payload_bytes = offset, plain, max_payload_bytes
        self._proved = proved
        self._end: int | None = None  # once it was run into: many wrong lengths must not each unpack all that follows
        self._max_passed_bytes = MAX_PASSED_BYTES if proved else 1 << 62

    def __iter__(self) -> Iterator[Record]:
        stream = self.stream
        stream.skip_blank()
        while stream.want(1):
            begin, head = stream.tell(), head_at(stream)
            if head is None:
                record = self._rubbish(begin)
            else:
                self.heads, self.url = self.heads + 1, head.url
                record = self._record(head, begin)
            if record is None:
                return
            yield record
            stream.skip_blank()

    def _record(self, head: Head, begin: int) -> Record | None:
        """The record that begins here, or what is wrong with it; None where the stream ends inside it."""
        stream, size = self.stream, head.length
        stream.at = head.end
        if size is None:
            return self._without_end(head, begin)
        if size > self._max_payload_bytes + MAX_HEAD_BYTES:
            return self._oversized(head, size, begin)
        if not self._ends_after(size):
            return self._without_end(head, begin)
        content, start = stream.buffer, stream.at
        stream.at += size
        stream.skip_blank()
        head, end = Head(head.fields, start), start + size
        if self._proved and not is_proved(content, head, end):
            return self._damage(begin, "damaged_member", head.url)
        offset, length = self._place(begin)
        return read_record(content, head, end, offset, length, self._max_payload_bytes)

    def _oversized(self, head: Head, size: int, begin: int) -> Record | None:
        stream = self.stream
        if self._end is not None and stream.tell() + size > self._end:
            return self._without_end(head, begin)
        mark = stream.mark()
        if not stream.skip(size, self._max_passed_bytes) or not self._ends_after(0):
            self._end = stream.tell() if stream.ended else None
            stream.restore(mark)
            return self._without_end(head, begin)
        stream.skip_blank()
        return Oversized(*self._place(begin), head.url, size)

    def _ends_after(self, size: int) -> bool:
        """Whether a record ends that many bytes ahead: by two line ends, by another record or by the stream's end."""
        stream = self.stream
        if stream.want(size + _AHEAD) < size:
            return False
        rest = stream.buffer[stream.at + size : stream.at + size + _AHEAD]
        after = rest.lstrip(b"\r\n")
        return rest.startswith(RECORD_ENDS) or after.startswith(b"WARC/") or (not after and stream.ended != "")

    def _without_end(self, head: Head, begin: int) -> Record | None:
        """What became of a record whose length does not lead to its end; the stream is at the next one then."""
        block, size = self.stream.tell(), head.length
        if self._seek_head():
            return self._damage(begin, "wrong_length", head.url)
        if self.stream.ended != "whole":
            self.partial = True
            return None
        is_cut = self._plain and size is not None and size > self.stream.tell() - block
        return self._damage(begin, "truncated_record" if is_cut else "wrong_length", head.url)

    def _rubbish(self, begin: int) -> Record | None:
        """Bytes that begin no record, up to the next one."""
        stream = self.stream
        first = stream.buffer[stream.at : stream.at + MAX_HEAD_BYTES]
        stream.at += 1
        found = self._seek_head()
        has_head = _OWN_FIELD.search(first, 0, stream.tell() - begin) is not None
        if not found and stream.ended != "whole":
            self.partial = has_head
            return None
        if not has_head:
            return self._damage(begin, "rubbish", "", records=0)
        is_cut = self._plain and not found and RECORD_BEGIN.match(first) and b"\n\r\n" not in first
        return self._damage(begin, "truncated_record" if is_cut else "damaged_head", "")

    def _seek_head(self) -> bool:
        """Pass on to the next head; false where the stream ends first.

        Each byte is searched once for the end of a head, however many heads seem to begin before it.
        """
        stream = self.stream
        begun = searched = stream.tell()
        while stream.seek_begin(self._max_passed_bytes - (stream.tell() - begun)):
            head = head_at(stream, searched)
            if head is None:
                if begins_head(stream.buffer, stream.at):
                    searched = max(searched, stream.tell() + min(stream.want(1), MAX_HEAD_BYTES) - _BLANK_BYTES)
                stream.at += 1
            elif "warc-type" in head.fields:
                return True
            else:  # what else seems to begin in this head has a part of its fields
                stream.at = head.end
        return False

    def _place(self, begin: int) -> tuple[int, int]:
        return (self._offset + begin, self.stream.tell() - begin) if self._plain else (self._offset, 0)

    def _damage(self, begin: int, reason: DamageReason, url: str, records: int = 1) -> Damage:
        offset, length = self._place(begin)
        return Damage(offset, reason, length, records, url)


def head_at(stream: Stream, searched: int = 0) -> Head | None:
    """The head that begins where a stream is; up to ``searched`` no head ends."""
    stream.want(MAX_HEAD_BYTES)
    return read_head(stream.buffer, stream.at, stream.at + searched - stream.tell())
