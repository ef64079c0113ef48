"""The build functions of the translated sets: rows in shards, merged in the order of the source, and reported."""

from __future__ import annotations

import functools
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from foundation.execution import Pace, run_shards
from foundation.language.identification import IdentificationSettings, model_path
from foundation.stages import StageContext, StageReport
from foundation.store import GateResult
from translation.engines.engine import EngineChoice
from translation.report import length_ratio_histogram, preview
from translation.row_shards import KEPT, QUARANTINE, SOURCE, Kind, RowCounts, RowsJob, shards_of, translate_rows
from translation.sections import engine_choice, hub_licences, section
from translation.settings import ChatsSettings, EngineSettings, GateSettings, InstructionsSettings, Reason
from translation.text import back_translator_of, translator_of

KEPT_GATE = "kept_share"
LANGUAGE_GATE = "target_language_share"
FAILURES_GATE = "failure_rates"
GATES = {
    KEPT_GATE: "Rows kept are at least translation.gates.min_kept_share of rows read.",
    LANGUAGE_GATE: "Kept rows are in the target language: at least translation.gates.min_target_share of those long enough to tell.",
    FAILURES_GATE: "No reason rejects more of the rows read than translation.gates.max_reason_shares allows it.",
}
"""The gates of a translated set, with what each holds it to."""


def build_translated_chats(context: StageContext) -> StageReport:
    """Translate the chats, each cut before its first bad exchange."""
    return _build(context, "chats", "source_chats")


def build_translated_instructions(context: StageContext) -> StageReport:
    """Translate the instructions; bad ones go to the quarantine table."""
    return _build(context, "instructions", "source_instructions")


def _build(context: StageContext, kind: Kind, upstream: str) -> StageReport:
    choice = engine_choice(context)
    settings = section(context, "translation.engine", EngineSettings)
    shards = shards_of(context.input(upstream).table_files(SOURCE[kind].name), kind, settings.shard_characters)
    began = time.monotonic()
    folders = run_shards(
        functools.partial(translate_rows, job=_job(context, kind)),
        shards,
        context.work,
        "rows",
        suffix="",
        engine=context.engine,
        label=f"{context.asset} by {choice.kind}",
        pace=Pace("sentences", lambda folder: RowCounts.read_from(folder).engine["sentences"]),
    )
    seconds = max(time.monotonic() - began, 1e-6)
    counts = RowCounts()
    # The table that is complete first, so opened last, is the version's main table: the kept rows.
    with context.staging.table(QUARANTINE[kind]) as quarantine, context.staging.table(KEPT[kind]) as kept:
        for folder in folders:
            counts.add(RowCounts.read_from(folder))
            kept.write(pq.read_table(folder / "kept.parquet"))
            quarantine.write(pq.read_table(folder / "quarantine.parquet"))
    return _report(context, kind, choice, counts, folders, seconds)


def _job(context: StageContext, kind: Kind) -> RowsJob:
    identification = section(context, "language.identification", IdentificationSettings)
    # One of the two is a section of the stage; the other's defaults are never looked at.
    return RowsJob(
        kind,
        translator_of(context),
        section(context, "translation.gates", GateSettings),
        section(context, "translation.chats", ChatsSettings) if kind == "chats" else ChatsSettings(),
        section(context, "translation.instructions", InstructionsSettings) if kind == "instructions" else InstructionsSettings(),
        str(model_path(identification, context.downloads)),
        identification.label,
        tuple(str(path) for path in context.input("benchmark_sets").table_files("items")),
        back_translator_of(context),
    )


def _report(context: StageContext, kind: Kind, choice: EngineChoice, counts: RowCounts, folders: Sequence[Path], seconds: float) -> StageReport:
    gates, identification = section(context, "translation.gates", GateSettings), section(context, "language.identification", IdentificationSettings)
    rows = counts.read - counts.dropped_categories
    languages: Counter[str] = Counter()
    ratios: list[float] = []
    for folder in folders:
        kept = pl.read_parquet(folder / "kept.parquet", columns=["language", "length_ratio"])
        languages.update(kept["language"].drop_nulls().to_list())
        ratios += kept["length_ratio"].drop_nulls().to_list()
        ratios += pl.read_parquet(folder / "quarantine.parquet", columns=["length_ratio"])["length_ratio"].drop_nulls().to_list()
    kept_share = round(counts.kept / rows, 4) if rows else 0.0
    target_share = round(languages[identification.label] / languages.total(), 4) if languages else 0.0
    engine = {"kind": choice.kind, "package": choice.package, "parameters": dict(choice.parameters)}
    own = {"cut": counts.cut, "messages_cut": dict(sorted(counts.messages_cut.items())), "messages_read": counts.texts, "messages_kept": counts.texts_kept} if kind == "chats" else {"dropped_categories": counts.dropped_categories}
    statistics = {
        "rows_read": rows,
        "kept": counts.kept,
        "quarantined": counts.quarantined,
        "reasons": dict(sorted(counts.reasons.items())),
        "licences": dict(sorted(counts.licences.items())),
        "engine": {**engine, "note": choice.note} if choice.note else engine,
        **{name: counts.engine[name] for name in ("sentences", "words", "untranslated_words", "spans_lost", "in_parts", "truncated")},
        **own,
    }
    verdicts = (
        GateResult(KEPT_GATE, kept_share >= gates.min_kept_share, kept_share, gates.min_kept_share, "rows kept of rows read"),
        GateResult(
            LANGUAGE_GATE, target_share >= gates.min_target_share, target_share, gates.min_target_share,
            "kept rows in the target language, of those long enough to tell",
        ),
        failure_rates(counts.reasons, rows, gates.max_reason_shares),
    )  # fmt: skip
    effort = counts.effort
    observations = {
        "translation_seconds": round(seconds, 1),
        "engine_seconds": round(effort.engine_seconds, 1),
        "sentences_per_second": round(counts.engine["sentences"] / seconds, 1),
        "cached_share": round(effort.cached / effort.sentences, 4) if effort.sentences else 0.0,
    }
    _card(context, choice, statistics)
    plot = length_ratio_histogram(ratios, gates.min_length_ratio, gates.max_length_ratio)
    return StageReport(statistics, verdicts, observations, {"Side by side": preview(_pairs(kind, folders))}, {"Length ratios": plot})


def failure_rates(reasons: Mapping[str, int], rows: int, limits: Mapping[Reason, float]) -> GateResult:
    """The gate on single reasons: it shows the one that comes nearest to its limit, or goes furthest beyond it."""
    shares = {reason: reasons.get(reason, 0) / max(rows, 1) for reason in limits}
    worst = max(limits, key=lambda reason: (shares[reason] - limits[reason], reason), default=None)
    if worst is None:
        return GateResult(FAILURES_GATE, True, None, None, "no reason has a limit")
    beyond = [f"{reason} {shares[reason]:.4f} of at most {limits[reason]}" for reason in sorted(limits) if shares[reason] > limits[reason]]
    said = f"rows rejected for {worst}, of rows read" + (f"; beyond their limits: {', '.join(beyond)}" if len(beyond) > 1 else "")
    return GateResult(FAILURES_GATE, not beyond, round(shares[worst], 4), limits[worst], said)


def _pairs(kind: Kind, folders: Sequence[Path]) -> list[tuple[str, str]]:
    """Source and translation of the first kept rows."""
    for folder in folders:
        rows = pl.read_parquet(folder / "kept.parquet").head(5).to_dicts()
        if rows and kind == "chats":
            turns = [list(zip(row["source_messages"], row["messages"], strict=True))[-2:] for row in rows]
            return [(source["content"], message["content"]) for turn in turns for source, message in turn]
        if rows:
            return [(f"{row['source_instruction']}\n\n{row['source_response']}", f"{row['instruction']}\n\n{row['response']}") for row in rows]
    return []


def _card(context: StageContext, choice: EngineChoice, statistics: Mapping[str, Any]) -> None:
    warning = f"\n\n**{choice.note}**" if choice.note else ""
    gist = "\n\nApertium gives the gist: do not release these translations." if choice.kind == "apertium" else ""
    text = (
        f"# {context.asset}\n\nMade by machine translation with {choice.package}, parameters {dict(choice.parameters)}. "
        f"{statistics['kept']} of {statistics['rows_read']} rows were kept; `quarantine` holds the others with their reasons.{warning}{gist}"
    )
    language = section(context, "translation.engine", EngineSettings).target_code
    context.staging.card(text, license=hub_licences(list(statistics["licences"])), language=[language])
