"""Quantities: a number with its unit or currency never reaches an engine, so that its marks are written here as the target language has them.

``3.5 kg`` becomes ``3,5 kg``, and ``$1,234.50`` becomes ``$1.234,50``; the gate on numbers takes both for the same. Numbers without a unit are
the engine's affair.
"""

from __future__ import annotations

import re

from translation.blocks import blocks
from translation.settings import NumberMarks
from translation.spans import inline_spans

_MARKED = re.compile(r"\d[.,]\d")
_NUMBER = re.compile(r"(?<![\d.,])(\d{1,3}(?:,\d{3})++|\d++)(?:\.(\d++))?(?![\d.,]*\d)")
"""A number as English writes it; a version (1.2.3) or a number with a decimal comma is none."""


def with_marks(text: str, marks: NumberMarks) -> str:
    """The text with the quantities in its prose and its tables in other marks than the English ones; every character keeps its place."""
    if marks == NumberMarks() or _MARKED.search(text) is None:
        return text
    parts: list[str] = []
    for block in blocks(text):
        part = text[block.start : block.end]
        position = 0
        for span in inline_spans(part) if block.kind != "frame" else ():
            if span.kind == "quantity":
                parts += [part[position : span.start], _NUMBER.sub(lambda number: _written(number, marks), part[span.start : span.end])]
                position = span.end
        parts.append(part[position:])
    return "".join(parts)


def _written(number: re.Match[str], marks: NumberMarks) -> str:
    whole = number[1].replace(",", marks.thousands)
    return whole if number[2] is None else whole + marks.decimal + number[2]
