"""Repetition in a text: the family of measures of Gopher (Rae et al. 2021, table A1), as datatrove defines them.

Shares are of characters of the whole text, line ends included, so that FineWeb-2's thresholds apply unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

TOP_SIZES = (2, 3, 4)
DUPLICATED_SIZES = (5, 6, 7, 8, 9, 10)
_PARAGRAPHS = re.compile(r"\n{2,}")


def duplicate_lines(text: str, lines: Sequence[str]) -> tuple[float, float, float]:
    """Of a text and its lines, what stood before: share of lines; share of the text's characters in them; and characters of lines
    that are not blank over all characters but line ends (FineWeb, char_dup_ratio).

    datatrove splits at ``\\n+`` for the first two: an empty line counts only at the beginning and at the end.
    """
    seen: set[str] = set()
    repeated = characters = blank = count = 0
    for line in lines:
        if line:
            count += 1
            if line in seen:
                repeated += 1
                characters += len(line)
                blank += len(line) if line.isspace() else 0
            seen.add(line)
    edges = (not lines[0]) + (len(lines) > 1 and not lines[-1])
    total = max(len(text), 1)
    filled = max(len(text) - len(lines) + 1, 1)
    return (repeated + (edges > 1)) / (count + edges), characters / total, (characters - blank) / filled


def duplicate_paragraphs(text: str) -> tuple[float, float]:
    """Share of paragraphs that stood before, and share of the text's characters in them; empty lines part them."""
    if "\n\n" not in text:
        return 0.0, 0.0
    paragraphs = _PARAGRAPHS.split(text.strip())
    repeated = len(paragraphs) - len(set(paragraphs))
    characters = sum(map(len, paragraphs)) - sum(map(len, set(paragraphs)))
    return repeated / len(paragraphs), characters / len(text)


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
    repeated = 1
    for size in range(2, max(DUPLICATED_SIZES) + 1):
        grams = next_grams(grams, words, size)
        if size in TOP_SIZES:
            first, count = most_frequent(grams)
            length = int(ends[first + size] - ends[first]) + size - 1 if count else 0
            found[f"top_{size}_gram_share"] = length * count / total
        if size in DUPLICATED_SIZES:
            # What never stands twice does not stand twice with a word more.
            repeated = repeated and duplicated_characters(grams, ends, size)
            found[f"duplicated_{size}_gram_share"] = repeated / total
    return found
