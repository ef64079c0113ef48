"""Repetition in a text: the family of measures of Gopher (Rae et al. 2021, table A1), as datatrove defines them.

Shares are of characters of the whole text, line ends included, so that FineWeb-2's thresholds apply unchanged.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

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


def top_ngram_share(words: Sequence[str], size: int, characters: int) -> float:
    """Share of characters in all occurrences of the most frequent n-gram (the first to appear wins a tie)."""
    grams = Counter(" ".join(words[start : start + size]) for start in range(len(words) - size + 1))
    if not grams:
        return 0.0
    gram, count = grams.most_common(1)[0]
    return len(gram) * count / max(characters, 1)


def duplicated_ngram_share(words: Sequence[str], size: int, characters: int) -> float:
    """Share of characters in n-grams that stood before, each character counted once."""
    seen: set[str] = set()
    repeated = start = 0
    while start <= len(words) - size:
        gram = "".join(words[start : start + size])
        if gram in seen:
            repeated += len(gram)
            start += size
        else:
            seen.add(gram)
            start += 1
    return repeated / max(characters, 1)
