"""From signals to clusters: arrays of the rows, links of equal texts, links of each band, union, the table.

Memory: 13 bytes for each document, and a range of rows, a part of a band and a block of signatures whatever the number of
documents. The work folder takes some 700 bytes for each document.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpus.web.duplicates.links import LinkRun, link_equal_texts, link_near, parts_of, read_links
from corpus.web.duplicates.rows import ID_BYTES, RowRange, gathered, layout_of, read_ranges, shards_of, write_range
from corpus.web.settings import DuplicateSettings
from foundation.execution import Engine, run_shards
from foundation.store import TableSpec

CLUSTERS = TableSpec(
    "clusters",
    pa.schema(
        [
            ("document_id", pa.string()),
            ("snapshot", pa.string()),
            ("cluster_id", pa.string()),
            ("cluster_size", pa.int64()),
        ]
    ),
    key=("document_id",),
    description="Which documents are copies or near copies of each other; `cluster_id` is the smallest document id.",
)
PARALLEL_ROWS = 200_000
"""With fewer documents the work is done at once in this process: starting others takes longer than the work."""
_TABLE_ROWS = 65_536
"""Rows of the table made at a time, about."""


@dataclass(frozen=True, slots=True)
class Clustering:
    """How the clusters came about.

    ``exact_joins``: documents that an equal text joined to others; ``near_joins``: joins of two groups of equal texts that a
    link of near duplicates made; ``compared_pairs``: signatures compared, over all bands; ``large_buckets``: those in which
    not all pairs were compared; ``sizes``: clusters by their number of documents.
    """

    documents: int
    exact_joins: int
    near_joins: int
    compared_pairs: int
    large_buckets: int
    sizes: Mapping[int, int]


class Clusters:
    """The clusters of all documents: every row's root, and each root's number of rows."""

    def __init__(self, ranges: Sequence[RowRange], roots: np.ndarray, sizes: np.ndarray, summary: Clustering) -> None:
        self.summary = summary
        self._ranges, self._roots, self._sizes = ranges, roots, sizes

    def tables(self, rows: int = _TABLE_ROWS) -> Iterator[pa.Table]:
        """The table in order of document id, about so many rows at a time."""
        named = np.full(len(self._roots), -1, self._roots.dtype)
        names = sorted({part.snapshot for part in self._ranges})
        for ids, numbers in self._by_id(rows):
            roots = self._roots[numbers]
            # Ids ascend from part to part: who comes first has the smallest of its cluster.
            first, places = np.unique(roots, return_index=True)
            fresh = named[first] < 0
            named[first[fresh]] = numbers[places[fresh]]
            clusters = gathered(self._ranges, named[roots].astype(np.int64), "ids", f"S{ID_BYTES}")
            snapshots = np.searchsorted([part.first for part in self._ranges], numbers, side="right") - 1
            indices = np.array([names.index(part.snapshot) for part in self._ranges], np.int32)[snapshots]
            yield pa.table(
                [
                    pa.array(ids.astype(str), pa.string()),
                    pa.DictionaryArray.from_arrays(pa.array(indices), pa.array(names)).cast(pa.string()),
                    pa.array(clusters.astype(str), pa.string()),
                    pa.array(self._sizes[roots].astype(np.int64)),
                ],
                schema=CLUSTERS.schema,
            )

    def _by_id(self, rows: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Ids in ascending order with their rows, a stretch of the ids at a time; within a range ids ascend already."""
        if not self._ranges:
            return
        edges = self._edges(rows)
        lows = [0] * len(self._ranges)
        for edge in [*edges, None]:
            ids, numbers = [], []
            for place, part in enumerate(self._ranges):
                held = part.array("ids", f"S{ID_BYTES}", part.rows)
                high = part.rows if edge is None else int(np.searchsorted(held, edge))
                ids.append(np.array(held[lows[place] : high]))
                numbers.append(np.arange(part.first + lows[place], part.first + high))
                lows[place] = high
            joined, row = np.concatenate(ids), np.concatenate(numbers)
            order = np.argsort(joined, kind="stable")
            if len(order):
                yield joined[order], row[order]

    def _edges(self, rows: int) -> list[bytes]:
        """Ids that cut all of them into stretches of about so many rows, by a sample."""
        count = len(self._roots) // rows
        if not count:
            return []
        step = max(1, rows // 64)
        sample = [np.array(part.array("ids", f"S{ID_BYTES}", part.rows)[::step]) for part in self._ranges]
        drawn = np.sort(np.concatenate(sample))
        return list(np.unique(drawn[np.linspace(0, len(drawn) - 1, count + 1).astype(int)[1:]]))


def cluster(files: Mapping[str, Sequence[Path]], settings: DuplicateSettings, work: Path, engine: Engine | None = None) -> Clusters:
    """Cluster the documents of the signals' files, given by snapshot, each snapshot in order of document id.

    Two documents are linked where their normalised texts are equal, or where they share a band and at least
    ``min_similarity`` of their signatures' values are equal (an estimate of the Jaccard similarity of the shingles);
    clusters are what links connect.

    Args:
        work: a folder that must live as long as the result is read; finished shards are found in it again.
        engine: what runs the shards where there are more than ``PARALLEL_ROWS`` documents.

    Raises:
        WebCorpusError: the signals do not fit together.
    """
    from corpus.web.duplicates.kernels import flatten

    layout = layout_of(files)
    runner = _Runner(work, engine or Engine(), sum(_rows_of(path) for paths in files.values() for path in paths))
    folders = runner.run(functools.partial(write_range, layout=layout), shards_of(files), "rows", "")
    ranges = read_ranges(folders)
    total = sum(part.rows for part in ranges)
    parts = parts_of(total)
    run = LinkRun(tuple(str(folder.absolute()) for folder in folders), layout, settings, str((work / "leaders.bin").absolute()))
    if not total:
        return Clusters([], np.empty(0, np.int32), np.empty(0, np.int32), Clustering(0, 0, 0, 0, 0, {}))
    parents = np.arange(total, dtype=np.int32 if total < 2**31 else np.int64)
    exact, _, _ = _join(parents, runner.run(functools.partial(link_equal_texts, run=run), [[part, parts] for part in range(parts)], "equal"))
    _mark_leaders(parents, Path(run.leaders))
    shards = [[band, part, parts] for band in range(layout.bands) for part in range(parts)]
    near, compared, large = _join(parents, runner.run(functools.partial(link_near, run=run), shards, "near"))
    sizes = np.zeros(total, parents.dtype)
    flatten(parents, sizes)
    counts = np.bincount(sizes)  # of roots; all other rows have 0
    counted = {int(size): int(counts[size]) for size in np.flatnonzero(counts) if size}
    return Clusters(ranges, parents, sizes, Clustering(total, exact, near, compared, large, counted))


class _Runner:
    """Runs shards in one work folder, on the engine where that pays."""

    def __init__(self, work: Path, engine: Engine, rows: int) -> None:
        self._work = work
        self._engine = engine if rows > PARALLEL_ROWS else Engine()

    def run(self, function: functools.partial[None], shards: Sequence[object], name: str, suffix: str = ".npz") -> list[Path]:
        return run_shards(function, shards, self._work, name, suffix=suffix, engine=self._engine, label=f"duplicate clusters: {name}")


def _rows_of(path: Path) -> int:
    return pq.read_metadata(path).num_rows


def _join(parents: np.ndarray, paths: Sequence[Path]) -> tuple[int, int, int]:
    """Join what the shards linked; returns joins, comparisons and large buckets."""
    from corpus.web.duplicates.kernels import join

    joined = compared = large = 0
    for path in paths:
        links = read_links(path)
        joined += join(parents, links.pairs[:, 0], links.pairs[:, 1])
        compared += links.compared
        large += links.large_buckets
    return joined, compared, large


def _mark_leaders(parents: np.ndarray, path: Path) -> None:
    """Write who stands for its text: the first of equal ones, whom ``link_equal_texts`` links the others to."""
    temporary = path.with_name(f"{path.name}.part")
    (parents == np.arange(len(parents), dtype=parents.dtype)).astype(np.uint8).tofile(temporary)
    temporary.replace(path)
