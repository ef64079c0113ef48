"""Replay text: pages in the source language, of the snapshots (extracted as documents are) or of a ready corpus."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import polars as pl

from corpus.web.domains import registered_domain, splits_of
from corpus.web.extraction import Extracted, PageExtractor, Skip
from corpus.web.plain_text import REPLAY_TEXT, row
from corpus.web.ready.files import ReadyRow, corpus_files, read_rows
from corpus.web.settings import ReadyCorpus, ReplaySettings
from corpus.web.snapshot import page_files
from corpus.web.warc.reading import Response, read_records
from corpus.web.warc.writing import read_index
from foundation.sources.locations import Location
from foundation.store.erased import NOTHING_ERASED, ErasedAddresses

INDEXED_DRAWS = 3
"""Pages looked at for each page wanted, where the index says their language."""
UNKNOWN_DRAWS = 10
"""The same without an index; these pages are in memory at once."""


Looked = tuple[str, str, Extracted | Skip]
"""A page that was looked at: the name of its source, its address, its text or why it has none."""


def of_snapshots(
    roots: Mapping[str, Path], extractor: PageExtractor, settings: ReplaySettings, erased: ErasedAddresses = NOTHING_ERASED
) -> Iterator[Looked]:
    """Pages of snapshots whose WARC files lie below ``roots``, one snapshot after the other; extracted as they are asked for."""
    for snapshot, root in roots.items():
        for response in _candidates(root, settings, erased):
            yield snapshot, response.url, extractor.extract(response)


def of_corpus(
    corpus: ReadyCorpus, location: Location, extractor: PageExtractor, settings: ReplaySettings, erased: ErasedAddresses = NOTHING_ERASED
) -> Iterator[Looked]:
    """Rows of a ready corpus of the source language, in an order drawn by a hash of their addresses (or places in the files)."""
    rows = (
        (row.url or f"{path}#{row.row}", row.text)
        for path in corpus_files(corpus, location)
        for row in read_rows(path, corpus, location)
        if isinstance(row, ReadyRow) and not erased.holds(row.url)
    )
    for url, text in heapq.nsmallest(settings.documents * UNKNOWN_DRAWS, rows, key=lambda row: (_draw(row[0]), row[1])):
        yield "corpus", url, extractor.extract_text(text)


def replay_rows(
    pages: Iterable[Looked], label: str, settings: ReplaySettings, seed: int, licence: str | None = None
) -> tuple[Mapping[str, pl.DataFrame], Mapping[str, int]]:
    """Rows by split, and counts of what was looked at and left out.

    Args:
        pages: read until there are enough rows.
        label: the source language, as the identification model names it.
        settings: how many pages, and how good.
        seed: the profile's seed, for the split.
        licence: of pages that state none.
    """
    counts = {"looked_at": 0, "not_extracted": 0, "short": 0, "other_language": 0, "same_text": 0}
    rows: list[dict[str, object]] = []
    seen: set[str] = set()
    for source, url, page in pages:
        counts["looked_at"] += 1
        reason = _unfit(page, label, settings, seen)
        if reason is not None or not isinstance(page, Extracted):
            counts[reason or "not_extracted"] += 1
            continue
        seen.add(page.text)
        rows.append(row(source, url, (page.rights.licence if page.rights else None) or licence, page.text))
        if len(rows) >= settings.documents:
            break
    # Rows without an address of their own are split one by one.
    domains = {str(entry["url"]): registered_domain(str(entry["url"])) or str(entry["url"]) for entry in rows}
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


def _candidates(root: Path, settings: ReplaySettings, erased: ErasedAddresses) -> Iterator[Response]:
    """Responses in an order drawn by a hash of their URLs: those that the index names, or all where there is no index."""
    paths = {path.relative_to(root).as_posix(): path for path in page_files(root)}
    wanted: dict[str, set[int]] = {}
    indexed = (
        entry for entry in read_index(root, settings.language) if entry["warc_filename"] in paths and not erased.holds(entry["url"])
    )
    for entry in heapq.nsmallest(settings.documents * INDEXED_DRAWS, indexed, key=lambda entry: _draw(entry["url"])):
        wanted.setdefault(entry["warc_filename"], set()).add(entry["warc_record_offset"])
    has_index = next(root.glob("cc-index/table/cc-main/warc/crawl=*/subset=warc/*.parquet"), None) is not None
    responses = (
        record
        for relative, path in paths.items()
        if not has_index or relative in wanted
        for record in read_records(path)
        if isinstance(record, Response) and not erased.holds(record.url) and (not has_index or record.offset in wanted[relative])
    )
    draws = settings.documents * (INDEXED_DRAWS if has_index else UNKNOWN_DRAWS)
    yield from heapq.nsmallest(draws, responses, key=lambda record: (_draw(record.url), record.offset))


def _draw(url: str) -> str:
    return hashlib.sha256(f"replay\x00{url}".encode()).hexdigest()
