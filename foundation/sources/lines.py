"""Lines of a plain, gzip or zstd file, in bounded memory; damage is told apart from faults of access.

What is read does not depend on where the file lies: bytes are taken in blocks of a fixed size, so that a file that breaks
off breaks off after the same line from a folder and over a network.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

Compression = Literal["none", "gzip", "zstd"]

BLOCK_BYTES = 1 << 18
"""Bytes of the file taken at a time."""
OUTPUT_BYTES = 1 << 20
"""Most bytes that gzip gives at a time: a block that inflates a thousandfold stays bounded."""
ZSTD_BYTES = 1 << 16
"""Bytes that zstd gives at a time: where a file is damaged, at most so many before the break are lost with it."""
MAX_LINE_BYTES = 1 << 26
"""64 MiB: more is no page (crawlers cut pages at 1 or 5 MiB), and a line has to be held in memory."""
_GZIP_WINDOW = 31  # zlib.h: 15 bits of window, plus 16 for the gzip wrapper


class DamagedFile(Exception):
    """The file breaks off or does not decompress; the lines before the break were given already."""


@dataclass(frozen=True, slots=True)
class TooLong:
    """Stands for a line of more than ``MAX_LINE_BYTES``; ``head`` is its beginning."""

    head: bytes


class SourceFile:
    """A file as decoders read it: far ahead, by whole sizes, and with a memory for faults of access.

    pyarrow raises OSError for a damaged file as well as for what the file object raised; with ``fault`` the two are told
    apart: a fault must be shown or retried, damage is counted.

    Args:
        file: what is read; it may give less than it is asked for.
        ahead: bytes taken at once where less is asked for; over a network, each time is a request.
    """

    def __init__(self, file: BinaryIO, ahead: int = 0) -> None:
        self.ahead = ahead
        self.fault: BaseException | None = None
        self.closed = False
        self._file = file
        self._place = 0
        self._block = b""
        self._begin = 0

    def read(self, size: int = -1) -> bytes:
        """Exactly ``size`` bytes, fewer only at the end of the file."""
        skip = self._place - self._begin
        data = self._block[skip : skip + size if size >= 0 else None] if 0 <= skip < len(self._block) else b""
        missing = size - len(data)
        if size < 0 or missing:
            more = self._taken(self._place + len(data), -1 if size < 0 else max(missing, self.ahead))
            data = data + more[:missing] if size >= 0 else data + more
        self._place += len(data)
        return data

    def _taken(self, place: int, size: int) -> bytes:
        parts = []
        missing = size
        try:
            self._file.seek(place)
            while missing and (part := self._file.read(missing)):
                parts.append(part)
                missing -= len(part) if size >= 0 else 0
        except BaseException as error:
            self.fault = error
            raise
        block = parts[0] if len(parts) == 1 else b"".join(parts)
        if self.ahead:
            self._block, self._begin = block, place
        return block

    def seek(self, place: int, whence: int = 0) -> int:
        """Move to a place, counted from the start (0), from here (1) or from the end (2)."""
        if whence == 2:
            place += self._file.seek(0, 2)
        self._place = place + self._place if whence == 1 else place
        return self._place

    def tell(self) -> int:
        """The place from the start."""
        return self._place

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def writable(self) -> bool:
        """Never."""
        return False

    def flush(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Only noted: who opened the file closes it."""
        self.closed = True


def read_lines(source: SourceFile, compression: Compression) -> Iterator[bytes | TooLong]:
    """Lines without their line feeds; the last one may lack it.

    Raises:
        DamagedFile: at the end of what can be read. The piece of a line before the break is not given.
    """
    return split_lines(read_blocks(source, compression))


def read_blocks(source: SourceFile, compression: Compression) -> Iterator[bytes]:
    """What a file holds, unpacked, in blocks of at most some megabytes.

    Raises:
        DamagedFile: at the end of what can be read.
    """
    return {"none": _plain, "gzip": _inflated, "zstd": _zstd}[compression](source)


def split_lines(blocks: Iterable[bytes]) -> Iterator[bytes | TooLong]:
    """The lines of blocks that follow one another, without their line feeds; the last one may lack it."""
    pieces: list[bytes] = []
    held = 0
    for block in blocks:
        first, *lines = block.split(b"\n")
        held += len(first)
        if first and (held <= MAX_LINE_BYTES or not pieces):
            pieces.append(first)
        elif first:
            del pieces[1:]
        for line in lines:
            yield _joined(pieces, held)
            pieces, held = [line] if line else [], len(line)
    if held:
        yield _joined(pieces, held)


def _joined(pieces: list[bytes], held: int) -> bytes | TooLong:
    return b"".join(pieces) if held <= MAX_LINE_BYTES else TooLong(pieces[0][:100])


def _plain(source: SourceFile) -> Iterator[bytes]:
    while block := source.read(BLOCK_BYTES):
        yield block


def _inflated(source: SourceFile) -> Iterator[bytes]:
    """The members of a gzip file one after the other; zeros between and after them are padding (gzip(1))."""
    stream = zlib.decompressobj(_GZIP_WINDOW)
    begun = False
    while block := source.read(BLOCK_BYTES):
        while block:
            if stream.eof:
                block = block.lstrip(b"\0")
                if not block:
                    break
                stream = zlib.decompressobj(_GZIP_WINDOW)
            begun = True
            before = stream.copy()
            try:
                output = stream.decompress(block, OUTPUT_BYTES)
            except zlib.error as error:
                yield _up_to_the_break(before, block)
                raise DamagedFile(str(error)) from None
            if output:
                yield output
            block = stream.unused_data if stream.eof else stream.unconsumed_tail
    if not stream.eof:
        rest = stream.flush() if begun else b""
        if rest:
            yield rest
        if not stream.eof:
            raise DamagedFile("the file ends inside a gzip member")


def _up_to_the_break(stream: zlib._Decompress, block: bytes) -> bytes:
    """What a block that does not inflate gives before it breaks; zlib keeps nothing of it."""
    output = bytearray()
    try:
        for place in range(len(block)):
            output += stream.decompress(block[place : place + 1])
    except zlib.error:
        pass
    return bytes(output)


def _zstd(source: SourceFile) -> Iterator[bytes]:
    import pyarrow as pa

    stream = pa.CompressedInputStream(pa.PythonFile(source, "r"), "zstd")
    begun = False
    while True:
        try:
            block = stream.read(ZSTD_BYTES)
        except (OSError, pa.ArrowException) as error:
            if source.fault is not None:
                raise source.fault from None
            raise DamagedFile(str(error)) from None
        if not block:
            break
        begun = True
        yield block
    if not begun and source.tell() == 0:
        raise DamagedFile("the file is empty")
