"""Documents: every page that may be in the target language, with provenance and rights; nothing is judged here.

Belongs here: the tables and how a row is made. How pages are reached belongs to ``harvest``, how rows come together to
``merging``.
"""

from __future__ import annotations

import bisect
import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from corpus.web.domains import registered_domain
from corpus.web.extraction import Extracted
from corpus.web.ready.files import ReadyRow
from corpus.web.warc.reading import PlainText, Response
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
            ("warc_truncated", pa.string()),
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
            ("tdm_policy", pa.string()),
            ("noai", pa.bool_()),
            ("noimageai", pa.bool_()),
            ("robots_directives", pa.list_(pa.string())),
            ("robots_disallowed", pa.list_(pa.string())),
            ("text", pa.string()),
            ("characters", pa.int64()),
        ]
    ),
    key=("document_id",),
    decimals={"language_score": 4},
    description="Pages that may be in the target language: `language` is the best label of the extracted text, "
    "`language_score` the score of the target language. The WARC columns and the rights are null where a ready corpus gave the "
    "text, and what a page's own HTML says where a WET file did.",
)
SKIPPED = TableSpec(
    "skipped",
    pa.schema(
        [
            ("reason", pa.string()),
            ("language", pa.string()),
            ("path", pa.string()),
            ("pages", pa.int64()),
            ("examples", pa.list_(pa.string())),
        ]
    ),
    key=("reason", "language", "path"),
    description="Records that never became documents, counted by reason, language (where it decided) and file; the first few "
    "addresses as examples, of damage the places in the file.",
)
EXAMPLES_KEPT = 3
REMARKS = ("rubbish", "not_a_record", "damaged_end", "bad_time")
"""Reasons in ``skipped`` that cost no record: bytes between records, gzip members of something else or whose end alone is
damaged, rows whose time cannot be read."""
NO_RECORDS = "no_records"
"""A file without a single record: empty, or no archive at all. How many it should have had is not known."""


@dataclass
class SkippedPages:
    """Counts of one file, with the first few examples of each reason, in order of their text."""

    path: str
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def add(self, reason: str, language: str = "", example: str = "", pages: int = 1) -> None:
        """Count pages, or stretches of a file where no page is known to be lost."""
        key = (reason, language)
        self.counts[key] += pages
        kept = self.examples.setdefault(key, [])
        if example and (len(kept) < EXAMPLES_KEPT or example < kept[-1]):  # the smallest: whatever is counted together, they are the same
            bisect.insort(kept, example)
            del kept[EXAMPLES_KEPT:]

    def rows(self) -> list[dict[str, Any]]:
        """Rows of the table, in its order."""
        return [
            {"reason": key[0], "language": key[1], "path": self.path, "pages": pages, "examples": self.examples[key]}
            for key, pages in sorted(self.counts.items())
        ]


def document_id(snapshot: str, url: str, fetch_time: str, content_digest: str) -> str:
    """The first 32 hex digits of sha256 over snapshot, URL, capture time and payload digest (or sha256 of the text)."""
    return hashlib.sha256("\x00".join((snapshot, url, fetch_time, content_digest)).encode()).hexdigest()[:32]


def document_row(snapshot: str, label: str, record: Response | PlainText | ReadyRow, page: Extracted, path: str) -> dict[str, Any]:
    """A row of the table out of a record of the file ``path``.

    Of a page that states nothing itself ``tdm_reservation`` is null; what its host states is added when rows are merged.
    """
    fetched = record.fetched_at
    url = record.url or ""
    archived = None if isinstance(record, ReadyRow) else record
    digest = (archived.payload_digest if archived else None) or hashlib.sha256(page.text.encode()).hexdigest()
    rights = page.rights
    return {
        "document_id": document_id(snapshot, url, fetched.isoformat() if fetched else "", digest),
        "snapshot": snapshot,
        "url": record.url,
        "registered_domain": registered_domain(url),
        "fetch_time": fetched,
        "warc_path": path if archived else None,
        "warc_offset": archived.offset if archived else None,
        "warc_length": archived.length if archived else None,
        "warc_record_id": archived.record_id if archived else None,
        "warc_truncated": archived.truncated if isinstance(archived, Response) else None,
        "payload_digest": archived.payload_digest if archived else None,
        "http_language": page.http_language,
        "html_language": page.html_language,
        "charset": page.charset,
        "extractor": page.extractor,
        "extractor_version": page.extractor_version,
        "languages": [{"label": name, "score": round(score, 4)} for name, score in page.languages],
        "language": page.languages[0].label if page.languages else "",
        "language_score": page.score(label),
        "licence": rights.licence if rights else None,
        "tdm_reservation": rights.tdm_stated if rights else None,
        "tdm_policy": rights.tdm_policy if rights else None,
        "noai": rights.noai if rights else None,
        "noimageai": rights.noimageai if rights else None,
        "robots_directives": list(rights.directives) if rights else None,
        "robots_disallowed": None,
        "text": page.text,
        "characters": len(page.text),
    }
