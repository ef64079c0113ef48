"""Documents: every page that may be in the target language, with provenance and rights; nothing is judged here.

One shard is one WARC file. Pages that never became candidates are counted by reason.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from corpus.web.domains import registered_domain
from corpus.web.extraction import EXTRACTOR, Extracted, PageExtractor, Skip, extractor_version
from corpus.web.settings import DocumentSettings
from corpus.web.warc_reading import Damage, OtherRecord, Response, read_responses
from foundation.language.identification import load_identifier
from foundation.store import TableSpec

SCORES_TYPE = pa.list_(pa.struct([("label", pa.string()), ("score", pa.float32())]))

DOCUMENTS = TableSpec(
    "documents",
    pa.schema(
        [
            ("document_id", pa.string()),
            ("snapshot", pa.string()),
            ("url", pa.string()),
            ("registered_domain", pa.string()),
            ("fetch_time", pa.timestamp("us", tz="UTC")),
            ("warc_path", pa.string()),
            ("warc_offset", pa.int64()),
            ("warc_length", pa.int64()),
            ("warc_record_id", pa.string()),
            ("payload_digest", pa.string()),
            ("http_language", pa.string()),
            ("html_language", pa.string()),
            ("charset", pa.string()),
            ("extractor", pa.string()),
            ("extractor_version", pa.string()),
            ("languages", SCORES_TYPE),
            ("language", pa.string()),
            ("language_score", pa.float64()),
            ("licence", pa.string()),
            ("tdm_reservation", pa.bool_()),
            ("noai", pa.bool_()),
            ("text", pa.string()),
            ("characters", pa.int64()),
        ]
    ),
    key=("document_id",),
    decimals={"language_score": 4},
    description="Pages that may be in the target language: `language` is the best label of the extracted text, "
    "`language_score` the score of the target language.",
)
SKIPPED = TableSpec(
    "skipped",
    pa.schema(
        [
            ("reason", pa.string()),
            ("language", pa.string()),
            ("warc_path", pa.string()),
            ("pages", pa.int64()),
            ("examples", pa.list_(pa.string())),
        ]
    ),
    key=("reason", "language", "warc_path"),
    description="Records that never became documents, counted by reason, language (where it decided) and WARC file; "
    "the first few addresses as examples.",
)
EXAMPLES_KEPT = 3


@dataclass(frozen=True)
class DocumentRun:
    """What a shard of extraction needs besides its WARC path; picklable."""

    snapshot: str
    root: str
    model: str
    label: str
    settings: DocumentSettings


@dataclass
class _Skipped:
    """Counts of one WARC file."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def add(self, reason: str, language: str = "", url: str = "") -> None:
        key = (reason, language)
        self.counts[key] += 1
        kept = self.examples.setdefault(key, [])
        if url and len(kept) < EXAMPLES_KEPT:
            kept.append(url)

    def rows(self, warc_path: str) -> list[dict[str, Any]]:
        return [
            {"reason": key[0], "language": key[1], "warc_path": warc_path, "pages": pages, "examples": self.examples[key]}
            for key, pages in sorted(self.counts.items())
        ]


def document_id(snapshot: str, url: str, fetch_time: str, content_digest: str) -> str:
    """The first 32 hex digits of sha256 over snapshot, URL, capture time and payload digest (or sha256 of the text)."""
    return hashlib.sha256("\x00".join((snapshot, url, fetch_time, content_digest)).encode()).hexdigest()[:32]


def extract_warc(warc_path: str, output: Path, run: DocumentRun) -> None:
    """Extract one WARC file into the folder ``output``: documents.parquet and skipped.parquet."""
    extractor = PageExtractor(run.settings, load_identifier(Path(run.model)), run.label)
    rows: list[dict[str, Any]] = []
    skipped = _Skipped()
    for record in read_responses(Path(run.root) / warc_path):
        if isinstance(record, Damage):
            skipped.add(record.reason)
        elif isinstance(record, OtherRecord):
            skipped.add("not_a_response")
        else:
            page = extractor.extract(record)
            if isinstance(page, Skip):
                skipped.add(page.reason, page.language, record.url)
            else:
                rows.append(_row(record, page, warc_path, run))
    output.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=DOCUMENTS.schema), output / "documents.parquet", compression="zstd")
    pq.write_table(pa.Table.from_pylist(skipped.rows(warc_path), schema=SKIPPED.schema), output / "skipped.parquet")


def merge_shards(folders: Sequence[Path]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Documents and skipped counts of all shards in WARC order; of equal ids the first stays, the rest are counted."""
    documents = pl.concat([pl.read_parquet(folder / "documents.parquet") for folder in folders])
    skipped = pl.concat([pl.read_parquet(folder / "skipped.parquet") for folder in folders])
    first = pl.col("document_id").is_first_distinct()
    copies = (
        documents.filter(~first)
        .group_by("warc_path", maintain_order=True)
        .agg(pl.len().cast(pl.Int64).alias("pages"), pl.col("url").head(EXAMPLES_KEPT).alias("examples"))
        .select(
            pl.lit("exact_copy").alias("reason"), pl.lit("").alias("language"), pl.col("warc_path"), pl.col("pages"), pl.col("examples")
        )
    )
    return documents.filter(first).sort("document_id"), pl.concat([skipped, copies]).sort("reason", "language", "warc_path")


def _row(record: Response, page: Extracted, warc_path: str, run: DocumentRun) -> dict[str, Any]:
    fetched = record.fetched_at
    digest = record.payload_digest or hashlib.sha256(page.text.encode()).hexdigest()
    return {
        "document_id": document_id(run.snapshot, record.url, fetched.isoformat() if fetched else "", digest),
        "snapshot": run.snapshot,
        "url": record.url,
        "registered_domain": registered_domain(record.url),
        "fetch_time": fetched,
        "warc_path": warc_path,
        "warc_offset": record.offset,
        "warc_length": record.length,
        "warc_record_id": record.record_id,
        "payload_digest": record.payload_digest,
        "http_language": page.http_language,
        "html_language": page.html_language,
        "charset": page.charset,
        "extractor": EXTRACTOR,
        "extractor_version": extractor_version(),
        "languages": [{"label": label, "score": round(score, 4)} for label, score in page.languages],
        "language": page.languages[0].label if page.languages else "",
        "language_score": page.score(run.label),
        "licence": page.rights.licence,
        "tdm_reservation": page.rights.tdm_reservation,
        "noai": page.rights.noai,
        "text": page.text,
        "characters": len(page.text),
    }
