"""Bytes of WARC archives: gzip members found and unpacked one by one, and a view of bytes as a stream of records.

A .warc.gz is a row of gzip members, so that what follows a damaged one can be read; but three bytes of magic also occur
inside compressed bytes, once in some 16 MB, and a nested archive holds whole members. A member counts as found only if
it unpacks to the beginning of a WARC record.
"""

from __future__ import annotations

import io
import mmap
import os
import re
import zlib
from typing import Literal

MAGIC = b"\x1f\x8b\x08"
HEAD_BYTES = 10
TRAILER_BYTES = 8
WINDOW_BYTES = 4 << 20
"""Bytes of a file in memory at once."""
UNPACKED_AT_ONCE = 8 << 20
"""Members that unpack to more are streamed."""
STREAMED_BYTES = 16 << 10
"""Compressed bytes unpacked in one step of a stream: 16 MiB at the most, as deflate packs 1,032 bytes into one."""
MAX_UNPACKED_BYTES = 256 << 20
MAX_RATIO = 200
"""A member that unpacks to more than so many bytes, and to more than so many for each of its own, is a bomb: zeros pack to
a thousandth, an archive of pages in one member to a tenth or twentieth."""
RECORD_BEGIN = re.compile(rb"WARC/\d\.\d+[ \t]*\r?\n")
_BEGIN_BYTES = 16

Ending = Literal["", "whole", "broken", "cut", "too_large"]


class Source:
    """Bytes by absolute position: a file, or bytes that were fetched from ``start`` on.

    A file is read, not mapped: mapped pages count as the process's memory, and a file that shrinks kills it.
    """

    def __init__(self, content: bytes | bytearray | memoryview | mmap.mmap | io.FileIO, start: int = 0) -> None:
        self.start = start
        self._file = content.fileno() if isinstance(content, io.FileIO) else None
        self._view = None if isinstance(content, io.FileIO) else content
        self.end = start + (len(content) if not isinstance(content, io.FileIO) else os.fstat(content.fileno()).st_size)

    def at(self, position: int, length: int) -> bytes:
        """Bytes from a position on; fewer than asked for only at the end."""
        begin = position - self.start
        if self._file is not None:
            return os.pread(self._file, length, begin)
        view = self._view
        return view[begin : begin + length] if isinstance(view, bytes) else bytes(view[begin : begin + length])  # type: ignore[index]


class Stream:
    """Bytes that hold records, taken piece by piece; ``ended`` says how they ended, once they did."""

    def __init__(self) -> None:
        self.buffer = b""
        self.at = 0
        self.passed = 0
        self.ended: Ending = ""

    def tell(self) -> int:
        """Bytes gone by since the beginning."""
        return self.passed + self.at

    def want(self, count: int) -> int:
        """Bytes at hand from ``at`` on: at least ``count``, unless the stream ends before."""
        have = len(self.buffer) - self.at
        if have >= count or self.ended:
            return have
        parts = [self.buffer[self.at :]]
        while have < count and (piece := self.piece()):
            parts.append(piece)
            have += len(piece)
        self.passed += self.at
        self.buffer, self.at = b"".join(parts), 0
        return have

    def skip(self, count: int, limit: int) -> bool:
        """Pass over bytes without keeping them; false where the stream ends before, or where more than ``limit`` had to be unpacked."""
        left = count - (len(self.buffer) - self.at)
        if left <= 0:
            self.at += count
            return True
        self.passed += len(self.buffer)
        self.buffer, self.at = b"", 0
        unpacked = 0
        while left > 0:
            if unpacked > limit:
                self.ended = "too_large"
            if self.ended or not (piece := self.piece()):
                return False
            unpacked += len(piece)
            if len(piece) > left:
                self.buffer, self.at = piece, left
            else:
                self.passed += len(piece)
            left -= len(piece)
        return True

    def skip_blank(self) -> None:
        """Pass over line ends."""
        while self.want(_BEGIN_BYTES):
            rest = self.buffer[self.at : self.at + _BEGIN_BYTES]
            blank = len(rest) - len(rest.lstrip(b"\r\n"))
            self.at += blank
            if blank < len(rest):
                return

    def seek_begin(self, limit: int) -> bool:
        """Pass over bytes up to what looks like the first line of a record; false where there is none, or none within ``limit`` bytes."""
        begun = self.tell()
        while True:
            self.want(STREAMED_BYTES)
            if found := RECORD_BEGIN.search(self.buffer, self.at):
                self.at = found.start()
                return True
            if self.ended:
                self.at = len(self.buffer)
                return False
            self.at = max(self.at, len(self.buffer) - _BEGIN_BYTES)
            if self.tell() - begun > limit:
                self.ended = "too_large"
                return False

    def mark(self) -> tuple[object, ...]:
        """A place to come back to by ``restore``."""
        return (self.buffer, self.at, self.passed, self.ended)

    def restore(self, mark: tuple[object, ...]) -> None:
        """Go back to a place."""
        self.buffer, self.at, self.passed, self.ended = mark[:4]  # type: ignore[assignment]

    def piece(self) -> bytes:
        """The next bytes; none at the end, with ``ended`` set."""
        self.ended = "whole"
        return b""


class UnpackedStream(Stream):
    """A gzip member that is unpacked already."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.buffer, self.ended = content, "whole"


class PlainStream(Stream):
    """An archive without compression."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self._source, self._next = source, source.start

    def skip(self, count: int, limit: int) -> bool:
        """As for any stream, but nothing has to be read for it."""
        left = count - (len(self.buffer) - self.at)
        if left <= 0:
            self.at += count
            return True
        possible = min(left, self._source.end - self._next)
        self.passed += len(self.buffer) + possible
        self.buffer, self.at = b"", 0
        self._next += possible
        return possible == left

    def mark(self) -> tuple[object, ...]:
        return (*super().mark(), self._next)

    def restore(self, mark: tuple[object, ...]) -> None:
        super().restore(mark)
        self._next = mark[4]  # type: ignore[assignment]

    def piece(self) -> bytes:
        piece = self._source.at(self._next, 1 << 20)
        self._next += len(piece)
        return piece or super().piece()


class MemberStream(Stream):
    """A gzip member unpacked step by step; ``position`` is where its compressed bytes were read up to."""

    def __init__(self, source: Source, position: int) -> None:
        super().__init__()
        self._source, self.position = source, position
        self._unpacker, self._failed = zlib.decompressobj(wbits=31), False

    def mark(self) -> tuple[object, ...]:
        copied = self._unpacker if self._unpacker.eof or self._failed else self._unpacker.copy()
        return (*super().mark(), self.position, copied, self._failed)

    def restore(self, mark: tuple[object, ...]) -> None:
        super().restore(mark)
        self.position, self._unpacker, self._failed = mark[4:]  # type: ignore[assignment]

    def piece(self) -> bytes:
        while not self._failed and not self._unpacker.eof:
            packed = self._source.at(self.position, STREAMED_BYTES)
            if not packed:
                self.ended = "cut"
                return b""
            before = self._unpacker.copy()
            try:
                piece = self._unpacker.decompress(packed)
            except zlib.error:
                self._failed = True
                piece, packed = _until_error(before, packed)
            self.position += len(packed) - len(self._unpacker.unused_data)
            if piece:
                return piece
        self.ended = "broken" if self._failed else "whole"
        return b""


def ending_of(source: Source, position: int) -> tuple[Ending, int]:
    """How a member ends, found by unpacking it without keeping anything, and where."""
    stream, unpacked = MemberStream(source, position), 0
    while piece := stream.piece():
        unpacked += len(piece)
        if unpacked > MAX_UNPACKED_BYTES and unpacked > MAX_RATIO * (stream.position - position):
            return "too_large", stream.position
    return stream.ended, stream.position


def _until_error(unpacker: zlib._Decompress, packed: bytes) -> tuple[bytes, bytes]:
    """What the bytes before the damaged one unpack to, and these bytes."""
    parts = []
    for place in range(len(packed)):
        try:
            parts.append(unpacker.decompress(packed[place : place + 1]))
        except zlib.error:
            return b"".join(parts), packed[:place]
    return b"".join(parts), packed


def unpack(member: bytes) -> bytes | None:
    """A whole member, alone in these bytes, of at most ``UNPACKED_AT_ONCE``; None where it is anything else.

    fastwarc unpacks twice as fast as Python's zlib. It checks the CRC but ends silently at a cut, so that the length is
    compared here.
    """
    from fastwarc.stream_io import GzipReader

    if len(member) < HEAD_BYTES + TRAILER_BYTES or member[:3] != MAGIC:
        return None
    try:
        content = GzipReader(io.BytesIO(member)).read(UNPACKED_AT_ONCE)
    except OSError:
        return None
    if len(content) >= UNPACKED_AT_ONCE or len(content) != int.from_bytes(member[-4:], "little"):
        return None
    return content


def next_member(source: Source, position: int) -> int:
    """Where the next member that holds WARC records begins; the end of the source where there is none."""
    while position < source.end:
        window = source.at(position, WINDOW_BYTES)
        place = window.find(MAGIC)
        while place >= 0:
            if begins_record(source, position + place):
                return position + place
            place = window.find(MAGIC, place + 1)
        if position + len(window) >= source.end or not window:
            break
        position += len(window) - len(MAGIC) + 1
    return source.end


def begins_record(source: Source, position: int) -> bool:
    """Whether a member begins here whose content begins as a WARC record does."""
    return _unpacks_to_record(source.at(position, 4096), 31)


def is_damaged_member(source: Source, start: int, end: int) -> bool:
    """Whether bytes that begin no readable member are one all the same, and not rubbish.

    Either the damage is in its first ten bytes and the rest unpacks, or the last four say a length that such a member
    may have; text, zeros and HTML do neither.
    """
    head = source.at(start, min(end - start, HEAD_BYTES + 4096))
    if head[:3] == MAGIC or _unpacks_to_record(head[HEAD_BYTES:], -zlib.MAX_WBITS):
        return True
    size, length = end - start, int.from_bytes(source.at(max(start, end - 4), 4), "little")
    return size > HEAD_BYTES + TRAILER_BYTES and size // 2 <= length <= min(size * 1032, 1 << 26)


def _unpacks_to_record(packed: bytes, wbits: int) -> bool:
    try:
        return zlib.decompressobj(wbits=wbits).decompress(packed, _BEGIN_BYTES).lstrip(b"\r\n").startswith(b"WARC/")
    except zlib.error:
        return False
