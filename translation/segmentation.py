"""Segmentation: a text becomes sentences to translate and the frame around them, and comes back byte for byte.

``blocks`` tells prose from code, tables and formulas, ``spans`` finds what inside prose is protected; here they are put together. Code, table
frames, formulas, marks of lists, quotes and headings, blank lines, indentation and every kind of line ending are frame: no engine sees them.
Lines are units, since chats use line ends as structure; so are the cells of a table.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from foundation.language.sentences import SentenceSettings, clause_spans, sentence_spans
from translation.blocks import blocks
from translation.protection import Spans, speaks
from translation.spans import InlineSpan, inline_spans

SEGMENTER_VERSION = "3"
"""Changes whenever the same text may be cut otherwise."""

LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
"""Everything that some program takes for the end of a line; none of it reaches an engine."""
_IN_LINE = re.compile(rf"[^{LINE_ENDS}]+")
ITEM_LABEL = r"\d{1,2}|[A-Za-z]|[ivxIVX]{2,5}"
"""What stands before the bracket of a list's mark; a word such as 'we' does not: '(We) know that.'"""
_LINE_HEAD = re.compile(
    rf"[\ufeff\u200b\u200e\u200f\u2060]*(?:[ \t]*(?:>|#{{1,6}}(?=[ \t])|[-*+•–▪◦](?=[ \t])|\d{{1,3}}[.)](?=[ \t])|\(?(?:{ITEM_LABEL})\)(?=[ \t])|\[[ xX]\](?=[ \t])))*+[ \t]*"
)
_LABEL = re.compile(r"(?P<mark>\*{1,3}|_{1,3})(?=\S)(?P<label>(?:(?!(?P=mark)).)++)(?<=\S)(?P=mark)(?P<after>\s*[:–—-]\s*|[.:]?\s*$)")
_CELL_BAR = re.compile(r"(?<!\\)\|")
_CLOSERS = {"emphasis", "html", "link"}
"""Spans that may close a sentence behind its full stop, as a quotation mark does."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text: a sentence for the engine, with the spans in it that are protected, or frame that stays as it is."""

    text: str
    sentence: bool
    spans: Spans = ()


def segment(text: str, sentences: SentenceSettings, max_characters: int = 600) -> list[Piece]:
    """All pieces of a text in order; joined, they are the text.

    Args:
        text: any text; Markdown is understood.
        sentences: the abbreviations of its language.
        max_characters: longer sentences are cut at clauses.
    """
    pieces: list[Piece] = []
    for block in blocks(text):
        part = text[block.start : block.end]
        if block.kind == "frame":
            pieces.append(Piece(part, sentence=False))
        else:
            found = _Block(part, inline_spans(part), sentences, max_characters)
            pieces += found.table_row() if block.kind == "table" else found.prose()
    return _merged(pieces)


def cut(piece: Piece, max_characters: int) -> list[Piece]:
    """A sentence in shorter pieces, cut at clauses; itself alone where it has no white space to cut at."""
    found = _Block(piece.text, [InlineSpan(start, end, "code") for start, end in piece.spans], SentenceSettings(), max_characters)
    return _merged(list(found.clauses(0, len(piece.text))))


def blanked(text: str, spans: Sequence[InlineSpan], filler: str = "X", closer: str = '"') -> str:
    """The text with each span overwritten, so that its punctuation ends no sentence; the length stays."""
    parts = []
    position = 0
    for span in spans:
        parts += [text[position : span.start], (closer if span.kind in _CLOSERS else filler) * (span.end - span.start)]
        position = span.end
    return "".join([*parts, text[position:]])


class _Block:
    """The prose of a block or a row of a table, cut into pieces; positions are those of the block."""

    def __init__(self, text: str, spans: Sequence[InlineSpan], settings: SentenceSettings, max_characters: int) -> None:
        self._text = text
        self._spans = spans
        self._starts = [span.start for span in spans]
        self._blanked = blanked(text, spans)
        self._settings = settings
        self._max_characters = max_characters

    def prose(self) -> Iterator[Piece]:
        position = 0
        for start, end in self._lines():
            yield Piece(self._text[position:start], sentence=False)
            yield from self._line(start, end)
            position = end
        yield Piece(self._text[position:], sentence=False)

    def table_row(self) -> Iterator[Piece]:
        head = _LINE_HEAD.match(self._text)
        position = head.end() if head else 0
        yield Piece(self._text[:position], sentence=False)
        # Long runs without a space are data elsewhere; here they are cells.
        spans = [span for span in self._spans if span.kind != "noise"]
        for bar in [*_CELL_BAR.finditer(blanked(self._text, spans), position), None]:
            end = len(self._text) if bar is None else bar.start()
            cell = self._text[position:end]
            yield from _Block(cell, inline_spans(cell), self._settings, self._max_characters).prose_of_line()
            if bar is not None:
                yield Piece("|", sentence=False)
                position = bar.end()

    def prose_of_line(self) -> Iterator[Piece]:
        """The whole block as what follows a line's head."""
        position = 0
        for start, end in self._lines():
            yield Piece(self._text[position:start], sentence=False)
            yield from self._sentences(start, end)
            position = end
        yield Piece(self._text[position:], sentence=False)

    def _lines(self) -> Iterator[tuple[int, int]]:
        """What lies between line ends, and outside spans that go over one."""
        over = [span for span in self._spans if _ends_inside(self._text, span)]
        position = 0
        for span in [*over, None]:
            limit = len(self._text) if span is None else span.start
            for line in _IN_LINE.finditer(self._text, position, limit):
                yield line.span()
            position = limit if span is None else span.end

    def _line(self, start: int, end: int) -> Iterator[Piece]:
        head = _LINE_HEAD.match(self._text, start, end)
        position = head.end() if head else start
        yield Piece(self._text[start:position], sentence=False)
        last = position + len(_without_tail(self._text[position:end])) if "#" in self._text[start:position] else end
        label = _LABEL.match(self._text, position, last)
        if label:
            yield Piece(label["mark"], sentence=False)
            yield from self._sentences(*label.span("label"))
            yield Piece(label["mark"] + label["after"], sentence=False)
            position = label.end()
        yield from self._sentences(position, last)
        yield Piece(self._text[last:end], sentence=False)

    def _sentences(self, start: int, end: int) -> Iterator[Piece]:
        """Sentences and the white space between them."""
        position = start
        for first, last in sentence_spans(self._blanked[start:end], self._settings):
            yield Piece(self._text[position : start + first], sentence=False)
            yield from self.clauses(start + first, start + last)
            position = start + last
        yield Piece(self._text[position:end], sentence=False)

    def clauses(self, start: int, end: int) -> Iterator[Piece]:
        """A sentence in parts that are short enough; one with nothing to translate is frame."""
        position = start
        for first, last in clause_spans(self._blanked, start, end, self._max_characters):
            yield Piece(self._text[position:first], sentence=False)
            text, spans = self._text[first:last], self._within(first, last)
            says = speaks(text, spans)
            yield Piece(text, sentence=says, spans=spans if says else ())
            position = last
        yield Piece(self._text[position:end], sentence=False)

    def _within(self, start: int, end: int) -> Spans:
        """The spans of a range, counted from its start; one that a label's mark cuts is shortened."""
        index = max(bisect_left(self._starts, start) - 1, 0)
        found = []
        while index < len(self._spans) and self._spans[index].start < end:
            first, last = max(self._spans[index].start, start), min(self._spans[index].end, end)
            if first < last:
                found.append((first - start, last - start))
            index += 1
        return tuple(found)


def _ends_inside(text: str, span: InlineSpan) -> bool:
    return _IN_LINE.fullmatch(text, span.start, span.end) is None


def _without_tail(heading: str) -> str:
    """A heading without the number signs that may close it."""
    stripped = heading.rstrip(" \t")
    core = stripped.rstrip("#")
    return core.rstrip(" \t") if core != stripped and core.endswith((" ", "\t")) else heading


def _merged(pieces: Sequence[Piece]) -> list[Piece]:
    """Neighbouring frames joined, empty pieces left out."""
    merged: list[Piece] = []
    frame: list[str] = []
    for piece in pieces:
        if piece.sentence:
            if frame:
                merged.append(Piece("".join(frame), sentence=False))
                frame = []
            merged.append(piece)
        elif piece.text:
            frame.append(piece.text)
    if frame:
        merged.append(Piece("".join(frame), sentence=False))
    return merged
