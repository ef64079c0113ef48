"""Repetition in a text: the family of measures of Gopher (Rae et al. 2021, table A1), as datatrove defines them.

Shares are of characters of the whole text, line ends included, so that FineWeb-2's thresholds apply unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

TOP_SIZES = (2, 3, 4)
DUPLICATED_SIZES = (5, 6, 7, 8, 9, 10)
_LINES = re.compile(r"\n+")
_PARAGRAPHS = re.compile(r"\n{2,}")


def duplicate_lines(text: str) -> tuple[float, float]:
    """Share of lines that stood before, and share of the text's characters in them; empty lines do not count."""
    lines = _LINES.split(text)
    repeated, characters = _repeated(lines)
    return repeated / len(lines), characters / max(len(text), 1)


def duplicate_paragraphs(text: str) -> tuple[float, float]:
    """The same of paragraphs, which empty lines part."""
    if "\n\n" not in text:
        return 0.0, 0.0
    paragraphs = _PARAGRAPHS.split(text.strip())
    repeated, characters = _repeated(paragraphs)
    return repeated / len(paragraphs), characters / len(text)


def duplicate_line_characters(lines: Sequence[str]) -> float:
    """Characters of repeated non-empty lines over all characters but line ends (FineWeb, char_dup_ratio)."""
    _, characters = _repeated(line for line in lines if line and not line.isspace())
    return characters / max(sum(map(len, lines)), 1)


def _repeated(elements: Iterable[str]) -> tuple[int, int]:
    """Elements that stood before, and their characters."""
    seen: set[str] = set()
    repeated = characters = 0
    for element in elements:
        if element in seen:
            repeated += 1
            characters += len(element)
        seen.add(element)
    return repeated, characters


def ngram_shares(words: np.ndarray, lengths: np.ndarray, characters: int) -> dict[str, float]:
    """``top_N_gram_share`` and ``duplicated_N_gram_share`` for the sizes of Gopher's table.

    The first: characters in all occurrences of the most frequent n-gram, spaces between words counted. The second:
    characters in n-grams that stood before. n-grams are equal where their words are; datatrove joins them for the second, so
    that it also takes "a bc" for "ab c".

    Args:
        words: 64 bits of each word (uint64).
        lengths: characters of each word.
        characters: those of the whole text, line ends included.
    """
    from corpus.web.repetition_kernels import duplicated_characters, most_frequent, next_grams

    total = max(characters, 1)
    ends = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)))
    found: dict[str, float] = {}
    grams = words
    for size in range(2, max(DUPLICATED_SIZES) + 1):
        grams = next_grams(grams, words, size)
        if size in TOP_SIZES:
            first, count = most_frequent(grams)
            length = int(ends[first + size] - ends[first]) + size - 1 if count else 0
            found[f"top_{size}_gram_share"] = length * count / total
        if size in DUPLICATED_SIZES:
            found[f"duplicated_{size}_gram_share"] = duplicated_characters(grams, ends, size) / total
    return found
