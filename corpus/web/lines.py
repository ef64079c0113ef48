"""Lines of a text: length, words and marks that line rules read. A line is what stands between line feeds."""

from __future__ import annotations

import re
from collections.abc import Sequence
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

    def lines(self, texts: Sequence[str], words: Sequence[int]) -> list[Line]:
        """Lines of one text with their marks; words of each are counted by the caller."""
        # Most texts hold none of the phrases: they are looked for once in the whole before they are in each line.
        whole = "\n".join(texts).lower()
        policy = [phrase for phrase in self._policy if phrase in whole]
        placeholder = [phrase for phrase in self._placeholder if phrase in whole]
        javascript = any(hint in whole for hint in _JAVASCRIPT_HINTS)
        return [self._line(text, count, policy, placeholder, javascript) for text, count in zip(texts, words, strict=True)]

    def _line(self, text: str, words: int, policy: list[str], placeholder: list[str], javascript: bool) -> Line:
        stripped = text.strip()
        if not stripped:
            return Line(len(text), words, _BITS["blank"] | (_BITS["few_words"] if words < self._settings.min_line_words else 0))
        lowered = stripped.lower() if policy or placeholder or javascript else ""
        flags = 0
        if stripped.endswith(self._end_marks):
            flags |= _BITS["ended"]
        if policy and any(phrase in lowered for phrase in policy):
            flags |= _BITS["policy"]
        if javascript and _JAVASCRIPT.search(lowered):
            flags |= _BITS["javascript"]
        if placeholder and any(phrase in lowered for phrase in placeholder):
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
