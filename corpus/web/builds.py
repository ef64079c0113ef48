"""Build functions of the corpus stages, documents to clean corpus: read inputs, call plain functions, write, report."""

from __future__ import annotations

import functools
from pathlib import Path

import polars as pl

from corpus.web import charts, decisions, drift, signal_inputs, signals
from corpus.web.previews import markdown_table
from corpus.web.report.drops import DropTally
from corpus.web.report.rule_figures import rule_figures
from corpus.web.reporting import every_document, not_empty, ranked, section
from corpus.web.rules import load_rules
from corpus.web.settings import DecisionSettings, SignalSettings
from foundation.execution import run_shards
from foundation.language.identification import IdentificationSettings
from foundation.language.overlap import OverlapIndex
from foundation.language.settings import PhraseSettings, WordSettings
from foundation.stages import StageContext, StageReport
from foundation.store import BuildRecord, GateResult

_SIGNAL_ROWS = 2_000
_DECISION_ROWS = 5_000
"""Documents measured, and judged, by a worker at a time; neither changes a row."""
_RULES_NAMED = 5
"""Rules that the gate names where no document passes."""


def build_signals(context: StageContext) -> StageReport:
    """Measure every document."""
    run = signals.SignalRun(
        section(context, "corpus.web.signals", SignalSettings),
        section(context, "language.words", WordSettings),
        section(context, "language.phrases", PhraseSettings),
        signal_inputs.word_lists(context),
        signal_inputs.classifiers(context),
    )
    source = context.input("documents")
    shards = signals.shards_of(source.table_files("documents"), _SIGNAL_ROWS)
    paths = run_shards(
        functools.partial(signals.measure_shard, run=run),
        shards,
        context.work,
        "signals",
        engine=context.engine,
        label=f"signals: {context.partition}",
    )
    written = 0
    quantiles = []
    with context.staging.table(signals.SIGNALS) as table:
        for path in paths:
            frame = pl.read_parquet(path)
            table.write(frame)
            written += frame.height
            quantiles.append(frame.select("words", *signals.SHARES))
    medians = pl.concat(quantiles).median().to_dicts()[0] if quantiles else {}
    rounded = {name: round(value, 6) for name, value in medians.items() if value is not None}
    expected = source.manifest["tables"]["documents"]["rows"]
    return StageReport(
        {"documents": written, "medians": rounded},
        [every_document(written, expected)],
        previews={"Medians": markdown_table([{"signal": name, "median": value} for name, value in rounded.items()])},
    )


def build_decisions(context: StageContext) -> StageReport:
    """Judge every document by the rules, and look for benchmark items in it.

    Raises:
        WebCorpusError: signals do not belong to the documents, or hold not what the rules read.
    """
    settings = section(context, "corpus.web.decisions", DecisionSettings)
    identification = section(context, "language.identification", IdentificationSettings)
    rules = load_rules(settings.rules)
    index_file = _index_file(context, settings)
    documents = context.input("documents")
    run = decisions.DecisionRun(
        [str(path) for path in context.input("signals").table_files("signals")], str(index_file), rules, settings.rights, identification
    )
    paths = run_shards(
        functools.partial(decisions.decide_shard, run=run),
        signals.shards_of(documents.table_files("documents"), _DECISION_ROWS),
        context.work,
        "decisions",
        engine=context.engine,
        label=f"decisions: {context.partition}",
    )
    counts, tally = decisions.DecisionCounts(), DropTally()
    with context.staging.table(decisions.DECISIONS) as table:
        for path in paths:
            rows, unmeasured = decisions.read_decided(path)
            table.write(rows.select(decisions.DECISIONS.schema.names))
            counts.add(rows, unmeasured)
            tally.add(rows)
    index, figures = decisions.load_index(str(index_file)), rule_figures(tally)
    statistics = {
        "documents": counts.documents,
        "passing": counts.passing,
        "rules": rules.name,
        "rights": settings.rights,
        "rules_not_applied": rules.inapplicable(identification.model_family),
        "rules_without_value": dict(sorted(counts.unmeasured.items())),
        **figures.statistics,
        "failed_rules": dict(sorted(counts.failed.items())),
        "first_failed": dict(sorted(counts.first.items())),
        "removed_lines": counts.removed_lines,
        "overlap": counts.overlaps.report(index),
        "benchmark_ngrams": len(index),
        drift.STATISTIC: drift.distributions(context.input("signals").table_files("signals")),
    }
    expected = documents.manifest["tables"]["documents"]["rows"]
    drifted, found = drift.drift_gate(_compared_with(context), context.input("signals").table_files("signals"), settings.max_signal_drift)
    drift_table = {"Drift of signals": markdown_table(drift.drift_rows(found))} if found else {}
    return StageReport(
        statistics,
        [every_document(counts.documents, expected), _some_pass(counts), drifted],
        previews={**figures.previews, **drift_table},
        plots={"Failing rules": charts.bars("Documents by failing rule", [("passing", counts.passing), *ranked(counts.failed)]), **figures.plots},
    )


def _compared_with(context: StageContext) -> BuildRecord | None:
    """The last decisions that passed: of this snapshot, else of the nearest earlier one that the profile lists."""
    earlier = context.snapshots[: context.snapshots.index(str(context.partition))]
    found = (context.last_passed(partition) for partition in (context.partition, *reversed(earlier)))
    return next((record for record in found if record is not None), None)


def _index_file(context: StageContext, settings: DecisionSettings) -> Path:
    """The index of benchmark items in the work folder: built once, read by every worker."""
    path = context.work.absolute() / "overlap_index.npz"
    if not path.is_file():
        items = context.input("benchmark_sets").scan("items").select("benchmark", "item_id", "text").collect().rows()
        OverlapIndex.build(items, settings.overlap_words, settings.min_item_words).save(path)
    return path


def _some_pass(counts: decisions.DecisionCounts) -> GateResult:
    """A gate that passes where any document does; it says which rules reject most where none does."""
    said = "documents that pass every rule"
    if not counts.passing:
        most = ", ".join(f"{rule} {documents}" for rule, documents in ranked(counts.failed)[:_RULES_NAMED])
        said += f"; of {counts.documents} documents, rejected by {most}" if most else "; there are no documents"
    return not_empty("some_pass", counts.passing, said)
