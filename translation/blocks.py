"""Blocks: which lines of a Markdown text are prose, which are rows of tables, and which are frame that no engine may see.

markdown-it-py tells blocks apart by the rules of CommonMark, with GitHub's tables and one rule of our own for formulas; of its tokens only
the types and line numbers are used, so that every character of the text stays where it was. What is inside a line is the affair of
``spans`` and ``segmentation``.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock

BlockKind = Literal["frame", "table", "prose"]

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
"""A line with its ending; CommonMark knows these three."""
_RAW_HTML = re.compile(r"[ \t>]*<(?:(?:script|pre|style|textarea)\b|!--|\?|![A-Za-z\[])", re.IGNORECASE)
"""Openings of HTML blocks whose content is no prose (CommonMark 0.31, HTML blocks 1 to 5)."""
_MATH = {"$$": "$$", "\\[": "\\]"}
_ENVIRONMENT = re.compile(r"\\begin\{([A-Za-z]{1,30}\*?)\}")
_AFTER_MATH = re.compile(r"[ \t]*[.,;:]?[ \t]*")


@dataclass(frozen=True, slots=True)
class Block:
    """Lines of one kind that belong together, as characters ``start`` to ``end`` of the text, line endings included.

    ``frame``: code, formulas, rules, blank lines, raw HTML. ``table``: one row of a table. ``prose``: a paragraph, a heading, what a list
    item says, or HTML with text in it; its lines may begin with the marks of lists, quotes and headings.
    """

    kind: BlockKind
    start: int
    end: int


def blocks(text: str) -> list[Block]:
    """The blocks of a text in order; they cover it without gaps. Takes time in proportion to its length."""
    lines = _LINE.findall(text)
    kinds: list[BlockKind] = ["frame" if not line.strip() else "prose" for line in lines]
    first = [True] * len(lines)  # lines that begin a block
    for token in _tokens([line.rstrip("\r\n") for line in lines]):
        if token.map is None:
            continue
        begin, end = token.map
        if token.type in ("fence", "code_block", "hr", "math_block") or (token.type == "html_block" and _RAW_HTML.match(lines[begin])):
            kinds[begin:end] = ["frame"] * (end - begin)
        elif token.type == "table_open":
            kinds[begin:end] = ["table"] * (end - begin)
            kinds[begin + 1] = "frame"
        elif token.type == "heading_open" and token.markup in ("=", "-"):
            kinds[end - 1] = "frame"
            first[begin + 1 : end - 1] = [False] * max(end - begin - 2, 0)
        elif token.type in ("paragraph_open", "html_block"):
            first[begin + 1 : end] = [False] * (end - begin - 1)
    return list(_joined(lines, kinds, first))


def _joined(lines: Sequence[str], kinds: Sequence[BlockKind], first: Sequence[bool]) -> list[Block]:
    found: list[Block] = []
    position = 0
    for line, kind, begins in zip(lines, kinds, first, strict=True):
        end = position + len(line)
        goes_on = found and found[-1].kind == kind and (kind == "frame" or (kind == "prose" and not begins))
        if goes_on:
            found[-1] = Block(kind, found[-1].start, end)
        else:
            found.append(Block(kind, position, end))
        position = end
    return found


def _tokens(lines: Sequence[str]) -> list:  # type: ignore[type-arg]
    tokens: list = []  # type: ignore[type-arg]
    parser = _parser()
    parser.block.parse("\n".join(lines), parser, {}, tokens)
    return tokens


@functools.cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    # Without link definitions: they only matter to what is inside lines. Nesting deeper than the preset's 20 is left as prose.
    parser = MarkdownIt("commonmark").enable("table").disable("reference")
    parser.block.ruler.before("fence", "math_block", _math_block, {"alt": ["paragraph", "blockquote", "list"]})
    return parser


def _math_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """A rule of markdown-it: ``$$``, ``\\[`` or ``\\begin{…}`` at a line's beginning, to the line that its closing mark ends.

    A formula that is never closed is text: LaTeX, unlike CommonMark's fences, does not run to the end.
    """
    if state.is_code_block(start):
        return False
    position, last = state.bMarks[start] + state.tShift[start], state.eMarks[start]
    closing, inside = _closing(state.src, position, last)
    if closing is None:
        return False
    found = _find(state, closing, inside)
    if found < 0:
        return False
    after = found + len(closing)
    line = start
    while line < end and state.eMarks[line] < after:
        line += 1
    if line >= end or not _AFTER_MATH.fullmatch(state.src, after, state.eMarks[line]):
        return False
    if not silent:
        token = state.push("math_block", "math", 0)
        token.map = [start, line + 1]
        state.line = line + 1
    return True


def _closing(source: str, position: int, last: int) -> tuple[str | None, int]:
    """The mark that closes a formula that begins here, and where its inside begins."""
    mark = source[position : min(position + 2, last)]
    if mark in _MATH:
        return _MATH[mark], position + 2
    environment = _ENVIRONMENT.match(source, position, last)
    return (f"\\end{{{environment[1]}}}", environment.end()) if environment else (None, position)


def _find(state: StateBlock, closing: str, position: int) -> int:
    """Where a mark comes next; what was found before is not searched again, so that a thousand openings without an end stay cheap."""
    known: dict[str, tuple[int, int]] = state.env.setdefault("math", {})
    searched, found = known.get(closing, (0, 0))
    if closing not in known or position < searched or 0 <= found < position:
        found = state.src.find(closing, position)
        known[closing] = (position, found)
    return found
