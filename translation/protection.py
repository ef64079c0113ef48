"""Protection of inline spans: what must come out of translation exactly as it went in.

Spans are replaced by short marks before a sentence reaches an engine and put back after it, only where every mark came back exactly once.
A lost span is never appended: the caller tries another form of mark, then the parts around the spans, and at last keeps the source sentence.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from translation.spans import inline_spans

PROTECTOR_VERSION = "3"
"""Changes whenever the same sentence may be masked or put together otherwise."""

Spans = tuple[tuple[int, int], ...]

_GLUE = re.compile(r"[^\w\n]{1,3}")
"""What may stand between two spans that share one mark."""


_EMPHASIS = "*_~"
_SET_OFF = "_(\"'"
"""Signs behind a span that its mark is set off from, as from letters and figures."""


@dataclass(frozen=True)
class MarkForm:
    """How a mark is written, and how it is found again."""

    template: str
    pattern: re.Pattern[str]


MARK_FORMS = (MarkForm("XQ{}Z", re.compile(r"( ?)XQ(\d+)Z( ?)")), MarkForm("{{{}}}", re.compile(r"( ?)\{(\d+)\}( ?)")))
"""Tried in turn. The first reads as a name; the second is kept by engines that know markup. Neither holds ``_``, which
argostranslate turns into a space (its tokenizer.py)."""


@dataclass(frozen=True)
class Masked:
    """A sentence with marks in place of its protected spans, and what puts them back.

    ``beside``: the characters before and behind each span that its mark was set off from by a space; empty where it was not.
    """

    text: str
    spans: tuple[str, ...]
    beside: tuple[tuple[str, str], ...]
    form: MarkForm

    def restore(self, translation: str) -> str | None:
        """The translation with all spans back in place; None where a mark is missing, repeated or invented."""
        if not self.spans:
            return translation if self.form.pattern.search(translation) is None else None
        found = sorted(int(match.group(2)) for match in self.form.pattern.finditer(translation))
        if found != list(range(len(self.spans))):
            return None

        def put_back(match: re.Match[str]) -> str:
            number = int(match.group(2))
            left, right = self.beside[number]
            if not self.spans[number].strip(_EMPHASIS) and not (left and right):
                return ("" if left else match.group(1)) + self.spans[number] + ("" if right else match.group(3))  # it belongs to the word that it stands at
            before, after = translation[max(match.start() - 1, 0) : match.start()], translation[match.end() : match.end() + 1]
            return (match.group(1) if _apart(left, before) else "") + self.spans[number] + (match.group(3) if _apart(right, after) else "")

        return self.form.pattern.sub(put_back, translation)


def _apart(source: str, translation: str) -> bool:
    """Whether a space beside a mark stays: it was the sentence's own, or the engine put the mark beside a word and not the sign that it was set off from."""
    return not source or (translation.isalnum() and not source.isalnum())


def protected_spans(text: str) -> Spans:
    """Start and end of each protected span, ascending and apart from one another."""
    return tuple((span.start, span.end) for span in inline_spans(text))


def mask(sentence: str, form: MarkForm = MARK_FORMS[0], spans: Spans | None = None) -> Masked:
    """Replace the protected spans of a sentence by marks, set off by spaces from neighbouring words.

    Args:
        sentence: one sentence.
        form: how marks are written.
        spans: where its spans are, where that is known; else they are looked for.
    """
    parts: list[str] = []
    masked: list[str] = []
    beside: list[tuple[str, str]] = []
    position = 0
    for start, end in joined(sentence, protected_spans(sentence) if spans is None else spans):
        left = sentence[max(start - 1, 0) : start].strip()
        right = sentence[end : end + 1] if sentence[end : end + 1].isalnum() or sentence[end : end + 1] in _SET_OFF else ""
        mark = form.template.format(len(masked))
        parts += [sentence[position:start], " " if left else "", mark, " " if right else ""]
        masked.append(sentence[start:end])
        beside.append((left, right))
        position = end
    return Masked("".join([*parts, sentence[position:]]), tuple(masked), tuple(beside), form)


def joined(sentence: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans with nothing to translate between them become one, so that the engine cannot shuffle them."""
    found: list[tuple[int, int]] = []
    for start, end in spans:
        if found and (found[-1][1] == start or _GLUE.fullmatch(sentence, found[-1][1], start)):
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def unprotected(sentence: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The parts of a sentence between its spans."""
    edges = [0, *(edge for span in spans for edge in span), len(sentence)]
    return [(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True) if start < end]


def speaks(sentence: str, spans: Sequence[tuple[int, int]]) -> bool:
    """Whether anything is left to translate: a letter outside the spans."""
    return any(character.isalpha() for start, end in unprotected(sentence, spans) for character in sentence[start:end])
