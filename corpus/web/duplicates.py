"""Clusters of duplicates across snapshots: equal texts, and near duplicates by MinHash with banding, verified.

The result depends on the set of documents alone, never on their order: buckets are compared in order of document id,
and a cluster is named by its smallest one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from corpus.web.settings import DuplicateSettings
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


@dataclass(frozen=True)
class Clustering:
    """The clusters table and how it came about."""

    clusters: pl.DataFrame
    exact_pairs: int
    compared_pairs: int
    near_pairs: int


def cluster(signals: pl.DataFrame, settings: DuplicateSettings) -> Clustering:
    """Cluster documents given as document_id, snapshot, text_sha256, signature, bands.

    A pair that shares a band counts as near duplicate where at least ``min_similarity`` of the signature values are
    equal (an estimate of the Jaccard similarity of the shingles).
    """
    rows = signals.sort("document_id")
    ids = rows["document_id"].to_list()
    parents = list(range(len(ids)))
    exact = 0
    for members in _groups(rows["text_sha256"].to_list()):
        for member in members[1:]:
            _join(parents, members[0], member)
            exact += 1
    signatures = rows["signature"].to_list()
    width = next((len(values) for values in signatures if values is not None), 0)
    matrix = np.array([values if values is not None else [0] * width for values in signatures], dtype=np.uint32)
    compared = near = 0
    for first, others in _candidates(rows["bands"].to_list(), settings.max_bucket):
        rest = [other for other in others if _root(parents, other) != _root(parents, first)]
        compared += len(rest)
        if not rest:
            continue
        similarity = (matrix[rest] == matrix[first]).mean(axis=1)
        for other, value in zip(rest, similarity, strict=True):
            if value >= settings.min_similarity:
                _join(parents, first, other)
                near += 1
    roots = [ids[_root(parents, index)] for index in range(len(ids))]
    table = rows.select("document_id", "snapshot").with_columns(cluster_id=pl.Series(roots, dtype=pl.String))
    table = table.with_columns(cluster_size=pl.len().over("cluster_id").cast(pl.Int64))
    return Clustering(table, exact, compared, near)


def _candidates(bands: Sequence[Sequence[int]], max_bucket: int) -> Iterator[tuple[int, list[int]]]:
    """For each member of a bucket, the later ones to compare it with; in large buckets only the first members have any."""
    count = max(map(len, bands), default=0)
    for band in range(count):
        for members in _groups([found[band] if found else None for found in bands]):
            leaders = members if len(members) <= max_bucket else members[:2]
            for place, first in enumerate(leaders):
                if members[place + 1 :]:
                    yield first, members[place + 1 :]


def _groups(values: Sequence[object]) -> list[list[int]]:
    """Indices of equal values, for values that occur more than once; in order of their first index."""
    found: dict[object, list[int]] = {}
    for index, value in enumerate(values):
        if value is not None:
            found.setdefault(value, []).append(index)
    return [members for members in found.values() if len(members) > 1]


def _root(parents: list[int], index: int) -> int:
    while parents[index] != index:
        parents[index] = parents[parents[index]]
        index = parents[index]
    return index


def _join(parents: list[int], one: int, other: int) -> None:
    """Join two clusters; the smaller index, which is the smaller document id, stays the root."""
    first, second = sorted((_root(parents, one), _root(parents, other)))
    parents[second] = first
