"""Decisions: what the rules say of each document of one snapshot, and what it shares with benchmarks.

Everything here depends on this snapshot, the rules and the benchmark items alone. What needs no text is in ``judging``.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from corpus.web.errors import WebCorpusError
from corpus.web.judging import Rights, columns_by_table, judge, target_language
from corpus.web.rules import RuleSet
from corpus.web.signals import read_signals
from foundation.language.identification import IdentificationSettings
from foundation.language.overlap import Overlap, OverlapCounts, OverlapIndex
from foundation.store import TableSpec

OVERLAP_TYPE = pa.list_(pa.struct([("benchmark", pa.string()), ("start", pa.int64()), ("end", pa.int64()), ("items", pa.list_(pa.string()))]))

DECISIONS = TableSpec(
    "decisions",
    pa.schema(
        [
            ("document_id", pa.string()),
            ("passes_rules", pa.bool_()),
            ("first_failed", pa.string()),
            ("failed_rules", pa.list_(pa.string())),
            ("removed_lines", pa.list_(pa.int32())),
            ("kept_characters", pa.int64()),
            ("overlap", OVERLAP_TYPE),
        ]
    ),
    key=("document_id",),
    description="What the rules say of each document; rules of rights come first. `removed_lines` are indices into the text split at line feeds; "
    "`overlap` spans are in characters of the text that is left.",
)


MEASURES = ("characters", "words")
"""Signals that travel with decisions to the report of a build."""
_UNMEASURED = b"unmeasured"
"""Key of a decided range's file metadata: in how many of its rows each rule had nothing to judge."""


@dataclass(frozen=True)
class DecisionRun:
    """What deciding reads, as paths, and how; picklable. ``index`` is a file of ``OverlapIndex.save``."""

    signals: Sequence[str]
    index: str
    rules: RuleSet
    rights: Rights
    identification: IdentificationSettings


@dataclass(slots=True)
class DecisionCounts:
    """Counts of decisions as they are written; independent of ranges and workers."""

    documents: int = 0
    passing: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    first: Counter[str] = field(default_factory=Counter)
    removed_lines: int = 0
    unmeasured: Counter[str] = field(default_factory=Counter)
    overlaps: OverlapCounts = field(default_factory=OverlapCounts)

    def add(self, rows: pl.DataFrame, unmeasured: Mapping[str, int]) -> None:
        """Count one range."""
        self.documents += rows.height
        self.passing += int(rows["passes_rules"].sum())
        self.failed.update(rows["failed_rules"].explode().drop_nulls().to_list())
        self.first.update(rows["first_failed"].drop_nulls().to_list())
        self.removed_lines += int(rows["removed_lines"].list.len().sum())
        self.unmeasured.update(unmeasured)
        for overlap in rows["overlap"].filter(rows["overlap"].list.len() > 0).to_list():
            self.overlaps.add(Overlap(**span) for span in overlap)


@lru_cache(maxsize=1)
def load_index(path: str) -> OverlapIndex:
    """The benchmark index of a build, once per process."""
    return OverlapIndex.load(Path(path))


def decide_shard(shard: list[Any], output: Path, run: DecisionRun) -> None:
    """Decide on the rows ``[file, start, rows]`` of a documents file; writes one Parquet file in order of document id.

    Raises:
        WebCorpusError: a document has no signals, or they were measured on another text; see also ``decide``.
    """
    path, start, rows = shard
    of_signals, of_documents = columns_by_table(run.rules, run.rights)
    documents = pl.scan_parquet(path, glob=False).with_columns(target_language=target_language(run.identification))
    known = set(documents.collect_schema().names())
    chosen = documents.select("document_id", "text", *(name for name in of_documents if name in known)).slice(start, rows).collect()
    bounds = chosen["document_id"].min(), chosen["document_id"].max()
    measured = read_signals([Path(name) for name in run.signals], [*of_signals, "text_sha256"], (str(bounds[0]), str(bounds[1])))
    every_has(chosen, measured, "signals")
    joined = chosen.join(measured, on="document_id", how="inner", validate="1:1").sort("document_id")
    _measured_on_this_text(joined)
    decided, unmeasured = decide(joined, run.rules, load_index(run.index), run.rights, run.identification.model_family)
    table = pa.Table.from_pylist(decided, schema=DECISIONS.schema)
    for name in MEASURES:
        table = table.append_column(name, joined[name].to_arrow())
    pq.write_table(table.replace_schema_metadata({_UNMEASURED: json.dumps(dict(unmeasured))}), output, compression="zstd")


def read_decided(path: Path) -> tuple[pl.DataFrame, Mapping[str, int]]:
    """What ``decide_shard`` wrote: rows of ``DECISIONS`` with ``MEASURES``, and in how many of them each rule had nothing to judge."""
    return pl.read_parquet(path, glob=False), json.loads((pq.read_schema(path).metadata or {})[_UNMEASURED])


def every_has(documents: pl.DataFrame, others: pl.DataFrame, asset: str) -> None:
    """See that every document has its row in what was made of documents.

    Raises:
        WebCorpusError: some have none, because documents were made anew since.
    """
    lost = documents.join(others, on="document_id", how="anti").height
    if lost:
        raise WebCorpusError(
            f"{lost} of {documents.height} documents have no row in {asset}, which is older than documents; materialize {asset} again"
        )


def _measured_on_this_text(rows: pl.DataFrame) -> None:
    for key, text, measured in rows.select("document_id", "text", "text_sha256").iter_rows():
        if hashlib.sha256(text.encode()).hexdigest() != measured:
            raise WebCorpusError(f"document {key}: its signals were measured on another text; materialize signals again")


def decide(
    rows: pl.DataFrame, rules: RuleSet, index: OverlapIndex, rights: Rights, identification: str | None = None
) -> tuple[list[dict[str, Any]], Mapping[str, int]]:
    """Decisions for rows that hold text and what ``judging.columns_for`` names; and in how many rows a rule had nothing to judge.

    Raises:
        WebCorpusError: a rights column is missing, or a rule reads a score that no row has.
    """
    judgement = judge(rows, rules, rights, identification)
    names = [name for name in DECISIONS.schema.names if name != "overlap"]
    decided = []
    for text, row in zip(rows["text"], judgement.rows.select(names).iter_rows(named=True), strict=True):
        left = without_lines(text, row["removed_lines"])
        decided.append({**row, "overlap": [overlap._asdict() for overlap in index.find(left)]})
    return decided, judgement.unmeasured


def without_lines(text: str, removed: Sequence[int]) -> str:
    """The text without the lines of these indices, nor blank ones at its two ends where a line is removed at all."""
    if not removed:
        return text
    gone = set(removed)
    lines = [line for index, line in enumerate(text.split("\n")) if index not in gone]
    filled = [index for index, line in enumerate(lines) if line.strip()]
    return "\n".join(lines[filled[0] : filled[-1] + 1]) if filled else ""


def without_spans(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """The text without stretches given in characters; each leaves a line end, so that its sides never read as one sentence."""
    parts, position = [], 0
    for start, end in sorted(spans):
        if start > position:
            parts.append(text[position:start].strip())
        position = max(position, end)
    parts.append(text[position:].strip())
    return "\n".join(part for part in parts if part)
