"""How deeply a page's tags nest, found before any parser sees the page: parsers take time that grows with the square of it.

The limit is on the page, not on seconds, so that a corpus does not depend on the speed of the machine.
"""

from __future__ import annotations

import re

_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"}
_NEVER_NEST = frozenset({"p", "li", "dt", "dd", "option", "optgroup", "tr", "td", "th", "thead", "tbody", "tfoot", "colgroup", *_VOID})
"""Elements that a parser closes by itself (HTML living standard, sections 13.1.2 and 13.1.2.4), so that many in a row do not nest."""


def too_many_tags(html: str, max_tags: int) -> bool:
    """Whether a page has more tags (``<``, comments and declarations counted too)."""
    return html.count("<") > max_tags


def too_deep(html: str, max_depth: int) -> bool:
    """Whether tags nest deeper, taking every tag that is not closed as open until the end of the page."""
    if html.count("<") - html.count("</") <= max_depth:
        return False  # there are not even so many opening tags
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
