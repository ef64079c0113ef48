"""How deeply a page's tags nest and how many attributes one has, found before any parser sees the page: parsers take time
that grows with the square of either.

The limits are on the page, not on seconds, so that a corpus does not depend on the speed of the machine.
"""

from __future__ import annotations

import numpy as np

_NAME_BYTES = 8
"""Bytes of a tag's name that are compared; a closing tag with a longer name is taken to close nothing."""
_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"}
_NEVER_NEST = frozenset({"p", "li", "dt", "dd", "option", "optgroup", "tr", "td", "th", "thead", "tbody", "tfoot", "colgroup", *_VOID})
"""Elements that a parser closes by itself (HTML living standard, sections 13.1.2 and 13.1.2.4), so that many in a row do not nest."""


def too_many_tags(html: str, max_tags: int) -> bool:
    """Whether a page has more tags (``<``, comments and declarations counted too)."""
    return html.count("<") > max_tags


def too_many_attributes(html: str, max_attributes: int) -> bool:
    """Whether one tag has more attributes: equals signs in it, or ten times as many spaces (drawings have many in one value)."""
    if html.count("=") <= max_attributes and html.count(" ") <= 10 * max_attributes:
        return False
    data = np.frombuffer(html.encode("utf-8", errors="replace"), dtype=np.uint8)
    starts = np.flatnonzero(data == ord("<"))
    ends = np.append(np.flatnonzero(data == ord(">")), len(data))
    ends = ends[np.searchsorted(ends, starts)]
    for mark, most in (((ord("="),), max_attributes), ((ord(" "), ord("\n"), ord("\t"), ord("\f"), ord("\r")), 10 * max_attributes)):
        passed = np.append(0, np.cumsum(np.isin(data, mark)))
        if (passed[ends] - passed[starts]).max(initial=0) > most:
            return True
    return False


def too_deep(html: str, max_depth: int) -> bool:
    """Whether tags nest deeper, taking every tag that is not closed by one of its name as open until the end of the page."""
    if html.count("<") - html.count("</") <= max_depth and html.count("<") <= 2 * max_depth:
        return False  # there are not even so many opening tags
    return depth_of(html) > max_depth


def depth_of(html: str) -> int:
    """The largest number of tags that are open at once; a closing tag closes the last open one of its name, if any."""
    data = np.frombuffer(html.encode("utf-8", errors="replace") + bytes(_NAME_BYTES + 2), dtype=np.uint8)
    starts = np.flatnonzero(data == ord("<"))
    closing = data[starts + 1] == ord("/")
    names = _names(data, starts + 1 + closing)
    tags = (names != 0) & ~np.isin(names, _NEVER_NEST_NAMES)
    places, names, closing = np.flatnonzero(tags), names[tags], closing[tags]
    change = np.zeros(len(starts), dtype=np.int64)
    for name in np.unique(names):
        ones = names == name
        if name >> 56:  # a name of eight letters or more is not compared whole: none of its closing tags counts
            change[places[ones]] = ~closing[ones]
            continue
        steps = np.where(closing[ones], -1, 1)
        height = np.cumsum(steps)
        opened = height - np.minimum(np.minimum.accumulate(height), 0)
        change[places[ones]] = np.diff(opened, prepend=0)
    return int(np.cumsum(change).max(initial=0))


def _names(data: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Names that begin at these bytes as numbers, in lower case, the first letter in the lowest byte; 0 where there is no name."""
    names = np.zeros(len(first), dtype=np.uint64)
    inside = np.ones(len(first), dtype=bool)
    for place in range(_NAME_BYTES):
        byte = data[first + place]
        letter = _LETTERS[byte] if place == 0 else _NAME_CHARACTERS[byte]
        inside &= letter
        names |= np.where(inside, _LOWER[byte], 0).astype(np.uint64) << np.uint64(8 * place)
    return names


def _bytes_of(*ranges: tuple[str, str]) -> np.ndarray:
    found = np.zeros(256, dtype=bool)
    for low, high in ranges:
        found[ord(low) : ord(high) + 1] = True
    return found


_LETTERS = _bytes_of(("a", "z"), ("A", "Z"))
_NAME_CHARACTERS = _LETTERS | _bytes_of(("0", "9"))
_LOWER = np.arange(256, dtype=np.uint64)
_LOWER[ord("A") : ord("Z") + 1] += 32
_NEVER_NEST_NAMES = np.array([int.from_bytes(name.encode()[:_NAME_BYTES], "little") for name in sorted(_NEVER_NEST)], dtype=np.uint64)
