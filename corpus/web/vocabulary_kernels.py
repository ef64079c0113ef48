"""The compiled loop that looks words up; imported by functions only, since numba takes half a second to load."""

from __future__ import annotations

import numpy as np

from corpus.web.vocabulary import ALPHABETIC, DIGITS, EXACT_STOP, LENGTH, STOP, UPPER, WORD
from foundation.execution.compiled import compiled


@compiled
def look_up(
    chunks: np.ndarray, starts: np.ndarray, numbers: np.ndarray, hashes: np.ndarray, facts: np.ndarray, stop_words: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Hash and length of each word of these chunks; sums of words, their characters, alphabetic ones, upper-case letters and
    digits; and how many different stop words there are, in any case and as listed."""
    count = 0
    for chunk in chunks:
        count += starts[chunk + 1] - starts[chunk]
    found = np.empty(count, np.uint64)
    lengths = np.empty(count, np.int64)
    sums = np.zeros(5, np.int64)
    seen = np.zeros((2, stop_words + 1), np.int64)
    place = 0
    for chunk in chunks:
        for entry in range(starts[chunk], starts[chunk + 1]):
            number = numbers[entry]
            fact = facts[number]
            found[place] = hashes[number]
            lengths[place] = fact[LENGTH]
            sums[0] += fact[WORD]
            sums[1] += fact[WORD] * fact[LENGTH]
            sums[2] += fact[ALPHABETIC]
            sums[3] += fact[UPPER]
            sums[4] += fact[DIGITS]
            seen[0, fact[STOP]] = 1
            seen[1, fact[EXACT_STOP]] = 1
            place += 1
    return found, lengths, sums, seen[:, 1:].sum(axis=1)
