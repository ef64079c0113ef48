"""The table that replay and evaluation texts share: documents with source and licence, outside the target corpus."""

from __future__ import annotations

import hashlib

import pyarrow as pa

from foundation.store import TableSpec

_SCHEMA = pa.schema(
    [
        ("document_id", pa.string()),
        ("source", pa.string()),
        ("url", pa.string()),
        ("licence", pa.string()),
        ("text", pa.string()),
        ("characters", pa.int64()),
    ]
)

REPLAY_TEXT = TableSpec(
    "text",
    _SCHEMA,
    key=("document_id",),
    splits=("train", "validation"),
    description="Source-language pages of the snapshots; splits never share a registered domain.",
)
EVALUATION_TEXT = TableSpec(
    "text",
    _SCHEMA,
    key=("document_id",),
    splits=("target", "source"),
    description="Text of sources never trained on, in the target and in the source language.",
)


def row(source: str, url: str, licence: str | None, text: str) -> dict[str, object]:
    """One row; the id depends on source, address and text alone."""
    key = hashlib.sha256("\x00".join((source, url, text)).encode()).hexdigest()[:32]
    return {"document_id": key, "source": source, "url": url, "licence": licence, "text": text, "characters": len(text)}


def cut_at_line(text: str, characters: int) -> str:
    """The text up to the last line end before ``characters``; at the last space where it has no line end there."""
    if len(text) <= characters:
        return text
    head = text[:characters]
    place = max(head.rfind("\n"), 0) or max(head.rfind(" "), 0) or characters
    return head[:place].rstrip()
