"""Overlap between texts and benchmark items: runs of equal words, by a hash index over word n-grams.

Words are compared in lower case, without accents and punctuation, as contamination tests do (Brown et al. 2020,
appendix C). An item shorter than the n-gram counts whole, down to a shortest length.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

_WORD = re.compile(r"[^\W_]+")


class Overlap(NamedTuple):
    """A stretch of a text, in characters, that a benchmark's items hold too."""

    benchmark: str
    start: int
    end: int


class OverlapIndex:
    """Word n-grams of benchmark items, by length; made by ``build``."""

    def __init__(self, words: int, grams: dict[int, dict[str, frozenset[str]]]) -> None:
        self.words = words
        self._grams = grams

    @classmethod
    def build(cls, items: Iterable[tuple[str, str]], words: int = 13, shortest: int = 8) -> OverlapIndex:
        """Index items given as (benchmark, text).

        Args:
            items: what must not be found in training text.
            words: length of the n-grams.
            shortest: items of fewer words than this are not looked for: everyday phrases would match.
        """
        found: dict[int, dict[str, set[str]]] = {}
        for benchmark, text in items:
            tokens = [word for word, _, _ in _words(text)]
            length = min(words, len(tokens))
            if length < min(shortest, words):
                continue
            grams = found.setdefault(length, {})
            for start in range(len(tokens) - length + 1):
                grams.setdefault(" ".join(tokens[start : start + length]), set()).add(benchmark)
        frozen = {
            length: {gram: frozenset(names) for gram, names in grams.items()} for length, grams in sorted(found.items())
        }
        return cls(words, frozen)

    def __len__(self) -> int:
        """Number of different n-grams."""
        return sum(len(grams) for grams in self._grams.values())

    def find(self, text: str) -> list[Overlap]:
        """All stretches shared with the index, one list entry for each benchmark and stretch, sorted by place."""
        if not self._grams:
            return []
        tokens = _words(text)
        words = [word for word, _, _ in tokens]
        hits: dict[str, list[tuple[int, int]]] = {}
        for length, grams in self._grams.items():
            for first in range(len(words) - length + 1):
                names = grams.get(" ".join(words[first : first + length]))
                for name in names or ():
                    hits.setdefault(name, []).append((tokens[first][1], tokens[first + length - 1][2]))
        found = [Overlap(name, start, end) for name, spans in hits.items() for start, end in merged(spans)]
        return sorted(found, key=lambda overlap: (overlap.start, overlap.end, overlap.benchmark))


def merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans with those that touch or overlap joined, in order."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _words(text: str) -> list[tuple[str, int, int]]:
    """Compared words with their place in the text."""
    return [(_plain(match[0]), match.start(), match.end()) for match in _WORD.finditer(text)]


def _plain(word: str) -> str:
    lowered = word.lower()
    if lowered.isascii():
        return lowered
    return "".join(char for char in unicodedata.normalize("NFKD", lowered) if not unicodedata.combining(char))
