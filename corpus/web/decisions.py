"""Decisions: what the rules say of each document of one snapshot, and what it shares with benchmarks.

Everything here depends on this snapshot, the rules and the benchmark items alone. What needs no text is in ``judging``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
import pyarrow as pa

from corpus.web.judging import Rights, judge
from corpus.web.rules import RuleSet
from foundation.language.overlap import OverlapIndex
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
