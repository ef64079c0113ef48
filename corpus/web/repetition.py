"""Repetition in a text: the family of measures of Gopher (Rae et al. 2021, table A1), as datatrove defines them.

Shares are of characters of the whole text, line ends included, so that FineWeb-2's thresholds apply unchanged.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

TOP_SIZES = (2, 3, 4)
DUPLICATED_SIZES = (5, 6, 7, 8, 9, 10)
_LINES = re.compile(r"\n+")


def duplicate_lines(text: str) -> tuple[float, float]:
    """Share of lines that stood before, and share of the text's characters in them; empty lines do not count."""
    lines = _LINES.split(text)
    seen: set[str] = set()
    repeated = characters = 0
    for line in lines:
        if line in seen:
            repeated += 1
            characters += len(line)
        seen.add(line)
    return repeated / len(lines), characters / max(len(text), 1)


def duplicate_line_characters(lines: Sequence[str]) -> float:
    """Characters of repeated non-empty lines over all characters but line ends (FineWeb, char_dup_ratio)."""
    filled = [line for line in lines if line.strip()]
    seen: set[str] = set()
    characters = 0
    for line in filled:
        if line in seen:
            characters += len(line)
        seen.add(line)
    return characters / max(sum(map(len, lines)), 1)


class WordNgrams:
    """The n-grams of a text's words, each as one 64-bit number, for the measures over them.

    Numbers instead of joined words: the same n-grams give the same number, and other ones do but for a chance of some
    n^2 / 2^64. n-grams are equal where their words are; datatrove joins them, so that it also takes "a bc" for "ab c".
    """

    def __init__(self, words: Sequence[str], characters: int) -> None:
        """``characters`` are those of the whole text, line ends included."""
        known: dict[str, int] = {}
        numbers = [known.setdefault(word, len(known)) for word in words]
        self._characters = max(characters, 1)
        self._words = _mixed(np.asarray(numbers, dtype=np.uint64))
        self._ends = np.concatenate(([0], np.cumsum(np.fromiter(map(len, words), dtype=np.int64, count=len(words)))))
        self._grams = self._words

    def shares(self) -> dict[str, float]:
        """``top_N_gram_share`` and ``duplicated_N_gram_share`` for the sizes of Gopher's table."""
        found: dict[str, float] = {}
        repeated = None
        for size in range(2, max(DUPLICATED_SIZES) + 1):
            self._grow(size)
            if size in TOP_SIZES:
                found[f"top_{size}_gram_share"] = self._top(self._grams.tolist(), size)
            if size in DUPLICATED_SIZES:
                repeated = self._repeated(repeated)
                found[f"duplicated_{size}_gram_share"] = self._duplicated(repeated, size)
        return found

    def _grow(self, size: int) -> None:
        count = max(len(self._words) - size + 1, 0)
        self._grams = self._grams[:count] * _MULTIPLIER + self._words[size - 1 : size - 1 + count]

    def _repeated(self, shorter: np.ndarray | None) -> np.ndarray:
        """Places whose n-gram stands twice, ascending; only where the one shorter by a word does, here and at the next word."""
        if shorter is None:
            places = np.arange(len(self._grams))
        else:
            places = shorter[:-1][np.diff(shorter) == 1]
            places = places[places < len(self._grams)]
        grams = self._grams[places]
        order = np.argsort(grams, kind="stable")
        same = grams[order][1:] == grams[order][:-1]
        twice = np.zeros(len(places), dtype=bool)
        twice[order[1:][same]] = True
        twice[order[:-1][same]] = True
        return places[twice]

    def _top(self, grams: list[int], size: int) -> float:
        """Characters in all occurrences of the most frequent n-gram (the first to appear wins a tie), spaces between words counted."""
        if not grams:
            return 0.0
        counts = Counter(grams)
        gram = max(counts, key=counts.__getitem__)
        start = grams.index(gram)
        length = int(self._ends[start + size] - self._ends[start]) + size - 1
        return length * counts[gram] / self._characters

    def _duplicated(self, repeated: np.ndarray, size: int) -> float:
        """Characters in n-grams that stood before, each character counted once; others than ``repeated`` never did."""
        seen: set[int] = set()
        characters = start = 0
        ends = self._ends
        for place, gram in zip(repeated.tolist(), self._grams[repeated].tolist(), strict=True):
            if place < start:
                continue
            if gram in seen:
                start = place + size
                characters += int(ends[start] - ends[place])
            else:
                seen.add(gram)
        return characters / self._characters


_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def _mixed(numbers: np.ndarray) -> np.ndarray:
    """Small numbers spread over 64 bits: the finisher of splitmix64 (Steele, Lea and Flood 2014)."""
    mixed = (numbers + np.uint64(1)) * _MULTIPLIER
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
