"""Decisions: what the rules say of each document of one snapshot, and what it shares with benchmarks.

Everything here depends on this snapshot, the rules and the benchmark items alone, so that new thresholds are tried in
seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import polars as pl
import pyarrow as pa

from corpus.web.errors import WebCorpusError
from corpus.web.rules import DERIVED, RIGHTS_RULES, RuleSet, failed_rights
from corpus.web.signals import COUNTS, FLAGS, SHARES
from foundation.language.overlap import OverlapIndex
from foundation.store import TableSpec

OVERLAP_TYPE = pa.list_(pa.struct([("benchmark", pa.string()), ("start", pa.int64()), ("end", pa.int64())]))

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


RIGHTS_COLUMNS = tuple(rule.column for rule in RIGHTS_RULES)
"""Columns of documents that ``rights: general`` judges by."""


def decide(
    rows: pl.DataFrame, rules: RuleSet, index: OverlapIndex, rights: Literal["general", "research"]
) -> Iterator[dict[str, Any]]:
    """Decisions for rows that hold document_id, text, language_score, the signals and, for ``general``, the rights columns.

    Raises:
        WebCorpusError: a rights column is missing; a missing column is no permission.
    """
    missing = [name for name in RIGHTS_COLUMNS if rights == "general" and name not in rows.columns]
    if missing:
        raise WebCorpusError(f"documents have no columns {missing}, which `rights: general` judges by; materialize documents again")
    names = [*COUNTS, *SHARES, *FLAGS]
    for row in rows.iter_rows(named=True):
        removed = rules.removed_lines([line["flags"] for line in row["line_signals"]])
        left = without_lines(row["text"], removed)
        values = {name: row[name] for name in names}
        values |= dict(zip(DERIVED, (row["language_score"], len(left), len(left.split("\n"))), strict=True))
        failed = [*(failed_rights(row) if rights == "general" else ()), *rules.failed(values)]
        yield {
            "document_id": row["document_id"],
            "passes_rules": not failed,
            "first_failed": failed[0] if failed else None,
            "failed_rules": failed,
            "removed_lines": removed,
            "kept_characters": len(left),
            "overlap": [overlap._asdict() for overlap in index.find(left)],
        }


def without_lines(text: str, removed: Sequence[int]) -> str:
    """The text without the lines of these indices."""
    if not removed:
        return text
    gone = set(removed)
    return "\n".join(line for index, line in enumerate(text.split("\n")) if index not in gone).strip()


def without_spans(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """The text without stretches given in characters; each leaves a line end, so that its sides never read as one sentence."""
    parts, position = [], 0
    for start, end in sorted(spans):
        if start > position:
            parts.append(text[position:start].strip())
        position = max(position, end)
    parts.append(text[position:].strip())
    return "\n".join(part for part in parts if part)
