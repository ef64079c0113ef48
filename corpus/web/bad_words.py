"""Bad words: which words of which lists a text holds, how often, and whether they keep company.

A hit says nothing about a text: lists hold everyday words (a fish, a saw, a queen). So hits are measured by list and word,
and rules judge density and company, each with its own words to pass over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import dropwhile, pairwise
from pathlib import Path
from typing import NamedTuple

from corpus.web.errors import WebCorpusError
from corpus.web.vocabulary import RUN

COMPANY_CHARACTERS = 100
"""Two hits this near each other, of different words, are in company: about a sentence (this project's choice)."""


class WordHits(NamedTuple):
    """How often a text holds one word of one list."""

    list: str
    word: str
    hits: int


@dataclass(frozen=True, slots=True)
class BadWords:
    """Hits by list and word, sorted, and how many of them have a hit of another word nearby."""

    hits: tuple[WordHits, ...]
    in_company: int


def read_word_list(path: Path) -> tuple[str, ...]:
    """The words of a file, one a line, in lower case, since texts are compared so.

    Empty lines are passed over, and so are lines that begin with ``#`` before the first word: where a list comes from. After it ``#``
    is a character like any other.

    Raises:
        WebCorpusError: unreadable, no word in it, or a word twice (in LDNOOBW's fork for Indonesian a missing comma fused two).
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise WebCorpusError(f"word list {path} cannot be read ({error}); name a UTF-8 file with one word a line") from error
    filled = [line.strip().lower() for line in lines if line.strip()]
    words = list(dropwhile(lambda line: line.startswith("#"), filled))
    repeated = sorted(word for word, count in Counter(words).items() if count > 1)
    if not words or repeated:
        raise WebCorpusError(f"word list {path} " + (f"holds {repeated} twice; name each once" if words else "is empty; put one word a line"))
    return tuple(words)


class BadWordFinder:
    """Finds words of lists where they stand between characters that are no letters, digits or ``_``, as C4's rule does."""

    def __init__(self, lists: Mapping[str, Sequence[str]]) -> None:
        self._lists: dict[str, list[str]] = {}
        for name, words in lists.items():
            for word in words:
                self._lists.setdefault(word, []).append(name)
        self._by_run: dict[str, list[str]] = {}
        self._signs: list[str] = []
        for word in self._lists:
            run = RUN.search(word)
            (self._by_run.setdefault(run[0], []) if run else self._signs).append(word)

    @property
    def runs(self) -> frozenset[str]:
        """What the words begin with: a text that holds none of these runs of letters and digits holds none of the words."""
        return frozenset(self._by_run)

    def find(self, lowered: str, runs: Set[str]) -> BadWords:
        """All hits in a text, which is given in lower case with those of the ``runs`` that it holds."""
        candidates = {word for run in runs for word in self._by_run.get(run, ())}
        candidates.update(sign for sign in self._signs if sign in lowered)
        places = sorted((place, word) for word in candidates for place in _places(word, lowered))
        counts = Counter(word for _, word in places)
        hits = sorted(WordHits(name, word, count) for word, count in counts.items() for name in self._lists[word])
        return BadWords(tuple(hits), _in_company(places))


def _places(word: str, text: str) -> Iterator[int]:
    """Where a word stands between characters that belong to no word; two of its places never overlap."""
    place = text.find(word)
    while place >= 0:
        end = place + len(word)
        free = not _belongs(text[place - 1 : place]) and not _belongs(text[end : end + 1])
        if free:
            yield place
        place = text.find(word, end if free else place + 1)


def _belongs(char: str) -> bool:
    """Whether a character is one of ``\\w``."""
    return char.isalnum() or char == "_"


def _in_company(places: Sequence[tuple[int, str]]) -> int:
    """Hits whose neighbour, before or after, is a hit of another word and near."""
    near = [
        second[0] - first[0] <= COMPANY_CHARACTERS and first[1] != second[1] for first, second in pairwise(places)
    ]
    return sum(before or after for before, after in zip([False, *near], [*near, False], strict=True)) if near else 0
