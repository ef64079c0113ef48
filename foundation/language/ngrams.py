"""N-grams of numbered words as 64-bit hashes, and a table of those that are looked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

_MULTIPLIER = 0x9E3779B97F4A7C15
"""Odd, so that every position of an n-gram counts: 2^64 divided by the golden ratio."""
GRAM_PARTS = ("keys", "starts", "values")
"""Fields of ``Grams`` that hold everything that is known."""


@dataclass(frozen=True, slots=True)
class Grams:
    """Hashes of n-grams, sorted, with what each belongs to: ``values[starts[i]:starts[i + 1]]``; a bit table answers most questions."""

    length: int
    keys: np.ndarray
    starts: np.ndarray
    values: np.ndarray
    bits: np.ndarray

    @classmethod
    def of(cls, length: int, hashes: np.ndarray, belongs: np.ndarray) -> Grams:
        """A table of n-grams with what each belongs to."""
        order = np.lexsort((belongs, hashes))
        hashes, belongs = hashes[order], belongs[order]
        keys, starts = np.unique(hashes, return_index=True)
        return cls.with_bits(length, keys, np.append(starts, len(hashes)), belongs)

    @classmethod
    def with_bits(cls, length: int, keys: np.ndarray, starts: np.ndarray, values: np.ndarray) -> Grams:
        """The table of the parts that ``GRAM_PARTS`` names; the bits follow from them."""
        bits = np.zeros(1 << max(16, len(keys).bit_length() + 4), np.bool_)
        bits[keys & np.uint64(len(bits) - 1)] = True
        return cls(length, keys, starts, values, bits)

    def hits(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions in a text whose n-gram is known, and the index of its key."""
        hashes, places = hashed(numbers, self.length)
        maybe = self.bits[hashes & np.uint64(len(self.bits) - 1)]
        hashes, places = hashes[maybe], places[maybe]
        found = np.searchsorted(self.keys, hashes)
        right = found < len(self.keys)
        right[right] = self.keys[found[right]] == hashes[right]
        return places[right], found[right]


def grams_apart(texts: Sequence[Sequence[int]], length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hashes of the n-grams of texts of numbered words, none across two texts; the index of the text of each; and where each
    begins among the words of all texts."""
    # A word without a number stands between two texts, and no n-gram holds one.
    numbers = np.fromiter(chain.from_iterable((*text, 0) for text in texts), np.uint64)
    hashes, places = hashed(numbers, length)
    text_of = np.searchsorted(np.cumsum([len(text) + 1 for text in texts]), places, side="right") if len(places) else places
    return hashes, text_of, places - text_of


def hashed(numbers: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of the n-grams all of whose words have numbers, and where they begin.

    64-bit hashes: among a billion n-grams of texts and a million of items, one false match in 2 * 10^4 corpora is expected.
    """
    count = len(numbers) - length + 1
    if count <= 0:
        return np.zeros(0, np.uint64), np.zeros(0, np.int64)
    unknown = np.concatenate([[0], np.cumsum(numbers == 0)])
    places = np.flatnonzero(unknown[length:] == unknown[:count])
    mixed = _mixed(numbers)
    hashes = np.zeros(len(places), np.uint64)
    for step in range(length):
        hashes = hashes * np.uint64(_MULTIPLIER) + mixed[places + step]
    return _mixed(hashes), places


def _mixed(values: np.ndarray) -> np.ndarray:
    """SplitMix64's finalizer (Steele, Lea and Flood 2014): neighbouring numbers become unrelated ones."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
