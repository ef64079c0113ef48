"""Replay text: pages of the snapshots in the source language, extracted as documents are."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl

from corpus.web.domains import registered_domain, splits_of
from corpus.web.extraction import Extracted, PageExtractor
from corpus.web.plain_text import REPLAY_TEXT, row
from corpus.web.settings import ReplaySettings
from corpus.web.snapshot import warc_files
from corpus.web.warc_reading import Response, read_responses
from corpus.web.warc_writing import read_index

INDEXED_DRAWS = 3
"""Pages looked at for each page wanted, where the index says their language."""
UNKNOWN_DRAWS = 10
"""The same without an index; these pages are in memory at once."""


def replay_rows(
    roots: Mapping[str, Path], extractor: PageExtractor, settings: ReplaySettings, seed: int
) -> tuple[Mapping[str, pl.DataFrame], Mapping[str, int]]:
    """Rows by split, and counts of what was looked at and left out.

    Args:
        roots: the crawl's root of each snapshot.
        extractor: set to the source language.
        settings: how many pages, and how good.
        seed: the profile's seed, for the split.
    """
    counts = {"looked_at": 0, "not_extracted": 0, "short": 0, "other_language": 0, "same_text": 0}
    rows: list[dict[str, object]] = []
    seen: set[str] = set()
    for snapshot, root in roots.items():
        if len(rows) >= settings.documents:
            break
        for response in _candidates(root, settings):
            if len(rows) >= settings.documents:
                break
            counts["looked_at"] += 1
            page = extractor.extract(response)
            reason = _unfit(page, extractor.label, settings, seen)
            if reason is not None or not isinstance(page, Extracted):
                counts[reason or "not_extracted"] += 1
                continue
            seen.add(page.text)
            rows.append(row(snapshot, response.url, page.rights.licence, page.text))
    domains = {str(entry["url"]): registered_domain(str(entry["url"])) for entry in rows}
    chosen = splits_of(domains.values(), settings.validation_share, seed)
    splits: dict[str, list[dict[str, object]]] = {name: [] for name in REPLAY_TEXT.splits}
    for entry in rows:
        splits[chosen[domains[str(entry["url"])]]].append(entry)
    schema = pl.DataFrame(REPLAY_TEXT.schema.empty_table()).schema
    return {name: pl.DataFrame(found, schema=schema).sort("document_id") for name, found in splits.items()}, counts


def _unfit(page: object, label: str, settings: ReplaySettings, seen: set[str]) -> str | None:
    if not isinstance(page, Extracted):
        return "not_extracted"
    if len(page.text) < settings.min_characters:
        return "short"
    if page.score(label) < settings.min_language_score:
        return "other_language"
    return "same_text" if page.text in seen else None


def _candidates(root: Path, settings: ReplaySettings) -> Iterator[Response]:
    """Responses in an order drawn by a hash of their URLs: those that the index names, or all where there is no index."""
    paths = {path.relative_to(root).as_posix(): path for path in warc_files(root)}
    wanted: dict[str, set[int]] = {}
    indexed = (entry for entry in read_index(root, settings.language) if entry["warc_filename"] in paths)
    for entry in heapq.nsmallest(settings.documents * INDEXED_DRAWS, indexed, key=lambda entry: _draw(entry["url"])):
        wanted.setdefault(entry["warc_filename"], set()).add(entry["warc_record_offset"])
    has_index = next(root.glob("cc-index/table/cc-main/warc/crawl=*/subset=warc/*.parquet"), None) is not None
    responses = (
        record
        for relative, path in paths.items()
        if not has_index or relative in wanted
        for record in read_responses(path)
        if isinstance(record, Response) and (not has_index or record.offset in wanted[relative])
    )
    draws = settings.documents * (INDEXED_DRAWS if has_index else UNKNOWN_DRAWS)
    yield from heapq.nsmallest(draws, responses, key=lambda record: (_draw(record.url), record.offset))


def _draw(url: str) -> str:
    return hashlib.sha256(f"replay\x00{url}".encode()).hexdigest()
