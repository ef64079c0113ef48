"""Lines of a text: length, words and marks that line rules read. A line is what stands between line feeds."""

from __future__ import annotations

import re
from dataclasses import dataclass

from corpus.web.settings import SignalSettings
from foundation.language.settings import PhraseSettings

LINE_FLAGS = ("ended", "policy", "javascript", "placeholder", "brace", "few_words", "long_word", "bullet", "blank")
"""Marks of a line; the first is the lowest bit."""
_BITS = {name: 1 << index for index, name in enumerate(LINE_FLAGS)}
_JAVASCRIPT = re.compile(r"javascript|document\.write|function\s*\(|window\.\w+\s*=", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Line:
    """Characters, words and marks of one line."""

    characters: int
    words: int
    flags: int

    def has(self, flag: str) -> bool:
        """Whether a mark is set."""
        return bool(self.flags & _BITS[flag])


class LineMarks:
    """Marks lines of one language."""

    def __init__(self, phrases: PhraseSettings, settings: SignalSettings) -> None:
        self._end_marks = phrases.end_marks
        self._policy = phrases.policy
        self._placeholder = phrases.placeholder
        self._settings = settings

    def line(self, text: str, words: int) -> Line:
        """The line with its marks; ``words`` are counted by the caller."""
        stripped = text.strip()
        lowered = stripped.lower()
        marks = {
            "ended": stripped.endswith(self._end_marks),
            "policy": any(phrase in lowered for phrase in self._policy),
            "javascript": _JAVASCRIPT.search(stripped) is not None,
            "placeholder": any(phrase in lowered for phrase in self._placeholder),
            "brace": "{" in stripped,
            "few_words": words < self._settings.min_line_words,
            "long_word": any(len(word) > self._settings.long_word_characters for word in stripped.split()),
            "bullet": stripped.startswith(("•", "-", "*")),
            "blank": not stripped,
        }
        return Line(len(text), words, sum(_BITS[name] for name, found in marks.items() if found))
