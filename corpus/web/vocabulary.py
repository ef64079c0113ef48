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
        self._forget()

    def __call__(self, chunks: Sequence[str]) -> TextWords:
        """The words of a text that was split at white space."""
        from corpus.web.vocabulary_kernels import look_up

        if len(self._chunks) >= self._limit or self._characters >= MAX_CHARACTERS:
            self._forget()
        numbers = np.fromiter(map(self._chunks.__getitem__, chunks), np.int64, len(chunks))
        if self._new_held:
            self._settle()
        hashes, lengths, sums, seen = look_up(
            numbers, self._starts.array, self._words.array, self._hashes.array, self._facts.array, len(self._stop_words)
        )
        found = {chunks[place] for place in np.flatnonzero(self._held.array[numbers]).tolist()}
        watched = frozenset(run for chunk in found for run in RUN.findall(chunk.lower()) if run in self._watched)
        words, characters, alphabetic, upper, digits = map(int, sums)
        stop, exact = map(int, seen)
        return TextWords(hashes, lengths, words, characters, alphabetic, upper, digits, stop, exact, watched)

    def learn(self, chunk: str) -> int:
        """The number of a chunk that is met for the first time; its words are known to the arrays after the next ``_settle``."""
        words = [self._number(word) for word in self._tokenizer.of_chunk(chunk)]
        self._new_words += words
        self._new_ends.append(self._settled_words + len(self._new_words))
        self._new_held.append(bool(self._watched) and not self._watched.isdisjoint(RUN.findall(chunk.lower())))
        self._characters += len(chunk)
        return len(self._chunks)

    def _forget(self) -> None:
        self._chunks = _Chunks(self)
        self._characters = self._settled_words = 0
        self._numbers: dict[str, int] = {}
        self._new_words: list[int] = []
        self._new_ends: list[int] = [0]  # the first chunk begins where nothing ended
        self._new_held: list[bool] = []
        self._new_hashes: list[int] = []
        self._new_facts: list[tuple[int, ...]] = []
        self._words, self._starts, self._held = _Rows(np.int64), _Rows(np.int64), _Rows(np.bool_)
        self._hashes, self._facts = _Rows(np.uint64), _Rows(np.int64, EXACT_STOP + 1)

    def _settle(self) -> None:
        """Put what was learnt into the arrays; all of a text at once, since single items of arrays are slow to set."""
        self._settled_words += len(self._new_words)
        pairs = (
            (self._words, self._new_words), (self._starts, self._new_ends), (self._held, self._new_held),
            (self._hashes, self._new_hashes), (self._facts, self._new_facts),
        )  # fmt: skip
        for rows, new in pairs:
            rows.extend(new)
            new.clear()

    def _number(self, word: str) -> int:
        number = self._numbers.get(word)
        if number is None:
            number = self._numbers[word] = len(self._numbers)
            digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
            self._new_hashes.append(int.from_bytes(digest, "little"))
            letters = word.isalpha()
            self._new_facts.append(
                (
                    len(word),
                    letters or not PUNCTUATION.issuperset(word),
                    letters or any(map(str.isalpha, word)),
                    0 if word.islower() else sum(map(str.isupper, word)),
                    0 if letters else sum(map(str.isdigit, word)),
                    self._stop_words.get(word.lower().replace("’", "'"), 0),
                    self._stop_words.get(word, 0),
                )
            )
        return number


class _Rows:
    """An array that grows, twice as large each time."""

    def __init__(self, kind: type[np.generic], columns: int | None = None) -> None:
        self.array = np.zeros(_FIRST_ROWS if columns is None else (_FIRST_ROWS, columns), kind)
        self._count = 0

    def extend(self, rows: Sequence[object]) -> None:
        """Add rows at the end."""
        if not rows:
            return
        end = self._count + len(rows)
        if end > len(self.array):
            larger = np.zeros((max(end, 2 * len(self.array)), *self.array.shape[1:]), self.array.dtype)
            larger[: self._count] = self.array[: self._count]
            self.array = larger
        self.array[self._count : end] = np.array(rows, self.array.dtype)
        self._count = end
