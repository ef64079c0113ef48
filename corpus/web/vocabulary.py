"""Words as numbers with what measures ask of each, so that a text is measured by looking its words up.

Numbers are given in the order in which words come and so differ between runs; nothing of them reaches a row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from corpus.web.punctuation import PUNCTUATION
from foundation.language.words import CACHE_CHUNKS, MAX_REMEMBERED, WordTokenizer

_FIRST_WORDS = 1 << 14


@dataclass(frozen=True, slots=True)
class TextWords:
    """The words of one text in order, each with its facts.

    ``hashes`` are 64 bits of the word itself; ``words`` says which are more than punctuation, ``alphabetic`` which hold a
    letter; ``upper`` and ``digits`` count characters. ``stop_words`` are the places in the language's list that occur in
    any case and with any apostrophe, ``exact_stop_words`` those that occur as they are listed.
    """

    hashes: np.ndarray
    lengths: np.ndarray
    words: np.ndarray
    alphabetic: np.ndarray
    upper: np.ndarray
    digits: np.ndarray
    stop_words: int
    exact_stop_words: int


class _Chunks(dict[str, tuple[int, ...]]):
    """Numbers of the words of a chunk between white space; unknown ones are split when they are asked for."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary

    def __missing__(self, chunk: str) -> tuple[int, ...]:
        numbers = self._vocabulary.numbers_of(chunk)
        if len(chunk) <= MAX_REMEMBERED:
            self[chunk] = numbers
        return numbers


class Vocabulary:
    """Words of one language; holds a memo that never changes a result."""

    def __init__(self, tokenizer: WordTokenizer, stop_words: Sequence[str], limit: int = CACHE_CHUNKS) -> None:
        """Chunks and words are forgotten once there are ``limit`` of either."""
        self._tokenizer = tokenizer
        self._stop_words = {word: place for place, word in enumerate(dict.fromkeys(stop_words), 1)}
        self._limit = limit
        self._forget()

    def __call__(self, chunks: Sequence[str]) -> TextWords:
        """The words of a text that was split at white space."""
        if len(self._chunks) >= self._limit or len(self._numbers) >= self._limit:
            self._forget()
        places = np.fromiter(chain.from_iterable(map(self._chunks.__getitem__, chunks)), np.int64)
        stop, exact = self._stop[places], self._exact[places]
        return TextWords(
            self._hashes[places],
            self._lengths[places],
            self._words[places],
            self._alphabetic[places],
            self._upper[places],
            self._digits[places],
            int(np.count_nonzero(np.bincount(stop)[1:])),
            int(np.count_nonzero(np.bincount(exact)[1:])),
        )

    def numbers_of(self, chunk: str) -> tuple[int, ...]:
        """The numbers of a chunk's words; new words get the next ones."""
        return tuple(self._number(word) for word in self._tokenizer.of_chunk(chunk))

    def _forget(self) -> None:
        self._chunks = _Chunks(self)
        self._numbers: dict[str, int] = {}
        self._hashes = np.zeros(_FIRST_WORDS, np.uint64)
        self._lengths, self._upper, self._digits, self._stop, self._exact = (np.zeros(_FIRST_WORDS, np.int64) for _ in range(5))
        self._words, self._alphabetic = (np.zeros(_FIRST_WORDS, np.bool_) for _ in range(2))

    def _number(self, word: str) -> int:
        number = self._numbers.get(word)
        if number is None:
            number = self._numbers[word] = len(self._numbers)
            if number >= len(self._lengths):
                self._grow()
            self._hashes[number] = int.from_bytes(hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
            self._lengths[number] = len(word)
            letters = word.isalpha()
            self._words[number] = letters or not PUNCTUATION.issuperset(word)
            self._alphabetic[number] = letters or any(map(str.isalpha, word))
            self._upper[number] = 0 if word.islower() else sum(map(str.isupper, word))
            self._digits[number] = 0 if letters else sum(map(str.isdigit, word))
            self._stop[number] = self._stop_words.get(word.lower().replace("’", "'"), 0)
            self._exact[number] = self._stop_words.get(word, 0)
        return number

    def _grow(self) -> None:
        for name in ("_hashes", "_lengths", "_words", "_alphabetic", "_upper", "_digits", "_stop", "_exact"):
            array = getattr(self, name)
            setattr(self, name, np.concatenate([array, np.zeros_like(array)]))
