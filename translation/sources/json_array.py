"""JSON arrays of objects, as ShareGPT's and Alpaca's files are: one object at a time, in the memory of one object."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

MAX_OBJECT_CHARACTERS = 1 << 26
"""More is no row; an object has to be held in memory."""
_BLANK = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


class BrokenArray(Exception):
    """The array cannot be read further; ``line`` is where, counted from 1."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


class _Text:
    """What is at hand of the text, and where it stands."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self.held = ""
        self.place = 0
        self.ended = False
        self._blocks = iter(blocks)
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._begun = False
        self._lines = 0

    @property
    def line(self) -> int:
        return 1 + self._lines + self.held.count("\n", 0, self.place)

    def more(self, wanted: int = 1) -> bool:
        """Add at least so many characters; False where the text has ended."""
        self._lines += self.held.count("\n", 0, self.place)
        parts, found, self.place = [self.held[self.place :]], 0, 0
        while found < wanted and not self.ended:
            block = next(self._blocks, b"")
            self.ended = not block
            try:
                part = self._decoder.decode(block, final=self.ended)
            except UnicodeDecodeError as error:
                before = "".join(parts).count("\n") + block[: error.start].count(b"\n")
                raise BrokenArray(1 + self._lines + before, f"it is not UTF-8 ({error.reason}); UTF-8 is expected") from error
            if not self._begun and part:
                part, self._begun = part.removeprefix("\ufeff"), True
            parts.append(part)
            found += len(part)
        self.held = "".join(parts)
        return found > 0

    def next_mark(self) -> str:
        """The next character that is no white space, without taking it; empty at the end."""
        while True:
            match = _BLANK.match(self.held, self.place)
            assert match is not None
            self.place = match.end()
            if self.place < len(self.held):
                return self.held[self.place]
            if not self.more():
                return ""


def array_objects(blocks: Iterable[bytes]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of an array with the line that each begins on.

    Raises:
        BrokenArray: the text ends early, is no UTF-8 or no JSON, or an element is no object.
        Exception: as the blocks raise it.
    """
    text = _Text(blocks)
    if text.next_mark() != "[":
        raise BrokenArray(text.line, "a JSON array is expected, which begins with '['")
    text.place += 1
    if text.next_mark() != "]":
        while True:
            line = text.line
            yield line, _object(text)
            mark = text.next_mark()
            if mark not in (",", "]"):
                raise _unexpected(text, mark, "',' or ']'")
            if mark == "]":
                break
            text.place += 1
    text.place += 1
    if mark := text.next_mark():
        raise _unexpected(text, mark, "the end of the file")


def _object(text: _Text) -> dict[str, Any]:
    mark = text.next_mark()
    if mark != "{":
        raise _unexpected(text, mark, "an object")
    while True:
        try:
            item, text.place = _DECODER.raw_decode(text.held, text.place)
        except json.JSONDecodeError as error:
            # Either the object is not all at hand, or it is broken; only more text can tell. Twice as much each time, so that
            # a long object is not parsed over and over.
            line = text.line + text.held.count("\n", text.place, error.pos)
            waiting = len(text.held) - text.place
            if waiting > MAX_OBJECT_CHARACTERS or not text.more(max(waiting, 1)):
                what = "is longer than 64 MiB, or" if waiting > MAX_OBJECT_CHARACTERS else "ends early, or"
                raise BrokenArray(line, f"the object {what} is not JSON ({error.msg})") from error
        except RecursionError as error:
            raise BrokenArray(text.line, "the object nests too deep for a row of texts") from error
        else:
            assert isinstance(item, dict)
            return item


def _unexpected(text: _Text, mark: str, wanted: str) -> BrokenArray:
    return BrokenArray(text.line, f"{mark!r} stands where {wanted} is expected" if mark else f"the file ends where {wanted} is expected")
