"""The outline of a text: what of it must be the same in its translation, and the prose that may differ."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from translation.blocks import blocks
from translation.segmentation import ITEM_LABEL, blanked
from translation.spans import SpanKind, inline_spans

_LIST_ITEM = re.compile(rf"[ \t]*(?:>[ \t]?)*[ \t]*(?:[-*+•–▪◦]|\d{{1,3}}[.)]|\(?(?:{ITEM_LABEL})\))[ \t]+\S")
_PARAGRAPH_END = re.compile(r"\n[ \t]*\n\s*")


@dataclass(frozen=True)
class Outline:
    """What a text is made of.

    ``prose``: the text without code blocks, formulas, rules and protected spans: what identification of languages may read. ``spans``: the
    protected spans, by kind and wording. ``lines`` and ``paragraphs`` hold something; ``list_items`` stand outside code.
    """

    prose: str = ""
    lines: int = 0
    paragraphs: int = 0
    list_items: int = 0
    spans: Counter[tuple[SpanKind, str]] = field(default_factory=Counter)


def outline(text: str) -> Outline:
    """The outline of a text; Markdown is understood."""
    prose: list[str] = []
    items = 0
    spans: Counter[tuple[SpanKind, str]] = Counter()
    for block in blocks(text):
        part = text[block.start : block.end]
        if block.kind == "frame":
            if not part.strip():
                prose.append(part)
            else:
                spans["code", part.strip()] += 1
            continue
        found = inline_spans(part)
        spans.update((span.kind, part[span.start : span.end]) for span in found)
        prose.append(blanked(part, found, " ", " "))
        items += sum(_LIST_ITEM.match(line) is not None for line in part.split("\n"))
    bare = text.strip()
    return Outline("".join(prose), sum(bool(line.strip()) for line in text.split("\n")), len(_PARAGRAPH_END.split(bare)) if bare else 0, items, spans)
