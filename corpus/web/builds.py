"""Build functions of the corpus stages, documents to clean corpus: read inputs, call plain functions, write, report."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections import Counter
from collections.abc import Iterable

import polars as pl

from corpus.web import charts, clean, decisions, duplicates, signals
from corpus.web.errors import WebCorpusError
from corpus.web.previews import markdown_table
from corpus.web.reporting import every_document, not_empty, ranked, section
from corpus.web.rules import load_rules
from corpus.web.settings import CleanSettings, DecisionSettings, DuplicateSettings, SignalSettings
from foundation.execution import run_shards
from foundation.language.identification import IdentificationSettings
from foundation.language.overlap import OverlapIndex
from foundation.language.settings import PhraseSettings, WordSettings
from foundation.language.words import load_tokenizer
from foundation.stages import StageContext, StageReport
from foundation.store import GateResult, PublishedVersion

DECISION_ROWS = 5_000
"""Documents judged at a time."""

def build_signals(context: StageContext) -> StageReport:
    """Measure every document."""
    run = signals.SignalRun(
        section(context, "corpus.web.signals", SignalSettings),
        section(context, "language.words", WordSettings),
        section(context, "language.phrases", PhraseSettings),
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
    texts = context.input("documents").scan("documents").select("document_id", "text", "language_score", *decisions.RIGHTS_COLUMNS)
    measured = context.input("signals").scan("signals").drop("signature", "bands")
    failed: Counter[str] = Counter()
    first: Counter[str] = Counter()
    overlaps: Counter[str] = Counter()
    total = lines = 0
    with context.staging.table(decisions.DECISIONS) as table:
        clean.every_has(texts.select("document_id").collect(), measured.select("document_id").collect(), "signals")
        rows = texts.join(measured, on="document_id", how="inner").sort("document_id").collect()
        for part in rows.iter_slices(DECISION_ROWS):
            _measured_on_this_text(part)
            decided = list(decisions.decide(part, rules, index, settings.rights))
            table.write(decided)
            total += len(decided)
            for row in decided:
                failed.update(row["failed_rules"])
                first.update([row["first_failed"]] if row["first_failed"] else [])
                overlaps.update({overlap["benchmark"] for overlap in row["overlap"]})
                lines += len(row["removed_lines"])
    passing = total - sum(first.values())
    statistics = {
        "documents": total,
        "passing": passing,
        "rules": rules.name,
        "rights": settings.rights,
        "failed_rules": dict(sorted(failed.items())),
        "first_failed": dict(sorted(first.items())),
        "removed_lines": lines,
        "overlap_documents": dict(sorted(overlaps.items())),
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


def build_duplicate_clusters(context: StageContext) -> StageReport:
    """Cluster the documents of all published snapshots."""
    settings = section(context, "corpus.web.duplicates", DuplicateSettings)
    columns = ["document_id", "text_sha256", "signature", "bands"]
    versions = context.partitions("signals")
    frames = [
        version.scan("signals").select(columns).with_columns(snapshot=pl.lit(name)).collect() for name, version in versions.items()
    ]
    found = duplicates.cluster(pl.concat(frames), settings)
    with context.staging.table(duplicates.CLUSTERS) as table:
        table.write(found.clusters)
    sizes = found.clusters.unique("cluster_id")["cluster_size"]
    statistics = {
        "documents": found.clusters.height,
        "clusters": len(sizes),
        "singletons": int((sizes == 1).sum()),
        "largest": int(sizes.max() or 0),  # type: ignore[arg-type]
        "exact_pairs": found.exact_pairs,
        "compared_pairs": found.compared_pairs,
        "near_pairs": found.near_pairs,
        "snapshots": list(versions),
    }
    return StageReport(statistics, [every_document(found.clusters.height, sum(frame.height for frame in frames))])


def build_clean_corpus(context: StageContext) -> StageReport:
    """Publish the text that is left and the ledger of all documents."""
    settings = section(context, "corpus.web.clean", CleanSettings)
    tokenizer = load_tokenizer(section(context, "language.words", WordSettings).tokenizer)
    label = section(context, "language.identification", IdentificationSettings).label
    columns = ["document_id", "snapshot", "url", "registered_domain", "licence", "language", "text", "characters"]
    judged = context.partitions("decisions")
    present = {name: version for name, version in context.partitions("documents").items() if name in judged}
    if not present:
        raise WebCorpusError(
            f"clean_corpus: of the snapshots {list(context.snapshots)} none has both documents and decisions; materialize decisions"
        )
    pages = pl.concat([version.scan("documents").select(columns).collect() for version in present.values()])
    verdicts = pl.concat([judged[name].read("decisions") for name in present])
    clusters = context.input("duplicate_clusters").read("clusters")
    corpus = clean.assemble(pages, verdicts, clusters, settings, tokenizer, context.seed)
    with context.staging.table(clean.TEXT) as table:
        for split, rows in corpus.text.items():
            table.write(rows, split)
    with context.staging.table(clean.LEDGER) as table:
        table.write(corpus.ledger)
    context.staging.card(
        "# Clean corpus\n\nDocuments of the target language that passed every rule, one of each cluster of duplicates, with "
        "personal data replaced. The table `ledger` says of every document whether it was kept and why. Licences are those "
        "that each page states.",
        license="other",
    )
    report = _clean_report(corpus, pages, settings, label, list(present))
    missing = [name for name in context.snapshots if name not in present]
    return dataclasses.replace(report, observations={"missing_snapshots": missing})


def _clean_report(
    corpus: clean.CleanCorpus, pages: pl.DataFrame, settings: CleanSettings, label: str, snapshots: list[str]
) -> StageReport:
    kept = pl.concat(corpus.text.values())
    languages = kept.select("document_id").join(pages.select("document_id", "language"), on="document_id")["language"]
    share = float((languages == label).sum()) / max(kept.height, 1)
    reasons = _counts_of(corpus.ledger["reason"].drop_nulls().to_list())
    domains = [set(rows["registered_domain"]) for rows in corpus.text.values()]
    repeated = kept.height - kept["text"].n_unique()
    statistics = {
        "documents": corpus.ledger.height,
        "kept": kept.height,
        "splits": {
            split: {"documents": rows.height, "characters": int(rows["characters"].sum()), "words": int(rows["words"].sum())}
            for split, rows in corpus.text.items()
        },
        "dropped": reasons,
        "personal_data": dict(corpus.personal_data),
        "cut_documents": corpus.cut_documents,
        "snapshots": snapshots,
    }
    gates = [
        not_empty("not_empty", min(rows.height for rows in corpus.text.values()), "documents in the smallest split"),
        GateResult(
            "language_share", share >= settings.min_language_share, round(share, 6), settings.min_language_share,
            f"share of published documents identified as {label}",
        ),
        GateResult("no_duplicates", repeated == 0, repeated, 0, "published texts that stand twice"),
        GateResult("disjoint_domains", not set.intersection(*domains), len(set.intersection(*domains)), 0, "domains in both splits"),
    ]  # fmt: skip
    sample = kept.sort("document_id").select("url", "licence", "words", pl.col("text").str.slice(0, 120)).head(5)
    return StageReport(
        statistics,
        gates,
        previews={"Published": markdown_table(sample.to_dicts())},
        plots={"From documents to corpus": charts.bars("Documents by outcome", [("kept", kept.height), *ranked(reasons)])},
    )


def _benchmark_items(version: PublishedVersion) -> list[tuple[str, str]]:
    return version.scan("items").select("benchmark", "text").collect().rows()


def _counts_of(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))

