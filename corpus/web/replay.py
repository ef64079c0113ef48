"""Replay text: pages of the snapshots in the source language, extracted as documents are."""

from __future__ import annotations

import hashlib
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
    wanted: dict[str, set[int]] = {}
    for entry in sorted(read_index(root, settings.language), key=lambda entry: _draw(entry["url"]))[: settings.documents * 3]:
        wanted.setdefault(entry["warc_filename"], set()).add(entry["warc_record_offset"])
    found: list[Response] = []
    has_index = next(root.glob("cc-index/table/cc-main/warc/crawl=*/subset=warc/*.parquet"), None) is not None
    for path in warc_files(root):
        relative = path.relative_to(root).as_posix()
        if has_index and relative not in wanted:
            continue
        for record in read_responses(path):
            if isinstance(record, Response) and (not has_index or record.offset in wanted[relative]):
                found.append(record)
    yield from sorted(found, key=lambda record: (_draw(record.url), record.offset))


def _draw(url: str) -> str:
    return hashlib.sha256(f"replay\x00{url}".encode()).hexdigest()
