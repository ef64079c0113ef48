"""Lines of a text: length, words and marks that line rules read. A line is what stands between line feeds."""

from __future__ import annotations

import re
from dataclasses import dataclass

from corpus.web.settings import SignalSettings
from foundation.language.settings import PhraseSettings

LINE_FLAGS = ("ended", "policy", "javascript", "placeholder", "brace", "few_words", "long_word", "bullet", "blank")
"""Marks of a line; the first is the lowest bit."""
_BITS = {name: 1 << index for index, name in enumerate(LINE_FLAGS)}
_JAVASCRIPT_HINTS = ("javascript", "document.write", "function", "window.")
_JAVASCRIPT = re.compile(r"javascript|document\.write|function\s*\(|window\.\w+\s*=")


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
        if not stripped:
            return Line(len(text), words, _BITS["blank"] | (_BITS["few_words"] if words < self._settings.min_line_words else 0))
        lowered = stripped.lower()
        flags = 0
        if stripped.endswith(self._end_marks):
            flags |= _BITS["ended"]
        if any(phrase in lowered for phrase in self._policy):
            flags |= _BITS["policy"]
        if any(hint in lowered for hint in _JAVASCRIPT_HINTS) and _JAVASCRIPT.search(lowered):
            flags |= _BITS["javascript"]
        if any(phrase in lowered for phrase in self._placeholder):
            flags |= _BITS["placeholder"]
        if "{" in stripped:
            flags |= _BITS["brace"]
        if words < self._settings.min_line_words:
            flags |= _BITS["few_words"]
        longest = self._settings.long_word_characters
        if len(stripped) > longest and any(len(word) > longest for word in stripped.split()):
            flags |= _BITS["long_word"]
        if stripped.startswith(("•", "-", "*")):
            flags |= _BITS["bullet"]
        return Line(len(text), words, flags)
