"""The clean corpus: which documents are published, with what text, and a ledger of all documents with the reasons.

Order of operations: rules and line removal, benchmark overlap on what is left, the representative of each cluster,
drop or cut, personal data last, split by registered domain.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from corpus.web.decisions import without_lines, without_spans
from corpus.web.domains import splits_of
from corpus.web.errors import WebCorpusError
from corpus.web.personal_data import KINDS, replace_personal_data
from corpus.web.settings import CleanSettings
from foundation.language.words import WordTokenizer
from foundation.store import TableSpec

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
            ("personal_data", pa.struct([(kind, pa.int32()) for kind in KINDS])),
        ]
    ),
    key=("document_id",),
    splits=("train", "validation"),
    description="The published documents; splits never share a registered domain.",
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
            ("cluster_id", pa.string()),
            ("cluster_size", pa.int64()),
            ("characters", pa.int64()),
            ("kept_characters", pa.int64()),
            ("text_sha256", pa.string()),
        ]
    ),
    key=("document_id",),
    description="Every document: published or not, and why. `text_sha256` is that of the published text.",
)


@dataclass(frozen=True)
class CleanCorpus:
    """Published rows by split, the ledger, and how much was cut."""

    text: Mapping[str, pl.DataFrame]
    ledger: pl.DataFrame
    personal_data: Mapping[str, int]
    cut_documents: int


@dataclass(frozen=True)
class _Finished:
    text: str
    counts: Mapping[str, int]


def assemble(
    documents: pl.DataFrame,
    decisions: pl.DataFrame,
    clusters: pl.DataFrame,
    settings: CleanSettings,
    tokenizer: WordTokenizer,
    seed: int,
) -> CleanCorpus:
    """Put the clean corpus together from the documents, decisions and clusters of all snapshots.

    Raises:
        WebCorpusError: a document has no decision or no cluster, or a decision was taken on another text.
    """
    every_has(documents, decisions, "decisions")
    every_has(documents, clusters, "duplicate_clusters")
    frame = (
        documents.join(decisions, on="document_id", how="inner", validate="1:1")
        .join(clusters.drop("snapshot"), on="document_id", how="inner", validate="1:1")
        .sort("document_id")
    )
    representatives = _representatives(frame)
    reasons: dict[str, str] = {}
    finished: dict[str, _Finished] = {}
    seen: set[str] = set()
    cut = 0
    columns = ["document_id", "cluster_id", "passes_rules", "first_failed", "removed_lines", "kept_characters", "overlap", "text"]
    for row in frame.select(columns).iter_rows(named=True):
        reason = _reason(row, representatives, settings)
        if reason is None:
            cut += bool(row["overlap"])
            result = _finish(row, settings)
            reason = _late_reason(result.text, seen)
            if reason is None:
                finished[row["document_id"]] = result
        if reason is not None:
            reasons[row["document_id"]] = reason
    totals = {kind: sum(result.counts[kind] for result in finished.values()) for kind in KINDS}
    text = _text(frame, finished, tokenizer)
    splits = splits_of(text["registered_domain"], settings.validation_share, seed)
    by_split = {
        name: text.filter(pl.col("registered_domain").is_in([domain for domain, split in splits.items() if split == name]))
        for name in TEXT.splits
    }
    return CleanCorpus(by_split, _ledger(frame, finished, reasons), totals, cut)


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


def _representatives(frame: pl.DataFrame) -> set[str]:
    """Of each cluster, the passing document with the most text left; the smallest id among equals."""
    passing = frame.filter("passes_rules").sort(["kept_characters", "document_id"], descending=[True, False])
    return set(passing.unique("cluster_id", keep="first", maintain_order=True)["document_id"])


def _reason(row: Mapping[str, object], representatives: set[str], settings: CleanSettings) -> str | None:
    """Why a document is not published, as far as decisions and clusters say."""
    if not row["passes_rules"]:
        return str(row["first_failed"])
    if row["document_id"] not in representatives:
        return "duplicate"
    if row["overlap"] and settings.overlap == "drop":
        return "benchmark_overlap"
    return None


def _finish(row: Mapping[str, object], settings: CleanSettings) -> _Finished:
    text = without_lines(str(row["text"]), row["removed_lines"])  # type: ignore[arg-type]
    if len(text) != row["kept_characters"]:
        raise WebCorpusError(
            f"document {row['document_id']}: {len(text)} characters are left of its text, and its decision says "
            f"{row['kept_characters']}; decisions were taken on another text: materialize signals and decisions again"
        )
    overlap = row["overlap"]
    if isinstance(overlap, list) and overlap:
        text = without_spans(text, [(span["start"], span["end"]) for span in overlap])
    cleaned = replace_personal_data(text, settings.personal_data)
    return _Finished(cleaned.text, cleaned.counts)


def _late_reason(text: str, seen: set[str]) -> str | None:
    """Texts can become empty by cutting, and equal by what was removed from them; the smaller id stays then."""
    if not text.strip():
        return "nothing_left"
    digest = _sha256(text)
    if digest in seen:
        return "same_text"
    seen.add(digest)
    return None


def _text(frame: pl.DataFrame, finished: Mapping[str, _Finished], tokenizer: WordTokenizer) -> pl.DataFrame:
    ids = list(finished)
    texts = [finished[key].text for key in ids]
    rows = pl.DataFrame(
        {
            "document_id": ids,
            "text": texts,
            "characters": [len(text) for text in texts],
            "words": [len(tokenizer(text)) for text in texts],
            "personal_data": [dict(finished[key].counts) for key in ids],
        },
        schema={
            "document_id": pl.String,
            "text": pl.String,
            "characters": pl.Int64,
            "words": pl.Int64,
            "personal_data": pl.Struct(dict.fromkeys(KINDS, pl.Int32)),
        },
    )
    known = frame.select("document_id", "snapshot", "url", "registered_domain", "licence", "cluster_size")
    return rows.join(known, on="document_id", how="left").select(TEXT.schema.names).sort("document_id")


def _ledger(frame: pl.DataFrame, finished: Mapping[str, _Finished], reasons: Mapping[str, str]) -> pl.DataFrame:
    ids = frame["document_id"].to_list()
    return frame.select(
        "document_id",
        "snapshot",
        "url",
        "registered_domain",
        pl.Series("kept", [key in finished for key in ids], dtype=pl.Boolean),
        pl.Series("reason", [reasons.get(key) for key in ids], dtype=pl.String),
        "failed_rules",
        "cluster_id",
        "cluster_size",
        "characters",
        pl.Series("kept_characters", [len(finished[key].text) if key in finished else 0 for key in ids], dtype=pl.Int64),
        pl.Series("text_sha256", [_sha256(finished[key].text) if key in finished else None for key in ids], dtype=pl.String),
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
