"""Which documents are linked: those of equal text, and pairs that share a band and whose signatures agree well enough.

Every function here works on a part of the hash values of one band (or of the text hashes), reads nothing but the work
folder, and leaves the links that matter: enough pairs to join what belongs together, and no more.

Buckets. In one of at most ``max_bucket`` documents every pair counts. A larger one, of pages built around the same
boilerplate, would take quadratic time. There the sorted-neighbourhood method (Hernández and Stolfo 1995) is used: members
are sorted by ``_KEY_VALUES`` values of their signatures, from the first on, then from each ``_PASS_STEP``-th on in turn, and
each is compared with the next ``neighbours`` ones. Copies agree in long stretches of values and so come to stand side by side in
some order; ties are in order of snapshot and document id. Only pairs that share no smaller bucket depend on it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from corpus.web.duplicates.rows import Layout, RowRange, gathered, read_ranges
from corpus.web.settings import DuplicateSettings

PART_ROWS = 262_144
"""Rows of one part of a band, about: hash values are uniform."""
_BLOCK_ROWS = 16_384
"""Signatures held at a time."""
_KEY_VALUES = 12
_PASS_STEP = 4


@dataclass(frozen=True, slots=True)
class LinkRun:
    """What finding links needs; picklable. ``leaders``: a byte for each row, 1 where it stands for all rows of its text."""

    folders: tuple[str, ...]
    layout: Layout
    settings: DuplicateSettings
    leaders: str = ""

    def ranges(self) -> list[RowRange]:
        return read_ranges([Path(folder) for folder in self.folders])

    @property
    def allowed(self) -> int:
        """Values of two near duplicates' signatures that may differ."""
        permutations = self.layout.permutations
        return permutations - math.ceil(round(self.settings.min_similarity * permutations, 6))


@dataclass(frozen=True, slots=True)
class Links:
    """Pairs of rows, how many pairs were compared, and how many buckets were too large to compare all their pairs."""

    pairs: np.ndarray
    compared: int = 0
    large_buckets: int = 0


def parts_of(rows: int) -> int:
    """Parts that the hash values are cut into."""
    return max(1, -(-rows // PART_ROWS))


def read_links(path: Path) -> Links:
    """What a shard left."""
    with np.load(path) as saved:
        return Links(saved["pairs"], *saved["counts"].tolist())


def link_equal_texts(shard: list[int], output: Path, run: LinkRun) -> None:
    """Links between documents of equal normalised text, each with the first of them; the shard is ``[part, parts]``."""
    part, parts = shard
    found = []
    for place in run.ranges():
        hashes = place.array("hashes", "<u8", 2, place.rows)
        chosen = _part_of(hashes[0], part, parts)
        rows = place.array("hash_rows", "<u4", place.rows)[chosen].astype(np.int64) + place.first
        found.append((np.array(hashes[:, chosen]), rows))
    hashes = np.concatenate([pair[0] for pair in found], axis=1)
    rows = np.concatenate([pair[1] for pair in found])
    order = np.lexsort((rows, hashes[1], hashes[0]))
    hashes, rows = hashes[:, order], rows[order]
    new = np.ones(len(rows), bool)
    new[1:] = (hashes[:, 1:] != hashes[:, :-1]).any(axis=0)
    firsts = np.flatnonzero(new)[np.cumsum(new) - 1]
    _save(output, Links(np.stack([rows[firsts[~new]], rows[~new]], axis=1)))


def link_near(shard: list[int], output: Path, run: LinkRun) -> None:
    """Links between near duplicates of one band; the shard is ``[band, part, parts]``."""
    band, part, parts = shard
    ranges = run.ranges()
    keys, rows = _leaders_of_band(ranges, run, band, part, parts)
    new = np.ones(len(keys), bool)
    new[1:] = keys[1:] != keys[:-1]
    starts = np.flatnonzero(new)
    ends = np.append(starts[1:], len(keys))
    sizes = ends - starts
    ordinary = (sizes > 1) & (sizes <= run.settings.max_bucket)
    links = [_link_block(ranges, rows, block, run) for block in _blocks(starts[ordinary], ends[ordinary])]
    large = np.flatnonzero(sizes > run.settings.max_bucket)
    links += [_link_large(ranges, rows[starts[bucket] : ends[bucket]], run) for bucket in large]
    pairs = np.concatenate([np.empty((0, 2), np.int64), *(found.pairs for found in links)])
    _save(output, Links(pairs, sum(found.compared for found in links), len(large)))


def _leaders_of_band(ranges: Sequence[RowRange], run: LinkRun, band: int, part: int, parts: int) -> tuple[np.ndarray, np.ndarray]:
    """Band hashes of the part, ascending, with their rows; of equal texts only the first, whose signature is that of all."""
    keys, rows = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    leaders = np.memmap(run.leaders, np.uint8, "r")
    for place in ranges:
        values = place.array("bands", "<u8", run.layout.bands, place.signed)[band]
        chosen = _part_of(values, part, parts)
        found = place.array("band_rows", "<u4", run.layout.bands, place.signed)[band, chosen].astype(np.int64) + place.first
        leading = leaders[found] > 0
        keys.append(np.array(values[chosen])[leading])
        rows.append(found[leading])
    joined, numbers = np.concatenate(keys), np.concatenate(rows)
    order = np.lexsort((numbers, joined))
    return joined[order], numbers[order]


def _part_of(values: np.ndarray, part: int, parts: int) -> slice:
    """Where the hash values of a part stand among ascending ones."""
    edges = [-(-(number << 64) // parts) for number in (part, part + 1)]
    low = int(np.searchsorted(values, np.uint64(edges[0])))
    return slice(low, len(values) if part + 1 == parts else int(np.searchsorted(values, np.uint64(edges[1]))))


def _blocks(starts: np.ndarray, ends: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Starts and ends of buckets, as many at a time as have about ``_BLOCK_ROWS`` members."""
    numbers = np.cumsum(ends - starts) // _BLOCK_ROWS
    cuts = [0, *(np.flatnonzero(numbers[1:] != numbers[:-1]) + 1).tolist(), len(starts)]
    for low, high in itertools.pairwise(cuts):
        if high > low:
            yield starts[low:high], ends[low:high]


def _link_block(ranges: Sequence[RowRange], rows: np.ndarray, block: tuple[np.ndarray, np.ndarray], run: LinkRun) -> Links:
    from corpus.web.duplicates.kernels import link_buckets

    starts, ends = block
    members = np.concatenate([rows[start:end] for start, end in zip(starts, ends, strict=True)])
    places = np.cumsum(ends - starts)
    signatures = gathered(ranges, members, "signatures", "<u4", run.layout.permutations)
    firsts, seconds, compared = link_buckets(signatures, places - (ends - starts), places, run.allowed)
    return Links(np.stack([members[firsts], members[seconds]], axis=1), compared)


def _link_large(ranges: Sequence[RowRange], members: np.ndarray, run: LinkRun) -> Links:
    """Links of one large bucket; see the module's docstring. Ends as soon as all members are joined."""
    from corpus.web.duplicates.kernels import link_neighbours

    width, window = run.layout.permutations, run.settings.neighbours
    parents = np.arange(len(members))
    pairs: list[np.ndarray] = []
    compared = joined = 0
    for first in range(0, width, _PASS_STEP):
        columns = (first + np.arange(min(_KEY_VALUES, width))) % width
        keys = gathered(ranges, members, "signatures", "<u4", width, columns=columns)
        order = np.lexsort(keys.T[::-1])
        del keys
        for start in range(0, len(order), _BLOCK_ROWS):
            chosen = order[start : start + _BLOCK_ROWS + window]
            signatures = gathered(ranges, members[chosen], "signatures", "<u4", width)
            firsts, seconds, count = link_neighbours(signatures, chosen, parents, window, min(_BLOCK_ROWS, len(chosen)), run.allowed)
            pairs.append(np.stack([members[firsts], members[seconds]], axis=1))
            compared += count
            joined += len(firsts)
        if joined == len(members) - 1:
            break
    return Links(np.concatenate(pairs), compared, 1)


def _save(output: Path, links: Links) -> None:
    with output.open("wb") as stream:
        np.savez(stream, pairs=links.pairs, counts=np.array([links.compared, links.large_buckets], np.int64))
