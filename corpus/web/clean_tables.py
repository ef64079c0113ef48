"""What of the clean corpus needs all documents at once, in bounded memory: representatives, equal texts, splits, the order.

Memory: the documents of clusters of several that pass, 8 bytes for each published document, the registered domains, and one
range of documents. The work folder holds the finished texts once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from corpus.web.clean import LEDGER, TEXT
from corpus.web.domains import splits_of
from corpus.web.personal_kinds import KINDS
from corpus.web.rehydration import Weights, repetitions
from corpus.web.settings import CleanSettings
from foundation.language.overlap import Overlap, OverlapCounts

RANGE_ROWS = 20_000
"""About how many documents are in memory at a time."""


def write_representatives(decisions: Sequence[Path], clusters: Sequence[Path], output: Path) -> None:
    """Of each cluster of several, the id of the passing document with the most text left; the smallest id among equals."""
    several = pl.scan_parquet(list(clusters)).filter(pl.col("cluster_size") > 1).select("document_id", "cluster_id")
    passing = pl.scan_parquet(list(decisions)).filter("passes_rules").select("document_id", "kept_characters")
    best = (
        several.join(passing, on="document_id", how="inner")
        .sort(["kept_characters", "document_id"], descending=[True, False])
        .unique("cluster_id", keep="first", maintain_order=True)
        .select("document_id")
        .sort("document_id")
        .collect()
    )
    best.write_parquet(output)


@dataclass(slots=True)
class CleanSummary:
    """Counts of the tables as they are written; all of them independent of ranges and workers."""

    label: str
    documents: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    splits: dict[str, Counter[str]] = field(default_factory=lambda: {split: Counter() for split in TEXT.splits})
    personal_data: Counter[str] = field(default_factory=Counter)
    in_language: int = 0
    cut_documents: int = 0
    overlaps: OverlapCounts = field(default_factory=OverlapCounts)
    domains: dict[str, set[str]] = field(default_factory=lambda: {split: set() for split in TEXT.splits})
    samples: list[pl.DataFrame] = field(default_factory=list)
    hashes: list[np.ndarray] = field(default_factory=list)

    @property
    def kept(self) -> int:
        """Published documents."""
        return sum(counts["documents"] for counts in self.splits.values())

    @property
    def repeated(self) -> int:
        """Published texts that stand twice, by 64 bits of their sha256."""
        return self.kept - len(np.unique(np.concatenate(self.hashes))) if self.hashes else 0

    def add(self, rows: pl.DataFrame, text: Mapping[str, pl.DataFrame]) -> None:
        """Count one range: its finished rows, and its rows of the text table by split."""
        self.documents += rows.height
        self.dropped.update(rows["reason"].drop_nulls().to_list())
        kept = rows.filter(pl.col("reason").is_null())
        self.in_language += int((kept["language"] == self.label).sum())
        self.cut_documents += int((kept["overlap"].list.len() > 0).sum())
        self.hashes.append(_short(kept["text_sha256"]))
        for overlap in rows["overlap"].to_list():
            self.overlaps.add(Overlap(**span) for span in overlap or ())
        if kept.height:
            sums = kept.select(pl.col("personal_data").struct.field(kind).sum() for kind in KINDS).to_dicts()[0]
            self.personal_data.update(sums)
        for split, part in text.items():
            repeated = int(part.select(pl.col("words") * pl.col("repetitions")).to_series().sum())
            self.splits[split].update(documents=part.height, words_repeated=repeated, characters=int(part["characters"].sum()), words=int(part["words"].sum()))
            self.domains[split].update(part["registered_domain"].to_list())
        if sum(sample.height for sample in self.samples) < 5:
            self.samples.append(kept.select("url", "licence", "words", pl.col("text").str.slice(0, 200)).head(5))


class FinishedRanges:
    """The finished ranges of all snapshots as one sequence of documents in order of id."""

    def __init__(self, paths: Sequence[Path], settings: CleanSettings, seed: int) -> None:
        self._paths = [path for path in paths if pq.read_metadata(path).num_rows]
        self._retain = settings.retain_dropped_text
        self._weights = Weights.of(settings.rehydration)
        self._bounds = [_bounds(path) for path in self._paths]
        self._first_of_equal = _first_of_equal(self._paths)
        self._splits = splits_of(self._kept_domains(), settings.validation_share, seed)

    def _kept_domains(self) -> set[str]:
        """Registered domains with a published document."""
        domains: set[str] = set()
        for path in self._paths:
            rows = pl.read_parquet(path, columns=["document_id", "registered_domain", "text_sha256"]).filter(pl.col("text_sha256").is_not_null())
            domains.update(self._without_equal(rows)["registered_domain"].unique().to_list())
        return domains

    def _without_equal(self, rows: pl.DataFrame) -> pl.DataFrame:
        return rows.filter(~self._is_equal(rows))

    def _is_equal(self, rows: pl.DataFrame) -> pl.Series:
        """Whether a row's text stands at a smaller id already."""
        firsts = [self._first_of_equal.get(digest) for digest in rows["text_sha256"].to_list()]
        later = [first is not None and first != key for first, key in zip(firsts, rows["document_id"].to_list(), strict=True)]
        return pl.Series(later, dtype=pl.Boolean)

    def ranges(self) -> Iterator[pl.DataFrame]:
        """Finished rows, some ``RANGE_ROWS`` at a time, in order of document id; equal texts but the first dropped."""
        edges = self._edges()
        for low, high in zip(edges, [*edges[1:], None], strict=True):
            inside = pl.col("document_id") >= pl.lit(low) if high is None else pl.col("document_id").is_between(pl.lit(low), pl.lit(high), closed="left")
            files = [
                path for path, (first, last) in zip(self._paths, self._bounds, strict=True) if last >= low and (high is None or first < high)
            ]
            if files:
                rows = pl.scan_parquet(files).filter(inside).collect().sort("document_id")
                yield self._equal_dropped(rows)

    def _edges(self) -> list[str]:
        """Ids at which ranges begin, drawn from the ends of the files' row groups: of any form, and about equally far apart."""
        firsts: list[tuple[str, int]] = []
        for path in self._paths:
            metadata = pq.read_metadata(path)
            for index in range(metadata.num_row_groups):
                group = metadata.row_group(index)
                firsts.append((group.column(0).statistics.min, group.num_rows))
        edges, rows = [""], 0
        for first, count in sorted(firsts):
            if rows >= RANGE_ROWS and first != edges[-1]:
                edges.append(first)
                rows = 0
            rows += count
        return edges

    def _equal_dropped(self, rows: pl.DataFrame) -> pl.DataFrame:
        equal = self._is_equal(rows)
        if not equal.any():
            return rows
        later = pl.lit(equal)
        nothing = pl.lit(None, pl.String)
        kept_hash = nothing if self._retain == "none" else pl.col("extracted_sha256")
        kept_text = pl.col("text") if self._retain == "all" else nothing
        return rows.with_columns(
            reason=pl.when(later).then(pl.lit("same_text")).otherwise("reason"),
            kept_characters=pl.when(later).then(0).otherwise("kept_characters"),
            text_sha256=pl.when(later).then(None).otherwise("text_sha256"),
            dropped_text_sha256=pl.when(later).then(kept_hash).otherwise("dropped_text_sha256"),
            dropped_text=pl.when(later).then(kept_text).otherwise("dropped_text"),
        )

    def text(self, rows: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """Rows of the text table by split."""
        kept = rows.filter(pl.col("reason").is_null())
        repeated = pl.Series([repetitions(size, self._weights) for size in kept["cluster_size"]], dtype=pl.Int64)
        kept = kept.with_columns(characters="kept_characters", repetitions=repeated)
        splits = pl.Series([self._splits[domain] for domain in kept["registered_domain"]], dtype=pl.String)
        return {split: kept.filter(splits == split).select(TEXT.schema.names) for split in TEXT.splits}

    @staticmethod
    def ledger(rows: pl.DataFrame) -> pl.DataFrame:
        """Rows of the ledger."""
        return rows.with_columns(kept=pl.col("reason").is_null()).select(LEDGER.schema.names)


def _bounds(path: Path) -> tuple[str, str]:
    """First and last document id of a finished range."""
    metadata = pq.read_metadata(path)
    groups = [metadata.row_group(index).column(0).statistics for index in range(metadata.num_row_groups)]
    return min(group.min for group in groups), max(group.max for group in groups)


def _first_of_equal(paths: Sequence[Path]) -> dict[str, str]:
    """Of texts that stand more than once, by their sha256, the smallest document id."""
    short = [_short(pl.read_parquet(path, columns=["text_sha256"])["text_sha256"].drop_nulls()) for path in paths]
    values, counts = np.unique(np.concatenate(short), return_counts=True) if short else (np.zeros(0, np.uint64), np.zeros(0, np.int64))
    repeated = values[counts > 1]
    firsts: dict[str, str] = {}
    for path, hashes in zip(paths, short, strict=True):
        if np.isin(hashes, repeated).any():
            rows = pl.read_parquet(path, columns=["document_id", "text_sha256"]).filter(pl.col("text_sha256").is_not_null())
            for key, digest in rows.filter(pl.Series(np.isin(hashes, repeated))).iter_rows():
                firsts[digest] = min(key, firsts.get(digest, key))
    return firsts


def _short(digests: pl.Series) -> np.ndarray:
    """The first 64 bits of hex digests."""
    return np.array([int(digest[:16], 16) for digest in digests.to_list()], np.uint64)
