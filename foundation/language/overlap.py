"""Overlap between texts and benchmark items: shared runs of words, and items found again with some words changed.

Words are compared in lower case, without accents and punctuation, as contamination tests do (Brown et al. 2020,
appendix C). Two tests, either is enough:

- **run**: ``words`` words in a row that an item holds too, across its lines (GPT-3's 13-gram test).
- **share**: of a unit of an item at least ``min_share`` of the words, in their order, within a stretch of the text about as
  long as the unit. A unit is a line of an item, in pieces where it is long; short lines next to each other are one unit. So a
  paraphrase of a few words, a typing error or a changed number does not hide an item, and an item of fewer than ``words``
  words can be found at all.

Only words of the items have numbers; every other word of a text is nothing. N-grams of numbers are hashed in numpy, and only
texts with enough of them near each other are aligned word by word.
"""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import chain, pairwise, repeat
from pathlib import Path
from typing import NamedTuple

import numpy as np

from foundation.language.ngrams import GRAM_PARTS, Grams, grams_apart

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


class Overlap(NamedTuple):
    """A stretch of a text, in characters, that items of a benchmark hold too; ``items`` are their ids, sorted."""

    benchmark: str
    start: int
    end: int
    items: tuple[str, ...] = ()


class _Unit(NamedTuple):
    """A stretch of an item that is looked for as one: the numbers of its words, and the items that hold it."""

    numbers: tuple[int, ...]
    owners: tuple[int, ...]


class OverlapIndex:
    """Benchmark items, ready to be looked for; made by ``build`` or ``load``, and never changed by a search. Picklable."""

    def __init__(
        self,
        words: int,
        min_share: float,
        owners: Sequence[tuple[str, str]],
        too_short: Mapping[str, int],
        vocabulary: Iterable[str],
        units: Sequence[_Unit],
        runs: Grams,
        seeds: Grams,
    ) -> None:
        """The parts, as ``build`` makes them; ``vocabulary`` are the words of the items, the first of which is number 1."""
        self.words = words
        self.min_share = min_share
        self.too_short = dict(too_short)
        """Items by benchmark that are not looked for, since they have too few words."""
        self._owners = list(owners)
        self._numbers = {word: number for number, word in enumerate(vocabulary, 1)}
        self._units = list(units)
        self._unit_starts = _starts([len(unit.numbers) for unit in self._units])
        self._runs = runs
        self._seeds = seeds

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
        owners: list[tuple[str, str]] = []
        numbers: dict[str, int] = {}
        too_short: Counter[str] = Counter()
        units: dict[tuple[int, ...], list[int]] = {}
        whole: list[list[int]] = []
        for benchmark, item, text in items:
            lines = _lines(text)
            if sum(map(len, lines)) < min(shortest, words):
                too_short[benchmark] += 1
                continue
            numbered = [[numbers.setdefault(word, len(numbers) + 1) for word in line] for line in lines]
            for unit in _units(numbered, words, min(shortest, words)):
                units.setdefault(unit, []).append(len(owners))
            whole.append([number for line in numbered for number in line])
            owners.append((benchmark, item))
        found = [_Unit(unit, tuple(dict.fromkeys(whose))) for unit, whose in units.items()]
        hashes, item_of, _ = grams_apart(whole, words)
        seeds = _seeds([unit.numbers for unit in found])
        return cls(words, min_share, owners, dict(sorted(too_short.items())), numbers, found, Grams.of(words, hashes, item_of), seeds)

    def save(self, path: Path) -> None:
        """Write the index to a file, whole or not at all; reading it takes a tenth of the time of building it."""
        owners = [self._owners, self.too_short, list(self._numbers), self.words, self.min_share]
        arrays = {
            "owners": np.frombuffer(json.dumps(owners).encode(), np.uint8),
            **{f"unit_{name}": array for name, array in zip(("numbers", "starts"), _flat([unit.numbers for unit in self._units]), strict=True)},
            **{f"whose_{name}": array for name, array in zip(("numbers", "starts"), _flat([unit.owners for unit in self._units]), strict=True)},
            **{f"{name}_{part}": getattr(grams, part) for name, grams in (("runs", self._runs), ("seeds", self._seeds)) for part in GRAM_PARTS},
        }
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        with part.open("wb") as stream:
            np.savez(stream, **arrays)  # type: ignore[arg-type]  # its stub takes them for allow_pickle
        part.replace(path)

    @classmethod
    def load(cls, path: Path) -> OverlapIndex:
        """The index in a file that ``save`` wrote."""
        with np.load(path) as held:
            owners, too_short, vocabulary, words, min_share = json.loads(held["owners"].tobytes())
            units = zip(*(_nested(held[f"{name}_numbers"], held[f"{name}_starts"]) for name in ("unit", "whose")), strict=True)
            runs, seeds = (
                Grams.with_bits(length, *(held[f"{name}_{part}"] for part in GRAM_PARTS)) for name, length in (("runs", words), ("seeds", SEED_WORDS))
            )
        found = [_Unit(numbers, whose) for numbers, whose in units]
        return cls(words, min_share, [(benchmark, item) for benchmark, item in owners], too_short, vocabulary, found, runs, seeds)

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
        pattern = _pattern_of(plain)
        words = _words(plain, pattern)
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


def _seeds(units: Sequence[Sequence[int]]) -> Grams:
    """The n-grams of all units, and where each stands among the words of all units; common ones only where they are needed."""
    every, unit_of, where = grams_apart(units, SEED_WORDS)
    _, inverse, counts = np.unique(every, return_inverse=True, return_counts=True)
    common = counts[inverse] > MAX_POSTINGS
    rare = np.bincount(unit_of[~common], minlength=len(units))
    wanting = rare < _seeds_wanted(np.diff(_starts([len(unit) for unit in units])))
    kept = ~common | wanting[unit_of]
    return Grams.of(SEED_WORDS, every[kept], where[kept])


def _seeds_wanted(sizes: np.ndarray) -> np.ndarray:
    """N-grams near one place that make a unit of so many words a candidate; a copy with a tenth changed has three times as many."""
    return np.maximum(1, sizes // 13)


def _starts(lengths: Sequence[int]) -> np.ndarray:
    """Where each of so long stretches begins, one after another, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _flat(stretches: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.fromiter(chain.from_iterable(stretches), np.int64), _starts([len(stretch) for stretch in stretches])


def _nested(values: np.ndarray, starts: np.ndarray) -> list[tuple[int, ...]]:
    flat = values.tolist()
    return [tuple(flat[start:end]) for start, end in pairwise(starts.tolist())]


def _lines(text: str) -> list[list[str]]:
    plain = _plain(text)
    pattern = _pattern_of(plain)
    return [found for line in plain.split("\n") if (found := _words(line, pattern))]


def _pattern_of(plain: str) -> re.Pattern[str]:
    return _MARKED_WORD if _MARKS.search(plain) else _WORD


def _words(plain: str, pattern: re.Pattern[str]) -> list[str]:
    words: list[str] = pattern.findall(plain)
    return words if pattern is _WORD else [_MARKS.sub("", word) for word in words]


_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_MANY_ACCENTS = 32
"""Up to so many different letters one replacement after another is faster than one look at every character."""


def _plain(text: str) -> str:
    """The text in lower case without accents, every character at its place."""
    lowered = text.lower()
    if len(lowered) != len(text):  # a few letters have two in lower case
        lowered = "".join(char.lower() if len(char.lower()) == 1 else char for char in text)
    if lowered.isascii():
        return lowered
    bases = {char: base for char in sorted(set(_NOT_ASCII.findall(lowered))) if (base := _base(char)) != char}
    if len(bases) > _MANY_ACCENTS:
        return lowered.translate({ord(char): base for char, base in bases.items()})
    for char, base in bases.items():
        lowered = lowered.replace(char, base)
    return lowered


@lru_cache(maxsize=4_096)
def _base(char: str) -> str:
    """A letter without its accent; itself where that is not one character."""
    bases = [part for part in unicodedata.normalize("NFKD", char) if not unicodedata.combining(part)]
    return bases[0] if len(bases) == 1 else char
