"""The clean corpus: which documents are published, with what text, and a ledger of all documents with the reasons.

Order of operations: rules and line removal, benchmark overlap on what is left, the representative of each cluster,
drop or cut, personal data last, split by registered domain. Belongs here: the tables, and finishing one range of documents;
what needs all of them at once is ``clean_tables``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from corpus.web.decisions import OVERLAP_TYPE, every_has, without_lines, without_spans
from corpus.web.errors import WebCorpusError
from corpus.web.personal_data import replace_personal_data, surrogates_of
from corpus.web.personal_kinds import KINDS
from corpus.web.settings import CleanSettings
from corpus.web.surrogates import Surrogates
from foundation.language.words import WordTokenizer, load_tokenizer
from foundation.store import TableSpec

_COUNTS = pa.struct([(kind, pa.int32()) for kind in KINDS])

TEXT = TableSpec(
    "text",
    pa.schema(
        [
            ("document_id", pa.string()),
            ("snapshot", pa.string()),
            ("url", pa.string()),
            ("registered_domain", pa.string()),
            ("licence", pa.string()),
            ("text", pa.string()),
            ("characters", pa.int64()),
            ("words", pa.int64()),
            ("cluster_size", pa.int64()),
            ("repetitions", pa.int64()),
            ("personal_data", _COUNTS),
        ]
    ),
    key=("document_id",),
    splits=("train", "validation"),
    description="The published documents; splits never share a registered domain. `repetitions` is how often the profile wants a document "
    "trained on, by the size of its cluster.",
)
LEDGER = TableSpec(
    "ledger",
    pa.schema(
        [
            ("document_id", pa.string()),
            ("snapshot", pa.string()),
            ("url", pa.string()),
            ("registered_domain", pa.string()),
            ("kept", pa.bool_()),
            ("reason", pa.string()),
            ("failed_rules", pa.list_(pa.string())),
            ("benchmarks", pa.list_(pa.string())),
            ("cluster_id", pa.string()),
            ("cluster_size", pa.int64()),
            ("characters", pa.int64()),
            ("kept_characters", pa.int64()),
            ("text_sha256", pa.string()),
            ("dropped_text_sha256", pa.string()),
            ("dropped_text", pa.string()),
        ]
    ),
    key=("document_id",),
    description="Every document: published or not, and why. `text_sha256` is that of the published text; what is kept of a dropped "
    "document's extracted text is `retain_dropped_text`'s choice, and its `dropped_text` has its personal data replaced.",
)
FINISHED = pa.schema(
    [
        *(LEDGER.schema.field(name) for name in LEDGER.schema.names if name != "kept"),
        ("licence", pa.string()),
        ("language", pa.string()),
        ("text", pa.string()),
        ("words", pa.int64()),
        ("personal_data", _COUNTS),
        ("overlap", OVERLAP_TYPE),
        ("extracted_sha256", pa.string()),
    ]
)
"""Rows of a finished range: the ledger's and the text's columns; ``text`` is null where a document is dropped. ``overlap`` is
filled for documents that only the benchmarks could keep out; ``extracted_sha256`` where a text is published, unless an equal one is."""

DOCUMENT_COLUMNS = ("document_id", "snapshot", "url", "registered_domain", "licence", "language", "text", "characters")
DECISION_COLUMNS = ("document_id", "passes_rules", "first_failed", "failed_rules", "removed_lines", "kept_characters", "overlap")
CLUSTER_COLUMNS = ("document_id", "cluster_id", "cluster_size")
"""What is read of each; columns that follow from a cluster's size are computed of it in ``clean_tables``."""
ROW_GROUP_ROWS = 500
"""Rows of a row group of finished ranges: ranges of several snapshots are merged by reading a few groups of each."""


@dataclass(frozen=True)
class CleanRun:
    """What finishing reads, as paths, and how; travels to workers, so that no secret is in it.

    ``representatives`` is a file of ids, those of clusters of several documents; ``secret`` is the hash of the secret that
    surrogates are keyed by.
    """

    decisions: Mapping[str, Sequence[str]]
    clusters: Sequence[str]
    representatives: str
    settings: CleanSettings
    tokenizer: str
    secret: str | None


def finish_shard(shard: list[Any], output: Path, run: CleanRun) -> None:
    """Finish the rows ``[snapshot, file, start, rows]`` of a documents file into one Parquet file, in order of document id.

    Raises:
        WebCorpusError: a document has no decision or no cluster, or a decision was taken on another text; the worker's secret
            is not the build's.
    """
    snapshot, path, start, rows = shard
    documents = pl.scan_parquet(path).select(DOCUMENT_COLUMNS).slice(start, rows).collect()
    ids = documents["document_id"]
    between = pl.col("document_id").is_between(pl.lit(ids.min(), pl.String), pl.lit(ids.max(), pl.String))
    decisions = pl.scan_parquet(list(run.decisions[snapshot])).filter(between).select(DECISION_COLUMNS).collect()
    clusters = pl.scan_parquet(list(run.clusters)).filter(between).select(CLUSTER_COLUMNS).collect()
    representatives = set(pl.scan_parquet(run.representatives).filter(between).collect()["document_id"])
    surrogates = surrogates_of(run.settings.personal_data, expected=run.secret)
    finished = finish(documents, decisions, clusters, representatives, run.settings, load_tokenizer(run.tokenizer), surrogates)
    pq.write_table(pa.Table.from_pylist(finished, schema=FINISHED), output, compression="zstd", row_group_size=ROW_GROUP_ROWS)


def finish(
    documents: pl.DataFrame,
    decisions: pl.DataFrame,
    clusters: pl.DataFrame,
    representatives: set[str],
    settings: CleanSettings,
    tokenizer: WordTokenizer,
    surrogates: Surrogates | None = None,
) -> list[dict[str, Any]]:
    """``FINISHED`` rows of documents, in order of document id.

    Args:
        documents: ``DOCUMENT_COLUMNS``.
        decisions: ``DECISION_COLUMNS``, also of other documents.
        clusters: ``CLUSTER_COLUMNS``, also of other documents.
        representatives: of clusters with several documents, those that stand for them.
        settings: what is cut and replaced.
        tokenizer: counts words.
        surrogates: what replaces personal data under ``mode: surrogates``.

    Raises:
        WebCorpusError: a document has no decision or no cluster, or a decision was taken on another text.
    """
    every_has(documents, decisions, "decisions")
    every_has(documents, clusters, "duplicate_clusters")
    frame = (
        documents.join(decisions, on="document_id", how="inner", validate="1:1")
        .join(clusters, on="document_id", how="inner", validate="1:1")
        .sort("document_id")
    )
    return [_finished(row, representatives, settings, tokenizer, surrogates) for row in frame.iter_rows(named=True)]


def _finished(
    row: Mapping[str, Any], representatives: set[str], settings: CleanSettings, tokenizer: WordTokenizer, surrogates: Surrogates | None
) -> dict[str, Any]:
    reason, text, counts = _reason(row, representatives), None, dict.fromkeys(KINDS, 0)
    judged = reason is None
    if judged and row["overlap"] and settings.overlap == "drop":
        reason = "benchmark_overlap"
    if reason is None:
        text, counts = replace_personal_data(_what_is_left(row), settings.personal_data, surrogates)
        if not text.strip():
            reason, text = "nothing_left", None
    return {
        **{name: row[name] for name in FINISHED.names if name in row and name != "text"},
        "reason": reason,
        "benchmarks": sorted({overlap["benchmark"] for overlap in row["overlap"] or ()}),
        "overlap": row["overlap"] if judged else [],
        "kept_characters": len(text) if text is not None else 0,
        "text_sha256": sha256(text) if text is not None else None,
        "text": text,
        "words": len(tokenizer(text)) if text is not None else 0,
        "personal_data": counts,
        "extracted_sha256": sha256(row["text"]) if text is not None else None,
        **retained(row["text"] if text is None else None, settings, surrogates),
    }


def retained(text: str | None, settings: CleanSettings, surrogates: Surrogates | None) -> dict[str, str | None]:
    """What the ledger keeps of a dropped document's extracted text."""
    found: dict[str, str | None] = {"dropped_text_sha256": None, "dropped_text": None}
    if text is not None and settings.retain_dropped_text != "none":
        found["dropped_text_sha256"] = sha256(text)
        if settings.retain_dropped_text == "all":
            found["dropped_text"] = replace_personal_data(text, settings.personal_data, surrogates).text
    return found


def _reason(row: Mapping[str, Any], representatives: set[str]) -> str | None:
    """Why a document is not published, as far as rules and clusters say."""
    if not row["passes_rules"]:
        return str(row["first_failed"])
    if row["cluster_size"] > 1 and row["document_id"] not in representatives:
        return "duplicate"
    return None


def _what_is_left(row: Mapping[str, Any]) -> str:
    """The text without removed lines and without what it shares with benchmarks."""
    text = without_lines(row["text"], row["removed_lines"])
    if len(text) != row["kept_characters"]:
        raise WebCorpusError(
            f"document {row['document_id']}: {len(text)} characters are left of its text, and its decision says "
            f"{row['kept_characters']}; decisions were taken on another text: materialize signals and decisions again"
        )
    return without_spans(text, [(span["start"], span["end"]) for span in row["overlap"]]) if row["overlap"] else text


def sha256(text: str) -> str:
    """Hex sha256 of a text's UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()
