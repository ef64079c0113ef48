"""A remote file as a seekable one: made for Parquet readers, which read the end first and then jump."""

from __future__ import annotations

import io
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

TAIL_BYTES = 64 * 1024
"""The end of the file that is fetched when it is opened: what pyarrow reads of a Parquet file first."""
SMALL_BYTES = 64 * 1024
"""Reads below this size fetch so much, since a request costs more than 64 KiB do; larger reads fetch what they ask for."""
LONGEST_AHEAD = 1024 * 1024
"""Small reads one after another fetch twice as much each time, up to this."""
KEPT_BLOCKS = 8
"""What small reads have fetched is kept, so many times: Parquet readers jump between columns that lie side by side."""


class RangedFile(io.RawIOBase):
    """Read-only access to bytes that lie elsewhere.

    Args:
        name: what the file is called in messages.
        size: bytes of the whole file.
        tail: its last bytes, already fetched.
        fetch: ``fetch(start, length)`` returns exactly these bytes, or raises.
    """

    def __init__(self, name: str, size: int, tail: bytes, fetch: Callable[[int, int], bytes]) -> None:
        super().__init__()
        self.name = name
        self._size = size
        self._fetch = fetch
        self._tail = tail
        self._tail_start = size - len(tail)
        self._blocks: deque[tuple[int, bytes]] = deque(maxlen=KEPT_BLOCKS)
        self._position = 0
        self._lock = threading.RLock()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def size(self) -> int:
        """Bytes of the whole file."""
        return self._size

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        with self._lock:
            base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
            if base + offset < 0:
                raise ValueError(f"{self.name}: cannot seek to {base + offset}, before the start of the file")
            self._position = base + offset
            return self._position

    def read(self, size: int | None = -1) -> bytes:
        if self.closed:
            raise ValueError(f"{self.name} is closed")
        with self._lock:
            start = min(self._position, self._size)
            end = self._size if size is None or size < 0 else min(start + size, self._size)
            data = self._bytes(start, end)
            self._position += len(data)
            return data

    def readall(self) -> bytes:
        return self.read()

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def _bytes(self, start: int, end: int) -> bytes:
        pieces = []
        for first, block in self._blocks:
            if first <= start < min(end, first + len(block)):
                pieces.append(block[start - first : end - first])
                start += len(pieces[0])
                break
        stop = min(end, self._tail_start)
        if start < stop:
            pieces.append(self._fetched(start, stop))
            start = stop
        if start < end:
            pieces.append(self._tail[start - self._tail_start : end - self._tail_start])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _fetched(self, start: int, end: int) -> bytes:
        """Bytes that lie before the tail."""
        length = end - start
        if length >= SMALL_BYTES:
            return self._fetch(start, length)
        before = next((len(block) for first, block in self._blocks if first + len(block) == start), 0)
        ahead = min(2 * before, LONGEST_AHEAD) if before else SMALL_BYTES
        block = self._fetch(start, min(ahead, self._tail_start - start))
        self._blocks.append((start, block))
        return block[:length]
