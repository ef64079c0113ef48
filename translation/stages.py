"""Stages of the translation workshop: English chats and instructions, and their translations.

Wiring only: what is read, which functions run, what is reported. The work is in the modules beside this one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from foundation.language.identification import IdentificationSettings, load_identifier, model_path
from foundation.language.sentences import SentenceSettings
from foundation.settings import Settings
from foundation.stages import Stage, StageContext, StageError, StageReport, StageSetup
from foundation.store import GateResult, TableSpec
from translation import tables
from translation.contamination import benchmark_index
from translation.engines.choice import choose
from translation.engines.engine import EngineChoice
from translation.report import length_ratio_histogram, preview
from translation.rows import FIELDS, Judge, Judged, Row, judge_chats, judge_instructions
from translation.settings import (
    ChatsSettings,
    EngineSettings,
    GateSettings,
    InstructionsSettings,
    TranslationSettings,
)
from translation.sources.build import source_stages
from translation.translate import TranslatedText, TranslationRun, translate_texts

_ENGINE = "translation.engine"
_GATES = "translation.gates"
_IDENTIFICATION = "language.identification"
_SENTENCES = "language.source_sentences"
S = TypeVar("S", bound=Settings)

KEPT_GATE = "kept_share"
LANGUAGE_GATE = "target_language_share"


def stages(settings: TranslationSettings) -> tuple[Stage, ...]:
    """The four stages of the workshop; none depends on the settings for its shape."""
    del settings
    return (
        *source_stages(),
        _translation_stage(
            "translated_chats",
            _translated_chats,
            "source_chats",
            "translation.chats",
            (tables.TRANSLATED_CHATS, tables.QUARANTINED_CHATS),
            "The chats in Italian, each cut before its first bad exchange. Structure, code and addresses never reach the engine; "
            "source, engine, parameters and every gate's value stand in each row. The paper used Argos Translate.",
        ),
        _translation_stage(
            "translated_instructions",
            _translated_instructions,
            "source_instructions",
            "translation.instructions",
            (tables.TRANSLATED_INSTRUCTIONS, tables.QUARANTINED_INSTRUCTIONS),
            "The instructions in Italian; rows that fail a gate are in quarantine with their reasons. Source, engine, parameters and "
            "every gate's value stand in each row. Translations of share-alike sources keep their licence.",
        ),
    )


def _translation_stage(
    asset: str,
    build: Callable[[StageContext], StageReport],
    source: str,
    section: str,
    specs: tuple[TableSpec, ...],
    description: str,
) -> Stage:
    return Stage(
        asset=asset,
        version="2",
        group="translation",
        build=build,
        sections=(_ENGINE, section, _GATES, _IDENTIFICATION, _SENTENCES),
        upstream=(source, "benchmark_sets"),
        tables=specs,
        reproducible=lambda setup: engine_choice(setup).deterministic,
        kinds=("ctranslate2", "parquet"),
        description=description,
        gates=(KEPT_GATE, LANGUAGE_GATE),
        facts=_facts,
    )


def engine_choice(setup: StageSetup) -> EngineChoice:
    """The engine of a profile; its files are obtained where they are not in the cache."""
    settings = _section(setup, _ENGINE, EngineSettings)
    return choose(settings, setup.data, setup.downloads, setup.debian)


def _section(setup: StageSetup, path: str, kind: type[S]) -> S:
    """A settings section as the model it must be."""
    section = setup.settings[path]
    if not isinstance(section, kind):
        raise StageError(f"profile section {path} is a {type(section).__name__}, and {kind.__name__} is expected")
    return section


def _facts(setup: StageSetup) -> Mapping[str, Any]:
    choice = engine_choice(setup)
    return {"engine": choice.kind, "engine_package": choice.package, "engine_parameters": dict(choice.parameters)}


def _translated_chats(context: StageContext) -> StageReport:
    settings = _section(context, "translation.chats", ChatsSettings)
    rows = context.input("source_chats").read("chats").to_dicts()
    if not settings.translate_system:
        rows = [{**row, "messages": [message for message in row["messages"] if message["role"] != "system"]} for row in rows]
    texts = [message["content"] for row in rows for message in row["messages"]]
    choice = engine_choice(context)
    translations, observations = _translate(context, texts, choice)
    judged = judge_chats(rows, translations, _judge(context, choice), settings)
    _write(context, tables.TRANSLATED_CHATS, tables.QUARANTINED_CHATS, judged)
    pairs = [
        (source["content"], message["content"])
        for row in judged.kept[:5]
        for source, message in list(zip(row["source_messages"], row["messages"], strict=True))[-2:]
    ]
    extra = {
        "cut": judged.cut,
        "messages_read": len(texts),
        "messages_kept": sum(len(row["messages"]) for row in judged.kept),
    }
    return _report(context, choice, judged, rows, translations, extra, preview(pairs[:10]), observations)


def _translated_instructions(context: StageContext) -> StageReport:
    settings = _section(context, "translation.instructions", InstructionsSettings)
    everything = context.input("source_instructions").read("instructions").to_dicts()
    rows = [row for row in everything if row["category"] not in settings.drop_categories]
    choice = engine_choice(context)
    translations, observations = _translate(context, [row[name] for row in rows for name in FIELDS], choice)
    judged = judge_instructions(rows, translations, _judge(context, choice))
    _write(context, tables.TRANSLATED_INSTRUCTIONS, tables.QUARANTINED_INSTRUCTIONS, judged)
    pairs = [
        (f"{row['source_instruction']}\n\n{row['source_response']}", f"{row['instruction']}\n\n{row['response']}") for row in judged.kept[:5]
    ]
    extra = {"dropped_categories": len(everything) - len(rows)}
    return _report(context, choice, judged, rows, translations, extra, preview(pairs), observations)


def _translate(
    context: StageContext, texts: Sequence[str], choice: EngineChoice
) -> tuple[dict[str, TranslatedText], dict[str, float]]:
    """Translations by text, and how fast they came."""
    engine, sentences = _section(context, _ENGINE, EngineSettings), _section(context, _SENTENCES, SentenceSettings)
    run = TranslationRun(choice, sentences, engine.max_sentence_characters, engine.shard_sentences, context.engine)
    distinct = sorted(set(texts))
    clock = time.monotonic()
    found = dict(zip(distinct, translate_texts(distinct, run, context.work), strict=True))
    seconds = max(time.monotonic() - clock, 1e-6)
    total = sum(text.sentences for text in found.values())
    return found, {"translation_seconds": round(seconds, 1), "sentences_per_second": round(total / seconds, 1)}


def _judge(context: StageContext, choice: EngineChoice) -> Judge:
    identification, gates = _section(context, _IDENTIFICATION, IdentificationSettings), _section(context, _GATES, GateSettings)
    items = context.input("benchmark_sets").scan("items").select("benchmark", "item_id", "text").collect().iter_rows()
    return Judge(
        identifier=load_identifier(model_path(identification, context.downloads)),
        target=identification.label,
        index=benchmark_index(items, gates.benchmark_ngram),
        choice=choice,
        settings=gates,
    )


def _write(context: StageContext, kept: TableSpec, quarantine: TableSpec, judged: Judged) -> None:
    for spec, rows in ((kept, judged.kept), (quarantine, judged.quarantined)):
        with context.staging.table(spec) as writer:
            writer.write(rows)


def _report(
    context: StageContext,
    choice: EngineChoice,
    judged: Judged,
    rows: Sequence[Row],
    translations: Mapping[str, TranslatedText],
    extra: Mapping[str, int],
    table: str,
    observations: Mapping[str, float],
) -> StageReport:
    gates, identification = _section(context, _GATES, GateSettings), _section(context, _IDENTIFICATION, IdentificationSettings)
    kept_share = round(len(judged.kept) / len(rows), 4) if rows else 0.0
    identified = [row["language"] for row in judged.kept if row["language"] is not None]
    target_share = round(identified.count(identification.label) / len(identified), 4) if identified else 0.0
    engine = {"kind": choice.kind, "package": choice.package, "parameters": dict(choice.parameters)}
    statistics = {
        "rows_read": len(rows),
        "kept": len(judged.kept),
        "quarantined": len(judged.quarantined),
        "reasons": dict(sorted(judged.reasons.items())),
        "licences": sorted({row["licence"] for row in rows}),
        "engine": {**engine, "note": choice.note} if choice.note else engine,
        "sentences": sum(text.sentences for text in translations.values()),
        "words": sum(text.words for text in translations.values()),
        "untranslated_words": sum(text.untranslated_words for text in translations.values()),
        "spans_lost": sum(text.spans_lost for text in translations.values()),
        "truncated": sum(text.truncated for text in translations.values()),
        **extra,
    }
    verdicts = (
        GateResult(KEPT_GATE, kept_share >= gates.min_kept_share, kept_share, gates.min_kept_share, "rows kept of rows read"),
        GateResult(
            LANGUAGE_GATE, target_share >= gates.min_target_share, target_share, gates.min_target_share,
            "kept rows in the target language, of those long enough to tell",
        ),
    )  # fmt: skip
    _card(context, choice, statistics)
    ratios = [row["length_ratio"] for row in (*judged.kept, *judged.quarantined) if row["length_ratio"] is not None]
    plot = length_ratio_histogram(ratios, gates.min_length_ratio, gates.max_length_ratio)
    return StageReport(statistics, verdicts, observations, {"Side by side": table}, {"Length ratios": plot})


def _card(context: StageContext, choice: EngineChoice, statistics: Mapping[str, Any]) -> None:
    warning = f"\n\n**{choice.note}**" if choice.note else ""
    gist = "\n\nApertium gives the gist: do not release these translations." if choice.kind == "apertium" else ""
    text = (
        f"# {context.asset}\n\nMade by machine translation with {choice.package}, parameters {dict(choice.parameters)}. "
        f"{statistics['kept']} of {statistics['rows_read']} rows were kept; `quarantine` holds the others with their reasons.{warning}{gist}"
    )
    context.staging.card(text, license=_hub(statistics["licences"]), language=[_section(context, _ENGINE, EngineSettings).target_code])


def _hub(licences: Sequence[str]) -> str | list[str]:
    """Licences as the Hub writes them: lower case, one or a list."""
    names = [licence.lower() for licence in licences]
    return names[0] if len(names) == 1 else names
