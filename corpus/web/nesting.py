"""How deeply a page's tags nest, found before any parser sees the page: parsers take time that grows with the square of it.

The limit is on the page, not on seconds, so that a corpus does not depend on the speed of the machine.
"""

from __future__ import annotations

import re

import numpy as np

_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"}
_NEVER_NEST = frozenset({"p", "li", "dt", "dd", "option", "optgroup", "tr", "td", "th", "thead", "tbody", "tfoot", "colgroup", *_VOID})
"""Elements that a parser closes by itself (HTML living standard, sections 13.1.2 and 13.1.2.4), so that many in a row do not nest."""


def too_many_tags(html: str, max_tags: int) -> bool:
    """Whether a page has more tags (``<``, comments and declarations counted too)."""
    return html.count("<") > max_tags


def too_deep(html: str, max_depth: int) -> bool:
    """Whether tags nest deeper, taking every tag that is not closed as open until the end of the page."""
    if html.count("<") - html.count("</") <= max_depth or _most_open(html) <= max_depth:
        return False
    depth = 0
    for match in _TAG.finditer(html):
        if match[2].lower() in _NEVER_NEST:
            continue
        if match[1]:
            depth = max(depth - 1, 0)
        else:
            depth += 1
            if depth > max_depth:
                return True
    return False


def _most_open(html: str) -> int:
    """An upper bound of the depth, by the first two letters of each tag: what takes most pages a tenth of a millisecond."""
    data = np.frombuffer(html.encode("utf-8", errors="replace") + b"   ", dtype=np.uint8)
    starts = np.flatnonzero(data == ord("<"))
    starts = starts[starts < len(data) - 3]
    closing = data[starts + 1] == ord("/")
    first = starts + 1 + closing
    pair = (data[first].astype(np.int32) << 8) | data[first + 1]
    change = _CHANGE[pair]
    opened = np.cumsum(np.where(closing, -change, change))
    return int((opened - np.minimum(np.minimum.accumulate(opened), 0)).max(initial=0))


def _changes() -> np.ndarray:
    """1 for the first two bytes of tags that may nest, 0 for those of elements that never do and of what is no tag.

    A pair that elements of both kinds begin with (``me``: meta and menu) counts as nesting, closing tags included: where
    that makes the bound too small, the elements that are closed are those that nest.
    """
    letters = [*range(ord("a"), ord("z") + 1), *range(ord("A"), ord("Z") + 1)]
    change = np.zeros(1 << 16, dtype=np.int32)
    for letter in letters:
        change[(letter << 8) : (letter << 8) + 256] = 1
    for pair in ("br", "hr", "im", "li", "wb", "td", "tr", "th", "dt", "dd", "op", "p>", "p ", "p\n", "p\t", "p\r", "p/"):
        for first in {pair[0], pair[0].upper()}:
            for second in {pair[1], pair[1].upper()}:
                change[(ord(first) << 8) | ord(second)] = 0
    return change


_CHANGE = _changes()
