"""Segmentation: a text becomes sentences to translate and the frame around them, and comes back byte for byte.

Code blocks, table rules, formulas, list and heading marks, blank lines and indentation are frame: no engine ever sees
them. Blocks are told apart line by line, by the rules of CommonMark that matter here; lines are units, since chats use
line ends as structure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from foundation.language.sentences import SentenceSettings, Span, clause_spans, sentence_spans
from translation.protection import mask, protected_spans

SEGMENTER_VERSION = "1"
"""Changes whenever the same text may be cut otherwise."""

LineKind = Literal["frame", "table", "text"]

_FENCE = re.compile(r"^[ \t]*(?:>[ \t]?)*(?:(?:[-*+]|\d{1,3}[.)])[ \t]+)?(?P<mark>`{3,}|~{3,})(?P<info>.*)$")
_MATH_OPENINGS = {"$$": "$$", "\\[": "\\]", "\\begin{": "\\end{"}
_TABLE_RULE = re.compile(r"^[ \t>]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)+\|?[ \t]*$")
_SETEXT_OR_RULE = re.compile(r"^[ \t]*(?:[-=*_][ \t]*){3,}$")
_LIST_ITEM = re.compile(r"^[ \t]*(?:[-*+•–▪◦]|\d{1,3}[.)]|\(?[A-Za-z0-9]{1,2}\))[ \t]+\S")
_LINE_HEAD = re.compile(
    r"(?:[ \t]*(?:>+|#{1,6}(?=[ \t])|[-*+•–▪◦](?=[ \t])|\d{1,3}[.)](?=[ \t])|\(?[A-Za-z0-9]{1,2}\)(?=[ \t])|\[[ xX]\](?=[ \t])))*[ \t]*"
)
_EMPHASIS_LABEL = re.compile(r"(?P<mark>\*{1,3}|_{1,3})(?=\S)(?P<label>(?:(?!(?P=mark)).)+)(?<=\S)(?P=mark)(?P<after>\s*[:–—-]\s*|[.:]?\s*$)")
_CELL_BAR = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text: a sentence for the engine, or frame that stays as it is."""

    text: str
    sentence: bool


def segment(text: str, sentences: SentenceSettings, max_characters: int = 600) -> list[Piece]:
    """All pieces of a text in order; joined, they are the text.

    Args:
        text: any text; Markdown is understood.
        sentences: the abbreviations of its language.
        max_characters: longer sentences are cut at clauses.
    """
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    pieces: list[Piece] = []
    for line, kind in zip(lines, line_kinds(lines), strict=True):
        if kind == "frame":
            pieces.append(Piece(line, sentence=False))
        elif kind == "table":
            pieces += _table_row(line, sentences, max_characters)
        else:
            pieces += _text_line(line, sentences, max_characters)
    return _merged(pieces)


def prose(text: str) -> str:
    """A text without its code blocks, formulas, table rules and protected spans: what language identification may read."""
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    kept = [line for line, kind in zip(lines, line_kinds(lines), strict=True) if kind != "frame"]
    return "".join(_blank(line, " ") for line in kept)


def list_items(text: str) -> int:
    """Lines that begin with a list mark, outside code blocks."""
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    return sum(kind == "text" and _LIST_ITEM.match(line) is not None for line, kind in zip(lines, line_kinds(lines), strict=True))


def line_kinds(lines: Sequence[str]) -> list[LineKind]:
    """What each line is: frame, a row of a table, or text."""
    kinds: list[LineKind] = ["text"] * len(lines)
    index = 0
    while index < len(lines):
        end = _block_end(lines, index)
        if end > index:
            kinds[index:end] = ["frame"] * (end - index)
            index = end
            continue
        if _TABLE_RULE.match(lines[index]) and index and "|" in lines[index - 1]:
            index = _mark_table(lines, kinds, index)
            continue
        if not lines[index].strip() or _SETEXT_OR_RULE.match(lines[index]):
            kinds[index] = "frame"
        index += 1
    return kinds


def _block_end(lines: Sequence[str], start: int) -> int:
    """The line after a fenced, mathematical or indented block that begins here; ``start`` where none does."""
    fence = _FENCE.match(lines[start].rstrip("\n"))
    if fence and not (fence["mark"][0] == "`" and "`" in fence["info"]):
        closing = re.compile(rf"^[ \t>]*{re.escape(fence['mark'][0])}{{{len(fence['mark'])},}}[ \t]*$")
        return _line_after(lines, start + 1, lambda line: closing.match(line.rstrip("\n")) is not None, len(lines))
    stripped = lines[start].strip()
    for opening, end in _MATH_OPENINGS.items():
        if stripped.startswith(opening):
            if end in stripped[len(opening) :]:
                return start + 1 if stripped.endswith(end) or opening == "\\begin{" else start
            # A formula that is never closed is text: LaTeX, unlike CommonMark's fences, does not run to the end.
            return _line_after(lines, start + 1, lambda line, end=end: end in line, start)  # type: ignore[misc]
    if _is_indented_code(lines, start):
        end_index = start
        while end_index < len(lines) and (lines[end_index].startswith(("    ", "\t")) and lines[end_index].strip()):
            end_index += 1
        return end_index
    return start


def _line_after(lines: Sequence[str], start: int, closes: object, otherwise: int) -> int:
    assert callable(closes)
    return next((index + 1 for index in range(start, len(lines)) if closes(lines[index])), otherwise)


def _is_indented_code(lines: Sequence[str], index: int) -> bool:
    """Four spaces or a tab after a blank line, and not the continuation of a list."""
    if not (lines[index].startswith(("    ", "\t")) and lines[index].strip()) or _LIST_ITEM.match(lines[index]):
        return False
    if index and lines[index - 1].strip():
        return False
    for before in reversed(lines[:index]):
        if before.strip() and not before.startswith((" ", "\t")):
            return _LIST_ITEM.match(before) is None
    return True


def _mark_table(lines: Sequence[str], kinds: list[LineKind], rule: int) -> int:
    kinds[rule - 1], kinds[rule] = "table", "frame"
    index = rule + 1
    while index < len(lines) and "|" in lines[index] and lines[index].strip():
        kinds[index] = "table"
        index += 1
    return index


def _table_row(line: str, sentences: SentenceSettings, max_characters: int) -> Iterator[Piece]:
    blanked = _blank(line, "x")
    position = 0
    for bar in [*_CELL_BAR.finditer(blanked), None]:
        end = len(line) if bar is None else bar.start()
        yield from _sentences(line[position:end], sentences, max_characters)
        if bar is not None:
            yield Piece("|", sentence=False)
            position = bar.end()


def _text_line(line: str, sentences: SentenceSettings, max_characters: int) -> Iterator[Piece]:
    head = _LINE_HEAD.match(line)
    position = head.end() if head else 0
    yield Piece(line[:position], sentence=False)
    label = _EMPHASIS_LABEL.match(line, position)
    if label:
        yield Piece(label["mark"], sentence=False)
        yield from _sentences(label["label"], sentences, max_characters)
        yield Piece(label["mark"] + label["after"], sentence=False)
        position = label.end()
    yield from _sentences(line[position:], sentences, max_characters)


def _sentences(text: str, settings: SentenceSettings, max_characters: int) -> Iterator[Piece]:
    """Sentences and the white space between them; a sentence with nothing to translate is frame."""
    blanked = _blank(text, "X")
    position = 0
    for sentence in sentence_spans(blanked, settings):
        for start, end in _clauses(blanked, sentence, max_characters):
            yield Piece(text[position:start], sentence=False)
            yield Piece(text[start:end], sentence=mask(text[start:end]).speaks)
            position = end
    yield Piece(text[position:], sentence=False)


def _clauses(text: str, sentence: Span, max_characters: int) -> list[Span]:
    return clause_spans(text, *sentence, max_characters)


def _blank(text: str, filler: str) -> str:
    """The text with each protected span overwritten, so that its punctuation ends no sentence; the length stays."""
    parts = []
    position = 0
    for start, end in protected_spans(text):
        parts += [text[position:start], filler * (end - start)]
        position = end
    return "".join([*parts, text[position:]])


def _merged(pieces: Sequence[Piece]) -> list[Piece]:
    """Neighbouring frames joined, empty pieces left out."""
    merged: list[Piece] = []
    for piece in pieces:
        if not piece.text:
            continue
        if merged and not piece.sentence and not merged[-1].sentence:
            merged[-1] = Piece(merged[-1].text + piece.text, sentence=False)
        else:
            merged.append(piece)
    return merged
