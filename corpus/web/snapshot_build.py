"""The build function of snapshots."""

from __future__ import annotations

from collections import Counter
from typing import Any

import polars as pl
import pyarrow as pa

from corpus.web import charts, crawl_snapshot, snapshot
from corpus.web.crawl.selection import SELECTION, SelectionRun
from corpus.web.previews import markdown_table
from corpus.web.ready.files import ready_location
from corpus.web.reporting import not_empty, ranked, section
from corpus.web.settings import SnapshotSettings
from corpus.web.warc.erasing import erase_captures
from foundation.sources.locations import AccessSettings, Location
from foundation.stages import StageContext, StageReport


def build_snapshot(context: StageContext) -> StageReport:
    """Make a sample crawl, copy the user's WARC files, or say what is read of a crawl or a ready corpus."""
    settings = section(context, "corpus.web.snapshot", SnapshotSettings)
    source = snapshot.source_of(settings, str(context.partition), context.debian)
    if source == "common_crawl":
        report = _common_crawl(context, settings)
    elif source == "corpus":
        report = _ready_corpus(context, settings)
    else:
        report = _in_store(context, settings, source)
    context.staging.card(
        f"# Snapshot {context.partition}\n\nSource: {source}. Pages of sample crawls are real pages of Debian packages and pages written for "
        "this project, at made hosts under the reserved name `.example`; they say nothing of the quality of a web crawl. Files of Common "
        "Crawl and of ready corpora are not part of this repository: the tables say what is read of them.",
        license="other",
    )
    return report


def _in_store(context: StageContext, settings: SnapshotSettings, source: snapshot.Source) -> StageReport:
    partition, root = str(context.partition), context.staging.files
    if source == "folder":
        snapshot.see_own_folder(snapshot.folder_root(settings, context.data, partition), partition, context.snapshots)
        made = snapshot.copy_folder(settings, context.data, partition, root)
    else:
        made = snapshot.write_made_crawl(partition, settings, context.debian, context.data, context.work, root, context.seed)
    erased = sum(erase_captures(root, context.erased, True).values())
    made = {**made, **({"erased": erased} if erased else {})}
    rows = snapshot.file_rows(root)
    _write(context, rows, [])
    languages = made.get("languages", {})
    return _report(
        {"source": source, **_sizes(rows), **made}, rows, {"Pages by language": charts.bars("Pages by language", ranked(languages))} if languages else {}
    )


def _common_crawl(context: StageContext, settings: SnapshotSettings) -> StageReport:
    access = section(context, "corpus.web.access", AccessSettings)
    crawl, selection = str(context.partition), settings.selection
    location = Location(access.location, access)
    if selection.way == "scan":
        rows = crawl_snapshot.whole_files(location, crawl, selection)
        _write(context, rows, [])
        return _report({"source": "common_crawl", "way": "scan", **_sizes(rows)}, rows, {}, {"traffic": crawl_snapshot.traffic_of(location)})
    run = SelectionRun(access.location, access, context.engine.tasks_at_once, crawl, selection, context.erased)
    selected = crawl_snapshot.select_records(location, run, context.work, context.engine)
    _write(context, selected.index_rows, selected.tables())
    counts = selected.counts()
    return _report(
        {"source": "common_crawl", "way": "index", **_sizes(selected.index_rows), **counts},
        selected.index_rows,
        {
            "Selected pages by language": charts.bars("Selected pages by content_languages", ranked(counts["languages"])[:12]),
            "Top domains": charts.bars("Selected pages by registered domain", ranked(counts["top_domains"])[:12]),
        },
        {"traffic": selected.traffic(crawl_snapshot.traffic_of(location))},
        found=selected.rows["warc"],
    )


def _ready_corpus(context: StageContext, settings: SnapshotSettings) -> StageReport:
    access = section(context, "corpus.web.access", AccessSettings)
    name = str(context.partition)
    corpus, key = settings.corpora[name], crawl_snapshot.corpus_key(name)
    rows = crawl_snapshot.corpus_rows(corpus, ready_location(corpus, context.data, access, key=key), key)
    (context.staging.files / crawl_snapshot.CORPUS_FILE).write_text(crawl_snapshot.corpus_document(corpus), encoding="utf-8")
    _write(context, rows, [])
    return _report({"source": "corpus", **_sizes(rows)}, rows, {})


def _write(context: StageContext, rows: list[dict[str, Any]], selection: Any) -> None:
    with context.staging.table(snapshot.FILES) as table:
        table.write(rows)
    with context.staging.table(SELECTION) as table:
        for part in selection:
            table.write(pa.table(part) if isinstance(part, pa.RecordBatch) else part)


def _sizes(rows: list[dict[str, Any]]) -> dict[str, Any]:
    known = [row["bytes"] for row in rows if row["bytes"] is not None]
    return {"files": dict(sorted(Counter(row["kind"] for row in rows).items())), "bytes": sum(known) if len(known) == len(rows) else None}


def _report(
    statistics: dict[str, Any], rows: list[dict[str, Any]], plots: dict[str, bytes], observations: dict[str, Any] | None = None, found: int | None = None
) -> StageReport:
    return StageReport(
        statistics,
        [not_empty("not_empty", len(rows) if found is None else found, "files, or selected records")],
        observations=observations or {},
        previews={"Files": markdown_table(pl.DataFrame(rows, schema=pl.DataFrame(snapshot.FILES.schema.empty_table()).schema).head(5).to_dicts())},
        plots=plots,
    )
