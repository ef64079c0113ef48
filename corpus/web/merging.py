"""Documents of all shards into one table by document id, in bounded memory.

Each shard leaves sorted runs; ranges of the key are merged one at a time. Of equal ids the first in WARC order stays.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from corpus.web.documents import DOCUMENTS, EXAMPLES_KEPT, SKIPPED
from corpus.web.rights.robots import ROBOTS, RobotsTable, latest_rows, reserved

RUN_BYTES = 64_000_000
"""Text of one sorted run, about."""
RANGE_BYTES = 256_000_000
"""Text merged at a time, about; memory holds some three times as much."""
_GROUP_ROWS = 1_000
_ORDER = ("_path", "_place")
_RUN_SCHEMA = pa.schema([*DOCUMENTS.schema, ("_path", pa.string()), ("_place", pa.int64())])


class DocumentRuns:
    """Sorted files of documents in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows: list[dict[str, Any]] = []
        self._bytes = self._files = 0
        self.text_bytes = 0

    def add(self, row: dict[str, Any], path: str, place: int) -> None:
        """Add a row of the table; ``path`` and ``place`` (offset or row) are its WARC order."""
        self._rows.append({**row, "_path": path, "_place": place})
        size = len(row["text"].encode())
        self._bytes += size
        self.text_bytes += size
        if self._bytes >= RUN_BYTES:
            self._flush()

    def close(self) -> None:
        """Write what is left."""
        if self._rows:
            self._flush()

    def _flush(self) -> None:
        self._rows.sort(key=lambda row: (row["document_id"], row["_path"], row["_place"]))
        table = pa.Table.from_pylist(self._rows, schema=_RUN_SCHEMA)
        pq.write_table(table, self._folder / f"run-{self._files:05d}.parquet", row_group_size=_GROUP_ROWS, compression="zstd")
        self._files += 1
        self._rows, self._bytes = [], 0


@dataclass(frozen=True)
class MergeRun:
    """What merging a range needs; picklable. ``runs`` are all sorted files, ``robots`` the merged rules by host, ``robots_read`` says whether
    the snapshot holds robots.txt captures at all: else nothing is known of them."""

    runs: tuple[str, ...]
    robots: str
    robots_read: bool


def run_files(shards: Sequence[Path]) -> tuple[str, ...]:
    """The sorted files of all shards."""
    return tuple(str(path) for shard in shards for path in sorted(shard.glob("run-*.parquet")))


def key_ranges(text_bytes: int, range_bytes: int = RANGE_BYTES) -> list[list[str]]:
    """Ranges ``[low, high]`` of document ids, high excluded (empty: no end), of about equal size: ids are hashes."""
    count = -(-text_bytes // range_bytes) or 1
    edges = ["", *(f"{(number << 64) // count:016x}" for number in range(1, count)), ""]
    return [[low, high] for low, high in itertools.pairwise(edges)]


def merge_range(bounds: list[str], output: Path, run: MergeRun) -> None:
    """Documents of one range of ids, each id once, with what their hosts state; and the copies that were left out."""
    output.mkdir(parents=True)
    low, high = bounds
    if run.runs:
        rows = pl.scan_parquet(list(run.runs), glob=False)
        if low:
            rows = rows.filter(pl.col("document_id") >= low)
        if high:
            rows = rows.filter(pl.col("document_id") < high)
        merged = rows.collect().sort("document_id", *_ORDER, maintain_order=True)  # records of one gzip member share a place
    else:
        merged = pl.DataFrame(_RUN_SCHEMA.empty_table())
    first = pl.col("document_id").is_first_distinct()
    merged.filter(~first).select("_path", "url").write_parquet(output / "copies.parquet")
    kept = _with_host_statements(merged.filter(first).drop(*_ORDER), _robots_table(run.robots), run.robots_read)
    pq.write_table(kept.to_arrow().select(DOCUMENTS.schema.names).cast(DOCUMENTS.schema), output / "documents.parquet", compression="zstd")


def merge_robots(shards: Sequence[Path], path: Path) -> list[dict[str, Any]]:
    """Rules of each host once, of its latest capture; written to ``path`` for the ranges, and returned in table order."""
    rows = latest_rows(row for shard in shards for row in pq.read_table(shard / "robots.parquet").to_pylist())
    if not path.exists():  # merging tasks of an earlier call may be reading it
        part = path.with_name(f"{path.name}.part")
        pq.write_table(pa.Table.from_pylist(rows, schema=ROBOTS.schema), part)
        part.rename(path)
    return rows


def merge_skipped(shards: Sequence[Path], ranges: Sequence[Path]) -> pl.DataFrame:
    """Counts of all files, exact copies among them."""
    skipped = pl.concat([pl.read_parquet(shard / "skipped.parquet", glob=False) for shard in shards])
    copies = pl.concat([pl.read_parquet(part / "copies.parquet", glob=False) for part in ranges])
    counted = (
        copies.group_by("_path", maintain_order=True)
        .agg(pl.len().cast(pl.Int64).alias("pages"), pl.col("url").drop_nulls().sort().head(EXAMPLES_KEPT).alias("examples"))
        .select(pl.lit("exact_copy").alias("reason"), pl.lit("").alias("language"), pl.col("_path").alias("path"), "pages", "examples")
    )
    # A file's selected records may lie in two shards.
    both = pl.concat([skipped, counted]).group_by(*SKIPPED.key).agg(pl.col("pages").sum(), pl.col("examples").explode())
    return both.with_columns(pl.col("examples").list.sort().list.head(EXAMPLES_KEPT)).select(SKIPPED.schema.names).sort(*SKIPPED.key)


def took(shards: Sequence[Path]) -> dict[str, Any]:
    """What all shards took: records, pages, bytes, seconds by step, traffic."""
    total: dict[str, Any] = {}
    for shard in shards:
        _add(total, json.loads((shard / "took.json").read_text(encoding="utf-8")))
    return total


def _add(total: dict[str, Any], values: dict[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, dict):
            _add(total.setdefault(name, {}), value)
        else:
            total[name] = total.get(name, 0) + value


@lru_cache(maxsize=2)
def _robots_table(path: str) -> RobotsTable:
    return RobotsTable(pq.read_table(path).to_pylist())


def _with_host_statements(rows: pl.DataFrame, robots: RobotsTable, robots_read: bool) -> pl.DataFrame:
    """Rows with what robots.txt and tdmrep.json of their hosts say; null where neither was read, or the page's HTML was not."""
    disallowed: list[list[str] | None] = []
    reservations: list[bool | None] = []
    policies: list[str | None] = []
    for url, archived, html, stated, policy in rows.select("url", "warc_path", "noai", "tdm_reservation", "tdm_policy").iter_rows():
        if archived is None:
            disallowed.append(None)
            reservations.append(None)
            policies.append(None)
            continue
        host = robots.of(url)
        reservation, policy_of_both = reserved(stated, policy, host)
        disallowed.append(host.disallowed_agents if robots_read else None)
        reservations.append(None if html is None and host.tdm_reservation is None else reservation)
        policies.append(policy_of_both)
    return rows.with_columns(
        pl.Series("robots_disallowed", disallowed, dtype=pl.List(pl.String)),
        pl.Series("tdm_reservation", reservations, dtype=pl.Boolean),
        pl.Series("tdm_policy", policies, dtype=pl.String),
    )
