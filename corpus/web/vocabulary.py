"""Words as numbers with what measures ask of each, so that a text is measured by looking its words up.

Numbers are given in the order in which words come and so differ between runs; nothing of them reaches a row.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence, Set
from dataclasses import dataclass

import numpy as np

from corpus.web.punctuation import PUNCTUATION
from foundation.language.words import CACHE_CHUNKS, WordTokenizer

MAX_CHARACTERS = 100_000_000
"""Characters of chunks that are remembered; beyond them, or ``CACHE_CHUNKS`` chunks, the memory starts anew."""
RUN = re.compile(r"\w+")
"""Letters, digits and ``_`` in a row: what word lists are matched by."""
LENGTH, WORD, ALPHABETIC, UPPER, DIGITS, STOP, EXACT_STOP = range(7)
"""Columns of facts: characters; 1 for more than punctuation; 1 for any letter; characters of either kind; place among the stop words in
any case and with any apostrophe, and as they are listed (0: none)."""
_FIRST_ROWS = 1 << 14


@dataclass(frozen=True, slots=True)
class TextWords:
    """The words of one text: 64 bits and characters of each in order, sums over all of them, and what word lists know of them.

    ``words`` counts those that are more than punctuation, ``word_characters`` what these consist of. ``watched`` are runs of
    characters that the vocabulary was asked to look out for.
    """

    hashes: np.ndarray
    lengths: np.ndarray
    words: int
    word_characters: int
    alphabetic: int
    upper: int
    digits: int
    stop_words: int
    exact_stop_words: int
    watched: frozenset[str]


class _Chunks(dict[str, int]):
    """Numbers of chunks between white space; unknown ones are split when they are asked for."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary

    def __missing__(self, chunk: str) -> int:
        number = self[chunk] = self._vocabulary.learn(chunk)
        return number


class Vocabulary:
    """Words of one language; holds a memo that never changes a result."""

    def __init__(self, tokenizer: WordTokenizer, stop_words: Sequence[str], watched: Set[str] = frozenset(), limit: int = CACHE_CHUNKS) -> None:
        """``watched`` are lower-case runs (``RUN``) to look out for; everything is forgotten once there are ``limit`` chunks."""
        self._tokenizer = tokenizer
        self._stop_words = {word: place for place, word in enumerate(dict.fromkeys(stop_words), 1)}
        self._watched = watched
        self._limit = limit
        self._starts, self._words = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self._hashes, self._facts = np.zeros(0, np.uint64), np.zeros((0, EXACT_STOP + 1), np.int64)
        self._forget()

    def __call__(self, chunks: Sequence[str]) -> TextWords:
        """The words of a text that was split at white space."""
        from corpus.web.vocabulary_kernels import look_up

        if len(self._chunks) >= self._limit or self._characters >= MAX_CHARACTERS:
            self._forget()
        numbers = np.fromiter(map(self._chunks.__getitem__, chunks), np.int64, len(chunks))
        hashes, lengths, sums, seen = look_up(numbers, self._starts, self._words, self._hashes, self._facts, len(self._stop_words))
        found = self._runs.intersection(chunks) if self._runs else ()
        watched = frozenset(run for chunk in found for run in RUN.findall(chunk.lower()) if run in self._watched)
        words, characters, alphabetic, upper, digits = map(int, sums)
        stop, exact = map(int, seen)
        return TextWords(hashes, lengths, words, characters, alphabetic, upper, digits, stop, exact, watched)

    def learn(self, chunk: str) -> int:
        """The number of a chunk that is met for the first time."""
        number = len(self._chunks)
        if number + 2 > len(self._starts):
            self._starts = _grown(self._starts, number + 2)
        numbers = [self._number(word) for word in self._tokenizer.of_chunk(chunk)]
        start = int(self._starts[number])
        if start + len(numbers) > len(self._words):
            self._words = _grown(self._words, start + len(numbers))
        self._words[start : start + len(numbers)] = numbers
        self._starts[number + 1] = start + len(numbers)
        self._characters += len(chunk)
        if self._watched and not self._watched.isdisjoint(RUN.findall(chunk.lower())):
            self._runs.add(chunk)
        return number

    def _forget(self) -> None:
        self._chunks = _Chunks(self)
        self._characters = 0
        self._runs: set[str] = set()
        self._numbers: dict[str, int] = {}
        self._starts, self._words = np.zeros(_FIRST_ROWS, np.int64), np.zeros(_FIRST_ROWS, np.int64)
        self._hashes, self._facts = np.zeros(_FIRST_ROWS, np.uint64), np.zeros((_FIRST_ROWS, EXACT_STOP + 1), np.int64)

    def _number(self, word: str) -> int:
        number = self._numbers.get(word)
        if number is None:
            number = self._numbers[word] = len(self._numbers)
            if number >= len(self._hashes):
                self._hashes, self._facts = _grown(self._hashes, number + 1), _grown(self._facts, number + 1)
            digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
            self._hashes[number] = int.from_bytes(digest, "little")
            letters = word.isalpha()
            self._facts[number] = (
                len(word),
                letters or not PUNCTUATION.issuperset(word),
                letters or any(map(str.isalpha, word)),
                0 if word.islower() else sum(map(str.isupper, word)),
                0 if letters else sum(map(str.isdigit, word)),
                self._stop_words.get(word.lower().replace("’", "'"), 0),
                self._stop_words.get(word, 0),
            )
        return number


def _grown(array: np.ndarray, rows: int) -> np.ndarray:
    """The array with room for at least so many rows, twice as many as before."""
    larger = np.zeros((max(rows, 2 * len(array)), *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger
