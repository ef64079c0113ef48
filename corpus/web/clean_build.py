"""The build function of the clean corpus: ranges of documents are finished by workers, and merged in order of id."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Mapping

import polars as pl

from corpus.web import charts
from corpus.web.clean import LEDGER, TEXT, CleanRun, finish_shard
from corpus.web.clean_tables import CleanSummary, FinishedRanges, write_representatives
from corpus.web.errors import WebCorpusError
from corpus.web.personal_data import masked, secret_hashes, surrogates_of
from corpus.web.previews import markdown_table
from corpus.web.reporting import not_empty, ranked, section
from corpus.web.settings import CleanSettings
from corpus.web.signals import shards_of
from foundation.execution import run_shards
from foundation.language.identification import IdentificationSettings
from foundation.language.settings import WordSettings
from foundation.stages import StageContext, StageReport
from foundation.store import GateResult, PublishedVersion

_SHARD_ROWS = 5_000
"""Documents finished by a worker at a time; does not change a row."""


def build_clean_corpus(context: StageContext) -> StageReport:
    """Publish the text that is left and the ledger of all documents.

    Raises:
        WebCorpusError: no snapshot has both documents and decisions; what was made of documents is older than they are; the
            secret of surrogates is not set.
    """
    settings = section(context, "corpus.web.clean", CleanSettings)
    label = section(context, "language.identification", IdentificationSettings).label
    surrogates_of(settings.personal_data)  # a missing secret is said before the work, not in a worker
    judged = context.partitions("decisions")
    present = {name: version for name, version in context.partitions("documents").items() if name in judged}
    if not present:
        raise WebCorpusError(
            f"clean_corpus: of the snapshots {list(context.snapshots)} none has both documents and decisions; materialize decisions"
        )
    finished = _finished(context, settings, present, judged)
    summary = CleanSummary(label)
    with contextlib.ExitStack() as stack:
        # Tables are listed in the order in which they are completed: the last one opened is the first, and the main one.
        ledger, text = stack.enter_context(context.staging.table(LEDGER)), stack.enter_context(context.staging.table(TEXT))
        for rows in finished.ranges():
            by_split = finished.text(rows)
            for split, part in by_split.items():
                text.write(part, split)
            ledger.write(finished.ledger(rows))
            summary.add(rows, by_split)
    context.staging.card(
        "# Clean corpus\n\nDocuments of the target language that passed every rule, one of each cluster of duplicates, with "
        f"personal data replaced by {settings.personal_data.mode}. The table `ledger` says of every document whether it was kept "
        "and why. Licences are those that each page states.",
        license="other",
    )
    missing = [name for name in context.snapshots if name not in present]
    report = _report(summary, settings, list(present))
    return dataclasses.replace(report, observations={"missing_snapshots": missing})


def _finished(
    context: StageContext, settings: CleanSettings, documents: Mapping[str, PublishedVersion], judged: Mapping[str, PublishedVersion]
) -> FinishedRanges:
    """All documents finished, in ranges of rows of their files."""
    clusters = context.input("duplicate_clusters").table_files("clusters")
    decisions = {name: judged[name].table_files("decisions") for name in documents}
    representatives = context.work / "representatives.parquet"
    write_representatives([path for files in decisions.values() for path in files], clusters, representatives)
    run = CleanRun(
        {name: [str(path) for path in files] for name, files in decisions.items()},
        [str(path) for path in clusters],
        str(representatives),
        settings,
        section(context, "language.words", WordSettings).tokenizer,
        next(iter(secret_hashes(settings.personal_data).values()), None),
    )
    shards = [[name, *shard] for name, version in documents.items() for shard in shards_of(version.table_files("documents"), _SHARD_ROWS)]
    paths = run_shards(
        functools.partial(finish_shard, run=run), shards, context.work, "finished", engine=context.engine, label="clean_corpus: documents"
    )
    return FinishedRanges(paths, settings, context.seed)


def _report(summary: CleanSummary, settings: CleanSettings, snapshots: list[str]) -> StageReport:
    share = summary.in_language / max(summary.kept, 1)
    reasons = dict(sorted(summary.dropped.items()))
    shared = len(set.intersection(*summary.domains.values()))
    statistics = {
        "documents": summary.documents,
        "kept": summary.kept,
        **{f"kept_{name}": sum(counts[name] for counts in summary.splits.values()) for name in ("characters", "words")},
        "splits": {split: {name: counts[name] for name in ("documents", "characters", "words", "words_repeated")} for split, counts in summary.splits.items()},
        "dropped": reasons,
        "personal_data": {kind: int(count) for kind, count in summary.personal_data.items()},
        "personal_data_mode": settings.personal_data.mode,
        "overlap": settings.overlap,
        "benchmarks": summary.overlaps.found(),
        "cut_documents": summary.cut_documents,
        "snapshots": snapshots,
    }
    smallest = min(counts["documents"] for counts in summary.splits.values())
    gates = [
        not_empty("not_empty", smallest, "documents in the smallest split"),
        GateResult(
            "language_share", share >= settings.min_language_share, round(share, 6), settings.min_language_share,
            f"share of published documents identified as {summary.label}",
        ),
        GateResult("no_duplicates", summary.repeated == 0, summary.repeated, 0, "published texts that stand twice"),
        GateResult("disjoint_domains", not shared, shared, 0, "domains in both splits"),
    ]  # fmt: skip
    losses: list[charts.Step] = [(reason, "loss", pages) for reason, pages in ranked(reasons)]
    steps: list[charts.Step] = [("documents", "total", summary.documents), *losses, ("kept", "total", summary.kept)]
    return StageReport(
        statistics,
        gates,
        previews={"Published": markdown_table(_samples(summary, settings))},
        plots={"From documents to corpus": charts.waterfall("From documents to corpus", steps)},
    )


def _samples(summary: CleanSummary, settings: CleanSettings) -> list[dict[str, object]]:
    """The first published documents, masked whatever replaced their personal data."""
    rows = pl.concat(summary.samples).head(5).to_dicts() if summary.samples else []
    return [{**row, "text": masked(row["text"], settings.personal_data)[:120]} for row in rows]
