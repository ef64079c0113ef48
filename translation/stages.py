"""Stages of the translation workshop: English chats and instructions, and their translations.

Wiring only: what is read, which functions run, what is reported. The work is in the modules beside this one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from foundation.stages import Stage, StageContext, StageReport, StageSetup
from foundation.store import TableSpec
from translation import tables, translated
from translation.report import preview
from translation.sections import engine_choice, hub_licences, section
from translation.settings import SourcesSettings, TranslationSettings
from translation.sources import SourceRows, read_chats, read_instructions, source_files

_ENGINE = "translation.engine"
_GATES = "translation.gates"
_SOURCES = "translation.sources"
_IDENTIFICATION = "language.identification"
_SENTENCES = "language.source_sentences"


def stages(settings: TranslationSettings) -> tuple[Stage, ...]:
    """The four stages of the workshop; none depends on the settings for its shape."""
    del settings
    return (
        Stage(
            asset="source_chats",
            version="1",
            group="sources",
            build=_source_chats,
            sections=(_SOURCES,),
            tables=(tables.SOURCE_CHATS,),
            kinds=("json", "parquet"),
            description=(
                "English chats of several turns: UltraChat in the paper (arXiv 2312.09993, section 3), message lists in general, "
                "or samples written for this project. Checked, without repetitions, drawn by hash where a maximum is set."
            ),
            user_files=lambda setup: _paths(setup, "chats"),
        ),
        Stage(
            asset="source_instructions",
            version="1",
            group="sources",
            build=_source_instructions,
            sections=(_SOURCES,),
            tables=(tables.SOURCE_INSTRUCTIONS,),
            kinds=("json", "parquet"),
            description=(
                "English instructions with answers: Dolly in the paper (arXiv 2312.09993, section 3), or samples written for this "
                "project. Checked, without repetitions, drawn by hash where a maximum is set."
            ),
            user_files=lambda setup: _paths(setup, "instructions"),
        ),
        _translation_stage(
            "translated_chats",
            translated.build_translated_chats,
            "source_chats",
            "translation.chats",
            (tables.TRANSLATED_CHATS, tables.QUARANTINED_CHATS),
            "The chats in Italian, each cut before its first bad exchange. Structure, code and addresses never reach the engine; "
            "source, engine, parameters and every gate's value stand in each row. The paper used Argos Translate.",
        ),
        _translation_stage(
            "translated_instructions",
            translated.build_translated_instructions,
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
        version="3",
        group="translation",
        build=build,
        sections=(_ENGINE, section, _GATES, _IDENTIFICATION, _SENTENCES),
        upstream=(source, "benchmark_sets"),
        tables=specs,
        reproducible=lambda setup: engine_choice(setup).deterministic,
        kinds=("ctranslate2", "parquet"),
        description=description,
        gates=(translated.KEPT_GATE, translated.LANGUAGE_GATE),
        facts=_facts,
    )


def _facts(setup: StageSetup) -> Mapping[str, Any]:
    choice = engine_choice(setup)
    return {"engine": choice.kind, "engine_package": choice.package, "engine_parameters": dict(choice.parameters)}


def _paths(setup: StageSetup, kind: str) -> list[Path]:
    settings = section(setup, _SOURCES, SourcesSettings)
    return [path for _, path in source_files(settings, setup.data, kind)]


def _source_chats(context: StageContext) -> StageReport:
    settings = section(context, _SOURCES, SourcesSettings)
    found = read_chats(settings, context.data, context.seed)
    pairs = [(f"**{message['role']}**", message["content"]) for row in found.rows[:2] for message in row["messages"][:4]]
    messages = sum(len(row["messages"]) for row in found.rows)
    return _write_source(context, tables.SOURCE_CHATS, found, {"messages": messages}, preview(pairs, ("Role", "Message")))


def _source_instructions(context: StageContext) -> StageReport:
    settings = section(context, _SOURCES, SourcesSettings)
    found = read_instructions(settings, context.data, context.seed)
    pairs = [(row["instruction"], row["response"]) for row in found.rows[:5]]
    extra = {"with_context": sum(bool(row["context"]) for row in found.rows)}
    return _write_source(context, tables.SOURCE_INSTRUCTIONS, found, extra, preview(pairs, ("Instruction", "Response")))


def _write_source(context: StageContext, spec: TableSpec, found: SourceRows, extra: Mapping[str, int], table: str) -> StageReport:
    with context.staging.table(spec) as writer:
        writer.write(found.rows)
    licences = sorted({row["licence"] for row in found.rows})
    context.staging.card(f"# {context.asset}\n\n{spec.description} Sources: {dict(sorted(found.by_source.items()))}.", license=hub_licences(licences))
    statistics = {
        "rows": len(found.rows),
        "read": found.read,
        "dropped": dict(sorted(found.dropped.items())),
        "sources": dict(sorted(found.by_source.items())),
        "origin": found.origin,
        **extra,
    }
    return StageReport(statistics=statistics, previews={"First rows": table})
