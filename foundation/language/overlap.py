"""Overlap between texts and benchmark items: shared runs of words, and items found again with some words changed.

Words are compared in lower case, without accents and punctuation, as contamination tests do (Brown et al. 2020,
appendix C). Two tests, either is enough:

- **run**: ``words`` words in a row that a line of an item holds too (GPT-3's 13-gram test).
- **share**: of a unit of an item at least ``min_share`` of the words, in their order, within a stretch of the text about as
  long as the unit. A unit is a line of an item, in pieces where it is long; short lines next to each other are one unit. So a
  paraphrase of a few words, a typing error or a changed number does not hide an item, and an item of fewer than ``words``
  words can be found at all.

Only words of the items have numbers; every other word of a text is nothing. N-grams of numbers are hashed in numpy, and only
texts with enough of them near each other are aligned word by word.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import pairwise, repeat
from typing import NamedTuple

import numpy as np

SEED_WORDS = 4
"""Length of the n-grams that make an item a candidate. With a tenth of the words changed, pieces of four or more stay in
between: an item of ten words keeps at least one of five."""
SHORT_SHARE = 0.8
"""Least share for units of fewer words than a run: of eight words six in order are an everyday phrase now and then (one of
7,666 clean texts of 3,500 characters against 12,400 EVALITA items held one), seven are not."""
PIECE_WORDS = 40
"""About how many words of a long line are one unit."""
MAX_POSTINGS = 64
"""An n-gram that stands more often than this in units is a common phrase, and makes candidates only of units that would have too
few n-grams without it."""
BOUND_ALIGNMENTS = 2_000
"""Candidates of one text that are aligned, those with most n-grams first; only lists of benchmark items come near."""

_WORD = re.compile(r"[^\W_]+")
_MARKED_WORD = re.compile("[^\\W_](?:[^\\W_]|[\u0300-\u036f])*")
"""Words of a text that holds combining accents."""
_MARKS = re.compile("[\u0300-\u036f]")
_MULTIPLIER = 0x9E3779B97F4A7C15
"""Odd, so that every position of an n-gram counts: 2^64 divided by the golden ratio."""


class Overlap(NamedTuple):
    """A stretch of a text, in characters, that items of a benchmark hold too; ``items`` are their ids, sorted."""

    benchmark: str
    start: int
    end: int
    items: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Grams:
    """Hashes of n-grams, sorted, with what each belongs to: ``values[starts[i]:starts[i + 1]]``; a bit table answers most questions."""

    length: int
    keys: np.ndarray
    starts: np.ndarray
    values: np.ndarray
    bits: np.ndarray

    @classmethod
    def of(cls, length: int, keys: Sequence[np.ndarray], values: Sequence[np.ndarray]) -> _Grams:
        every = np.concatenate(keys) if keys else np.zeros(0, np.uint64)
        payload = np.concatenate(values) if values else np.zeros(0, np.int64)
        order = np.lexsort((payload, every))
        every, payload = every[order], payload[order]
        unique, starts = np.unique(every, return_index=True)
        bits = np.zeros(1 << max(16, len(unique).bit_length() + 4), np.bool_)
        bits[unique & np.uint64(len(bits) - 1)] = True
        return cls(length, unique, np.append(starts, len(every)), payload, bits)

    def hits(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions in a text whose n-gram is known, and the index of its key."""
        hashes, places = _hashed(numbers, self.length)
        maybe = self.bits[hashes & np.uint64(len(self.bits) - 1)]
        hashes, places = hashes[maybe], places[maybe]
        found = np.searchsorted(self.keys, hashes)
        right = found < len(self.keys)
        right[right] = self.keys[found[right]] == hashes[right]
        return places[right], found[right]


class _Unit(NamedTuple):
    """A stretch of an item that is looked for as one: the numbers of its words, and the items that hold it."""

    numbers: tuple[int, ...]
    owners: tuple[int, ...]


class OverlapIndex:
    """Benchmark items, ready to be looked for; made by ``build``. Picklable, and never changed by a search."""

    def __init__(self, items: Iterable[tuple[str, str, str]], words: int, shortest: int, min_share: float) -> None:
        self.words = words
        self.min_share = min_share
        self._owners: list[tuple[str, str]] = []
        self._numbers: dict[str, int] = {}
        too_short: Counter[str] = Counter()
        units: dict[tuple[int, ...], list[int]] = {}
        runs: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
        for benchmark, item, text in items:
            lines = _lines(text)
            if sum(map(len, lines)) < min(shortest, words):
                too_short[benchmark] += 1
                continue
            owner = len(self._owners)
            self._owners.append((benchmark, item))
            numbered = [[self._numbers.setdefault(word, len(self._numbers) + 1) for word in line] for line in lines]
            for unit in _units(numbered, words, min(shortest, words)):
                units.setdefault(unit, []).append(owner)
            hashes, _ = _hashed(np.array([number for line in numbered for number in line], np.uint64), words)
            runs[0].append(hashes)
            runs[1].append(np.full(len(hashes), owner, np.int64))
        self.too_short = dict(sorted(too_short.items()))
        """Items by benchmark that are not looked for, since they have too few words."""
        self._units = [_Unit(numbers, tuple(dict.fromkeys(found))) for numbers, found in units.items()]
        self._unit_starts = np.concatenate([[0], np.cumsum([len(unit.numbers) for unit in self._units])]).astype(np.int64)
        self._runs = _Grams.of(words, *runs)
        self._seeds = self._seeds_of_units()

    @classmethod
    def build(
        cls, items: Iterable[tuple[str, str, str]], words: int = 13, shortest: int = 8, min_share: float = 0.75
    ) -> OverlapIndex:
        """Index items given as (benchmark, item id, text).

        Args:
            items: what must not be found in training text.
            words: length of a run of equal words that is an overlap.
            shortest: items of fewer words than this are not looked for: everyday phrases would match.
            min_share: share of a unit's words that is an overlap. A tenth of the words changed leaves at least 0.8 of any
                unit of eight or more words where the number of changed words is rounded up; 0.75 leaves room for chance.
                Units of fewer than ``words`` words need ``SHORT_SHARE``.
        """
        return cls(items, words, shortest, min_share)

    def _seeds_of_units(self) -> _Grams:
        """The n-grams of all units, and where each stands among the words of all units; common ones only where they are needed."""
        keys, places = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
        for unit, start in zip(self._units, self._unit_starts.tolist(), strict=False):
            hashes, firsts = _hashed(np.array(unit.numbers, np.uint64), SEED_WORDS)
            keys.append(hashes)
            places.append(firsts + start)
        every, where = np.concatenate(keys), np.concatenate(places)
        units = np.searchsorted(self._unit_starts, where, side="right") - 1
        _, inverse, counts = np.unique(every, return_inverse=True, return_counts=True)
        common = counts[inverse] > MAX_POSTINGS
        rare = np.bincount(units[~common], minlength=len(self._units))
        wanting = rare < _seeds_wanted(np.diff(self._unit_starts))
        kept = ~common | wanting[units]
        return _Grams.of(SEED_WORDS, [every[kept]], [where[kept]])

    def __len__(self) -> int:
        """Number of different n-grams."""
        return len(self._runs.keys) + len(self._seeds.keys)

    @property
    def items(self) -> dict[str, int]:
        """Items that are looked for, by benchmark."""
        return dict(sorted(Counter(benchmark for benchmark, _ in self._owners).items()))

    def find(self, text: str) -> list[Overlap]:
        """All stretches shared with the index, one list entry for each benchmark and stretch, sorted by place."""
        if not self._owners:
            return []
        plain = _plain(text)
        pattern = _MARKED_WORD if _MARKS.search(plain) else _WORD
        words = pattern.findall(plain)
        if pattern is _MARKED_WORD:
            words = [_MARKS.sub("", word) for word in words]
        numbers = np.fromiter(map(self._numbers.get, words, repeat(0)), np.uint64, len(words))
        found = [*self._shared_runs(numbers), *self._shared_units(numbers)]
        if not found:
            return []
        places = [match.span() for match in pattern.finditer(plain)]
        return self._joined([(places[first][0], places[last][1], owners) for first, last, owners in found])

    def _shared_runs(self, numbers: np.ndarray) -> list[tuple[int, int, tuple[int, ...]]]:
        """First and last word of every run of ``words`` words, and whose it is."""
        grams = self._runs
        places, keys = grams.hits(numbers)
        return [
            (place, place + self.words - 1, tuple(grams.values[grams.starts[key] : grams.starts[key + 1]].tolist()))
            for place, key in zip(places.tolist(), keys.tolist(), strict=True)
        ]

    def _shared_units(self, numbers: np.ndarray) -> list[tuple[int, int, tuple[int, ...]]]:
        """First and last word of every stretch that holds enough of a unit."""
        found = []
        for unit, offset in self._candidates(numbers):
            wanted = self._units[unit].numbers
            slack = max(3, len(wanted) // 4)
            first = max(0, offset - slack)
            window = numbers[first : offset + len(wanted) + slack].tolist()
            share = self.min_share if len(wanted) >= self.words else max(self.min_share, SHORT_SHARE)
            present = set(window)
            if sum(number in present for number in wanted) < share * len(wanted):
                continue
            blocks = [block for block in SequenceMatcher(None, window, wanted, autojunk=False).get_matching_blocks() if block.size]
            if sum(block.size for block in blocks) >= share * len(wanted):
                found.append((first + blocks[0].a, first + blocks[-1].a + blocks[-1].size - 1, self._units[unit].owners))
        return found

    def _candidates(self, numbers: np.ndarray) -> list[tuple[int, int]]:
        """Units with enough n-grams near one place, and the word where the unit would begin."""
        places, keys = self._seeds.hits(numbers)
        if not len(places):
            return []
        counts = self._seeds.starts[keys + 1] - self._seeds.starts[keys]
        ends = np.cumsum(counts)
        flat = np.arange(ends[-1]) - np.repeat(ends - counts, counts) + np.repeat(self._seeds.starts[keys], counts)
        postings = self._seeds.values[flat]
        units = np.searchsorted(self._unit_starts, postings, side="right") - 1
        begins = np.repeat(places, counts) - (postings - self._unit_starts[units])
        order = np.lexsort((begins, units))
        units, begins = units[order], begins[order]
        sizes = self._unit_starts[units + 1] - self._unit_starts[units]
        near = np.maximum(3, sizes // 4)
        apart = np.ones(len(units), np.bool_)
        apart[1:] = (units[1:] != units[:-1]) | (begins[1:] - begins[:-1] > near[1:])
        firsts = np.flatnonzero(apart)
        seeds = np.diff(np.append(firsts, len(units)))
        enough = seeds >= _seeds_wanted(sizes[firsts])
        firsts, seeds = firsts[enough], seeds[enough]
        best = np.argsort(-seeds, kind="stable")[:BOUND_ALIGNMENTS]
        middle = firsts[best] + seeds[best] // 2
        return list(zip(units[middle].tolist(), begins[middle].tolist(), strict=True))

    def _joined(self, found: Iterable[tuple[int, int, tuple[int, ...]]]) -> list[Overlap]:
        by_benchmark: dict[str, list[tuple[int, int, str]]] = {}
        for start, end, owners in found:
            for owner in owners:
                benchmark, item = self._owners[owner]
                by_benchmark.setdefault(benchmark, []).append((start, end, item))
        overlaps = []
        for benchmark, parts in by_benchmark.items():
            parts.sort()
            place = 0
            for start, end in merged((start, end) for start, end, _ in parts):
                names = set()
                while place < len(parts) and parts[place][0] <= end:
                    names.add(parts[place][2])
                    place += 1
                overlaps.append(Overlap(benchmark, start, end, tuple(sorted(names))))
        return sorted(overlaps, key=lambda overlap: (overlap.start, overlap.end, overlap.benchmark))


@dataclass(slots=True)
class OverlapCounts:
    """What was found of each benchmark in a set of documents."""

    documents: Counter[str] = field(default_factory=Counter)
    characters: Counter[str] = field(default_factory=Counter)
    items: dict[str, set[str]] = field(default_factory=dict)

    def add(self, overlaps: Iterable[Overlap]) -> None:
        """Count the overlaps of one document."""
        found = list(overlaps)
        self.documents.update({overlap.benchmark for overlap in found})
        for overlap in found:
            self.characters[overlap.benchmark] += overlap.end - overlap.start
            self.items.setdefault(overlap.benchmark, set()).update(overlap.items)

    def found(self) -> dict[str, dict[str, int]]:
        """By benchmark of which anything was found: items, documents that hold any, characters of these stretches."""
        return {
            name: {"items_found": len(self.items[name]), "documents": self.documents[name], "characters": self.characters[name]}
            for name in sorted(self.items)
        }

    def report(self, index: OverlapIndex) -> dict[str, dict[str, int]]:
        """As ``found``, for every benchmark, with the items looked for and those too short to be."""
        items, found = index.items, self.found()
        return {
            name: {
                "items": items.get(name, 0),
                "items_too_short": index.too_short.get(name, 0),
                **found.get(name, {"items_found": 0, "documents": 0, "characters": 0}),
            }
            for name in sorted({*items, *index.too_short})
        }


def merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans with those that touch or overlap joined, in order."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _units(lines: Sequence[Sequence[int]], words: int, shortest: int) -> list[tuple[int, ...]]:
    """The units of an item: long lines in pieces, runs of shorter lines together where that is long enough."""
    units: list[tuple[int, ...]] = []
    run: list[int] = []
    for line in [*lines, ()]:
        if 0 < len(line) < words:
            run += line
            continue
        if len(run) >= shortest:
            units.append(tuple(run))
        run = []
        pieces = max(1, round(len(line) / PIECE_WORDS))
        edges = [len(line) * piece // pieces for piece in range(pieces + 1)]
        units += [tuple(line[start:end]) for start, end in pairwise(edges) if end > start]
    if not units:  # short lines between others too short to count
        units.append(tuple(number for line in lines for number in line))
    return units


def _seeds_wanted(sizes: np.ndarray) -> np.ndarray:
    """N-grams near one place that make a unit of so many words a candidate; a copy with a tenth changed has three times as many."""
    return np.maximum(1, sizes // 13)


def _hashed(numbers: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
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


def _lines(text: str) -> list[list[str]]:
    plain = _plain(text)
    return [found for line in plain.split("\n") if (found := [_MARKS.sub("", match) for match in _MARKED_WORD.findall(line)])]


_NOT_ASCII = re.compile(r"[^\x00-\x7f]")


def _plain(text: str) -> str:
    """The text in lower case without accents, every character at its place."""
    lowered = text.lower()
    if len(lowered) != len(text):  # a few letters have two in lower case
        lowered = "".join(char.lower() if len(char.lower()) == 1 else char for char in text)
    if lowered.isascii():
        return lowered
    for char in sorted(set(_NOT_ASCII.findall(lowered))):
        lowered = lowered.replace(char, _base(char))
    return lowered


@lru_cache(maxsize=4_096)
def _base(char: str) -> str:
    """A letter without its accent; itself where that is not one character."""
    bases = [part for part in unicodedata.normalize("NFKD", char) if not unicodedata.combining(part)]
    return bases[0] if len(bases) == 1 else char
