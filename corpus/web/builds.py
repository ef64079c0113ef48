"""Build functions of the corpus stages, documents to clean corpus: read inputs, call plain functions, write, report."""

from __future__ import annotations

import functools
import hashlib
from collections import Counter

import polars as pl

from corpus.web import charts, clean, decisions, signal_inputs, signals
from corpus.web.errors import WebCorpusError
from corpus.web.judging import FACTS, RIGHTS_COLUMNS, judged_documents
from corpus.web.previews import markdown_table
from corpus.web.reporting import every_document, not_empty, ranked, section
from corpus.web.rules import load_rules
from corpus.web.settings import DecisionSettings, SignalSettings
from foundation.execution import run_shards
from foundation.language.identification import IdentificationSettings
from foundation.language.overlap import Overlap, OverlapCounts, OverlapIndex
from foundation.language.settings import PhraseSettings, WordSettings
from foundation.stages import StageContext, StageReport
from foundation.store import PublishedVersion

DECISION_ROWS = 5_000
"""Documents judged at a time."""

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
    shards = signals.shards_of(source.table_files("documents"))
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
    """Judge every document by the rules, and look for benchmark items in it."""
    settings = section(context, "corpus.web.decisions", DecisionSettings)
    rules = load_rules(settings.rules)
    index = OverlapIndex.build(_benchmark_items(context.input("benchmark_sets")), settings.overlap_words, settings.min_item_words)
    identification = section(context, "language.identification", IdentificationSettings)
    texts = judged_documents(context.input("documents"), identification).select("document_id", "text", *FACTS, *RIGHTS_COLUMNS)
    measured = context.input("signals").scan("signals").drop("signature", "bands")
    failed: Counter[str] = Counter()
    first: Counter[str] = Counter()
    overlaps = OverlapCounts()
    unmeasured: Counter[str] = Counter()
    total = lines = 0
    with context.staging.table(decisions.DECISIONS) as table:
        clean.every_has(texts.select("document_id").collect(), measured.select("document_id").collect(), "signals")
        rows = texts.join(measured, on="document_id", how="inner").sort("document_id").collect()
        for part in rows.iter_slices(DECISION_ROWS):
            _measured_on_this_text(part)
            decided, without_value = decisions.decide(part, rules, index, settings.rights, identification.model_family)
            unmeasured.update(without_value)
            table.write(decided)
            total += len(decided)
            for row in decided:
                failed.update(row["failed_rules"])
                first.update([row["first_failed"]] if row["first_failed"] else [])
                overlaps.add(Overlap(**overlap) for overlap in row["overlap"])
                lines += len(row["removed_lines"])
    passing = total - sum(first.values())
    statistics = {
        "documents": total,
        "passing": passing,
        "rules": rules.name,
        "rights": settings.rights,
        "rules_not_applied": rules.inapplicable(identification.model_family),
        "rules_without_value": dict(sorted(unmeasured.items())),
        "failed_rules": dict(sorted(failed.items())),
        "first_failed": dict(sorted(first.items())),
        "removed_lines": lines,
        "overlap": overlaps.report(index),
        "benchmark_ngrams": len(index),
    }
    expected = context.input("documents").manifest["tables"]["documents"]["rows"]
    return StageReport(
        statistics,
        [every_document(total, expected), not_empty("some_pass", passing)],
        plots={"Failing rules": charts.bars("Documents by failing rule", [("passing", passing), *ranked(failed)])},
    )


def _measured_on_this_text(rows: pl.DataFrame) -> None:
    for key, text, measured in rows.select("document_id", "text", "text_sha256").iter_rows():
        if hashlib.sha256(text.encode()).hexdigest() != measured:
            raise WebCorpusError(f"document {key}: its signals were measured on another text; materialize signals again")


def _benchmark_items(version: PublishedVersion) -> list[tuple[str, str, str]]:
    return version.scan("items").select("benchmark", "item_id", "text").collect().rows()

