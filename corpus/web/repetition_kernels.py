"""Compiled loops of the repetition measures; imported by functions only, since numba takes half a second to load.

N-grams are compared by 64-bit numbers: equal ones give the same number, other ones do but for a chance of some n^2 / 2^64.
"""

from __future__ import annotations

import numpy as np

from foundation.execution.compiled import compiled

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(32)


@compiled
def next_grams(grams: np.ndarray, words: np.ndarray, size: int) -> np.ndarray:
    """The n-grams of ``size`` words, of those one word shorter."""
    count = max(len(words) - size + 1, 0)
    longer = np.empty(count, np.uint64)
    for place in range(count):
        longer[place] = grams[place] * _MULTIPLIER + words[place + size - 1]
    return longer


@compiled
def _slot(keys: np.ndarray, used: np.ndarray, gram: np.uint64) -> np.uint64:
    """Where an n-gram is in a table whose size is a power of two, or the free place for it."""
    mask = np.uint64(len(keys) - 1)
    slot = (gram ^ (gram >> _SHIFT)) & mask
    while used[slot] and keys[slot] != gram:
        slot = (slot + np.uint64(1)) & mask
    return slot


@compiled
def _size(count: int) -> int:
    size = 16
    while size < 2 * count:
        size *= 2
    return size


@compiled
def most_frequent(grams: np.ndarray) -> tuple[int, int]:
    """First place and number of occurrences of the most frequent n-gram; the first to appear wins a tie; (0, 0) for none."""
    size = _size(len(grams))
    keys = np.empty(size, np.uint64)
    used = np.zeros(size, np.bool_)
    counts = np.zeros(size, np.int64)
    firsts = np.zeros(size, np.int64)
    for place in range(len(grams)):
        slot = _slot(keys, used, grams[place])
        if not used[slot]:
            used[slot] = True
            keys[slot] = grams[place]
            firsts[slot] = place
        counts[slot] += 1
    first = count = 0
    for place in range(size):
        if counts[place] > count or (counts[place] == count and count and firsts[place] < first):
            first, count = firsts[place], counts[place]
    return first, count


@compiled
def duplicated_characters(grams: np.ndarray, ends: np.ndarray, size: int) -> int:
    """Characters in n-grams that stood before, each character counted once: after a repeated n-gram comes the word behind it."""
    table = _size(len(grams))
    keys = np.empty(table, np.uint64)
    used = np.zeros(table, np.bool_)
    characters = place = 0
    while place < len(grams):
        slot = _slot(keys, used, grams[place])
        if used[slot]:
            characters += ends[place + size] - ends[place]
            place += size
        else:
            used[slot] = True
            keys[slot] = grams[place]
            place += 1
    return characters
