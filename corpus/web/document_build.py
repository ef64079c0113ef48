"""The build function of documents: shards, merging, report."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import polars as pl
import pyarrow.parquet as pq

from corpus.web import charts, crawl_snapshot, harvest, merging, snapshot
from corpus.web.documents import DOCUMENTS, NO_RECORDS, REMARKS, SKIPPED
from corpus.web.errors import WebCorpusError
from corpus.web.previews import markdown_table
from corpus.web.ready.files import ready_location
from corpus.web.reporting import not_empty, ranked, section
from corpus.web.rights.robots import ROBOTS
from corpus.web.settings import DocumentSettings, ReadyCorpus, SnapshotSettings
from corpus.web.warc.reading import DamageReason
from foundation.execution import Engine, run_shards
from foundation.language.identification import IdentificationSettings, model_path
from foundation.sources.locations import AccessSettings
from foundation.stages import StageContext, StageReport
from foundation.store import GateResult, PublishedVersion

LOSSES = {*get_args(DamageReason), "damaged_file", NO_RECORDS}
"""Reasons that count as lost records: of WARC files and of files of ready corpora."""


def build_documents(context: StageContext) -> StageReport:
    """Extract the candidates of a snapshot, whatever its source."""
    settings = section(context, "corpus.web.documents", DocumentSettings)
    version = context.input("snapshot")
    shards = _harvested(context, version, settings)
    total = merging.took(shards)
    robots = context.work / "robots.parquet"
    rules = merging.merge_robots(shards, robots)
    merge = merging.MergeRun(merging.run_files(shards), str(robots), _robots_read(version))
    bounds = merging.key_ranges(total["text_bytes"])
    ranges = run_shards(
        functools.partial(merging.merge_range, run=merge),
        bounds,
        context.work,
        "merged",
        suffix="",
        engine=context.engine if len(bounds) > 1 else Engine(),  # one range is no job for a cluster
        label=f"documents: {context.partition}: merging",
    )
    parts = [part / "documents.parquet" for part in ranges]
    with context.staging.table(DOCUMENTS) as table:
        for part in parts:
            for batch in pq.ParquetFile(part).iter_batches(5_000):
                table.write(batch)
    skipped = merging.merge_skipped(shards, ranges)
    with context.staging.table(SKIPPED) as table:
        table.write(skipped)
    with context.staging.table(ROBOTS) as table:
        table.write(rules)
    return _report(parts, skipped, total, settings, len(rules))


def _harvested(context: StageContext, version: PublishedVersion, settings: DocumentSettings) -> list[Path]:
    """The folders of all shards."""
    access = section(context, "corpus.web.access", AccessSettings)
    identification = section(context, "language.identification", IdentificationSettings)
    corpus = _ready_corpus(context, version)
    files = version.read("files")
    run = harvest.HarvestRun(
        snapshot=str(context.partition),
        location=_location(context, version, access, corpus),
        access=access,
        sharers=context.engine.tasks_at_once,
        model=str(model_path(identification, context.downloads)),
        label=identification.label,
        settings=settings,
        corpus=corpus,
        erased=context.erased,
    )
    in_store = version.statistics["source"] in snapshot.IN_STORE
    sha256 = pl.lit(None, pl.String) if in_store else pl.col("sha256")
    if version.statistics.get("way") == "index":
        if not version.manifest["tables"]["selection"]["rows"]:
            raise WebCorpusError(f"{version}: the index names no record for this selection; change corpus.web.snapshot.selection, or read the crawl by scan")
        rows = harvest.shard_records(access, context.engine.tasks_at_once)
        function, shards = harvest.harvest_selection, harvest.selection_shards(version.table_files("selection"), rows)
    else:
        function, shards = harvest.harvest_files, harvest.file_shards(files.select("path", sha256).rows())
    run = dataclasses.replace(run, sharers=min(run.sharers, len(shards)))
    return run_shards(
        functools.partial(function, run=run),
        shards,
        context.work,
        "documents",
        suffix="",
        engine=context.engine,
        label=f"documents: {context.partition}",
    )


def _robots_read(version: PublishedVersion) -> bool:
    """Whether the snapshot holds robots.txt captures."""
    kinds = version.scan("files").filter(pl.col("kind") == "robotstxt").head(1).collect().height
    return bool(kinds or version.scan("selection").filter(pl.col("subset") == "robotstxt").head(1).collect().height)


def _ready_corpus(context: StageContext, version: PublishedVersion) -> ReadyCorpus | None:
    document = version.files / crawl_snapshot.CORPUS_FILE
    if not document.is_file():
        return None
    named = section(context, "corpus.web.snapshot", SnapshotSettings).corpora.get(str(context.partition))
    return crawl_snapshot.corpus_of(document, named)


def _location(context: StageContext, version: PublishedVersion, access: AccessSettings, corpus: ReadyCorpus | None) -> str:
    """The root that the paths of the snapshot's tables belong to."""
    if corpus is not None:
        return ready_location(corpus, context.data, access, key=crawl_snapshot.corpus_key(str(context.partition))).url
    return str(version.files) if version.statistics["source"] in snapshot.IN_STORE else access.location


def _report(parts: Sequence[Path], skipped: pl.DataFrame, total: Mapping[str, Any], settings: DocumentSettings, hosts: int) -> StageReport:
    counted = _counts(skipped, "reason")
    reasons = {reason: pages for reason, pages in counted.items() if reason not in REMARKS}
    others = _counts(skipped.filter(pl.col("reason") == "other_language"), "language")
    rows = pl.scan_parquet(list(parts), glob=False)
    documents, characters = rows.select(pl.len(), pl.col("characters").sum()).collect().row(0)
    best = _column_counts(rows, "language")
    domains = _column_counts(rows, "registered_domain")
    damaged = sum(pages for reason, pages in reasons.items() if reason in LOSSES)
    rights = rows.select(
        tdm_reservation=pl.col("tdm_reservation").sum(), noai=pl.col("noai").sum(), robots_disallowed=(pl.col("robots_disallowed").list.len() > 0).sum()
    ).collect().to_dicts()[0]  # fmt: skip
    sample = rows.select("url", "language", "language_score", "licence", pl.col("text").str.slice(0, 120)).head(5).collect()
    statistics = {
        "records": total["records"],
        "pages": total["pages"],
        "payload_bytes": total["payload_bytes"],
        "read_bytes": total["read_bytes"],
        "lost_bytes": total["lost_bytes"],
        "documents": documents,
        "characters": int(characters),
        "skipped": reasons,
        "remarks": {reason: pages for reason, pages in counted.items() if reason in REMARKS},
        "extractors": dict(sorted(_column_counts(rows, "extractor").items())),
        "licences": dict(sorted(_column_counts(rows, "licence").items())),
        "opted_out": {name: int(count or 0) for name, count in rights.items()},
        "hosts_with_rules_for_ai": hosts,
        "registered_domains": len(domains),
        "languages": dict(sorted(best.items())),
        "top_domains": dict(ranked(domains)[:20]),
        "other_languages": others,
    }
    seconds = {name: round(value, 2) for name, value in total["seconds"].items()}
    worked = sum(seconds.values())
    lost = max(damaged / max(total["records"], 1), total["lost_bytes"] / max(total["read_bytes"], 1))
    gate = GateResult(
        "damage_share", lost <= settings.max_damaged_share, round(lost, 6), settings.max_damaged_share, "share of records or of bytes lost to damage"
    )
    return StageReport(
        statistics,
        [not_empty("not_empty", documents), gate],
        observations={
            "seconds_by_step": seconds,
            "pages_per_second_per_worker": round(total["pages"] / worked, 1) if worked else None,
            "payload_mb_per_second_per_worker": round(total["payload_bytes"] / worked / 1e6, 2) if worked else None,
            "traffic": total["traffic"],
        },
        previews={"Documents": markdown_table(sample.to_dicts())},
        plots={
            "From records to documents": charts.bars("Records by outcome", [("documents", documents), *ranked(reasons)], logarithmic=True),
            "Languages": charts.bars("Language of pages", ranked(_added(best, others))[:12]),
            "Top domains": charts.bars("Documents by registered domain", ranked(domains)[:12]),
            "Seconds by step": charts.bars("Seconds of all workers by step", list(seconds.items())),
        },
    )


def _counts(frame: pl.DataFrame, column: str) -> dict[str, int]:
    grouped = frame.group_by(column).agg(pl.col("pages").sum()).sort(column)
    return {name: int(pages) for name, pages in grouped.iter_rows()}


def _column_counts(rows: pl.LazyFrame, column: str) -> dict[str, int]:
    counted = rows.group_by(pl.col(column).fill_null("unknown")).len().collect()
    return {name: int(count) for name, count in counted.iter_rows()}


def _added(best: Mapping[str, int], others: Mapping[str, int]) -> dict[str, int]:
    return dict(Counter(best) + Counter(others))
