"""Sentence splitting: deterministic, rule-based, lossless, with a version that counts wherever sentences do.

Belongs here: where a sentence or an over-long sentence's clause begins and ends. The abbreviations of a language are in
its language file. What Markdown hides from the splitter is the translation workshop's affair.
"""

from __future__ import annotations

import re

from pydantic import Field

from foundation.settings import Settings

SPLITTER_VERSION = "1"
"""Changes whenever the same text may give other spans."""

Span = tuple[int, int]

END_MARKS = ".!?…"
CLOSING_MARKS = "\"'”’»)]"
FULL_STOPS = "。！？"
"""East Asian full stops need no white space behind them."""
_END = re.compile(rf"(?<![{END_MARKS}])[{END_MARKS}]++[{re.escape(CLOSING_MARKS)}]*+(?=\s)|[{FULL_STOPS}]+|\n+")
"""Each mark is looked at once: a megabyte of full stops takes no longer than one of words."""
_INITIALS = re.compile(r"(?:^|[^\w.])(?:\w\.)+$")
"""``J.``, ``U.S.``, ``e.g.``: single letters with dots."""
_ONLY_NUMBER = re.compile(r"[(\[]?\d{1,3}\.")
_FILLED = re.compile(r"\S")
_LAST_WORD = re.compile(r"(\w[\w.]*)\.$")
_TAIL = 64
"""Characters before a full stop that are looked at: no abbreviation is longer, and a megabyte without a space stays cheap."""
_CLAUSE_MARKS = (re.compile(r"[;:]\s+"), re.compile(r",\s+"), re.compile(r"\s+"))


class SentenceSettings(Settings):
    """What a full stop does not end."""

    abbreviations: tuple[str, ...] = Field((), description="Lower case, without the last full stop; none of them ends a sentence.")
    numeric_abbreviations: tuple[str, ...] = Field((), description="The same, where a digit follows ('no. 5', 'fig. 2').")


def sentence_spans(text: str, settings: SentenceSettings) -> list[Span]:
    """Start and end of each sentence, ascending; outside the spans there is only white space.

    A sentence ends at ``.``, ``!``, ``?`` or an ellipsis, closing quotes and brackets included, where white space and
    something other than a lower-case letter follow; and at every line end. Full stops of abbreviations, initials and
    list numbers end nothing.
    """
    spans: list[Span] = []
    start = _opening(text, 0)
    for mark in _END.finditer(text):
        if _ends_sentence(text, start, mark, settings):
            spans.append((start, mark.end()))
            start = _opening(text, mark.end())
    spans.append((start, len(text)))
    return [span for span in (_stripped(text, *span) for span in spans) if span[0] < span[1]]


def clause_spans(text: str, start: int, end: int, max_characters: int) -> list[Span]:
    """A span cut into parts of at most ``max_characters`` at semicolons and colons, else commas, else spaces.

    The cut is the admissible one nearest to the middle, then again in each half. A part without white space stays
    whole, however long. Outside the parts there is only white space.
    """
    if end - start <= max_characters:
        return [(start, end)]
    middle = (start + end) / 2
    for pattern in _CLAUSE_MARKS:
        cuts = [mark.end() for mark in pattern.finditer(text, start, end) if start < mark.end() < end]
        inner = [cut for cut in cuts if abs(cut - middle) < (end - start) * 0.4] if pattern is not _CLAUSE_MARKS[-1] else cuts
        if inner:
            cut = min(inner, key=lambda position: (abs(position - middle), position))
            halves = [_stripped(text, start, cut), _stripped(text, cut, end)]
            return [part for half in halves if half[0] < half[1] for part in clause_spans(text, *half, max_characters)]
    return [(start, end)]


def sentence_count(text: str, settings: SentenceSettings) -> int:
    """Number of sentences, as ``sentence_spans`` finds them."""
    if "\n" in text:
        return len(sentence_spans(text, settings))
    count, start = 0, _opening(text, 0)
    for mark in _END.finditer(text):
        if _ends_sentence(text, start, mark, settings):
            count, start = count + 1, _opening(text, mark.end())
    return count + (start < len(text))


def _ends_sentence(text: str, start: int, mark: re.Match[str], settings: SentenceSettings) -> bool:
    if mark.group().startswith("\n") or mark.group()[0] in "。！？":
        return True
    following = _following(text, mark.end())
    if not following or following.islower():
        return False
    if mark.group() != ".":
        return True
    before = text[max(start, mark.end() - _TAIL) : mark.end()].rsplit(None, 1)[-1]
    if _ONLY_NUMBER.fullmatch(before) and start == mark.end() - len(before):
        return False
    if _INITIALS.search(before):
        return False
    word = _LAST_WORD.search(before)
    if word is None:
        return True
    lower = word.group(1).lower()
    return not (lower in settings.abbreviations or (lower in settings.numeric_abbreviations and following.isdigit()))


def _opening(text: str, place: int) -> int:
    """Where the next sentence begins: at the next character that is no white space."""
    found = _FILLED.search(text, place)
    return found.start() if found else len(text)


def _following(text: str, place: int) -> str:
    """The next character that is no white space; empty at the end."""
    found = _FILLED.search(text, place)
    return found[0] if found else ""


def _stripped(text: str, start: int, end: int) -> Span:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
