"""Stages of the translation workshop: English chats and instructions, and their translations.

Wiring only: what is read, which functions run, what is reported. The work is in the modules beside this one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from foundation.stages import Stage, StageContext, StageReport, StageSetup
from foundation.store import TableSpec
from translation import tables, translated
from translation.sections import back_choice, engine_choice
from translation.settings import TranslationSettings
from translation.sources.build import source_stages
from translation.translate import TEXT_RULES

_ENGINE = "translation.engine"
_GATES = "translation.gates"
_IDENTIFICATION = "language.identification"
_SENTENCES = "language.source_sentences"


def stages(settings: TranslationSettings) -> tuple[Stage, ...]:
    """The four stages of the workshop; none depends on the settings for its shape."""
    del settings
    return (
        *source_stages(),
        _translation_stage(
            "translated_chats",
            translated.build_translated_chats,
            "source_chats",
            "translation.chats",
            (tables.TRANSLATED_CHATS, tables.QUARANTINED_CHATS),
            {"messages": ("source_chats.messages",), "source_messages": ("source_chats.messages",)},
            "The chats in Italian, each cut before its first bad exchange. Structure, code and addresses never reach the engine; "
            "source, engine, parameters and every gate's value stand in each row. The paper used Argos Translate.",
        ),
        _translation_stage(
            "translated_instructions",
            translated.build_translated_instructions,
            "source_instructions",
            "translation.instructions",
            (tables.TRANSLATED_INSTRUCTIONS, tables.QUARANTINED_INSTRUCTIONS),
            {f"{prefix}{part}": (f"source_instructions.{part}",) for prefix in ("", "source_") for part in ("instruction", "context", "response")},
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
    derived: Mapping[str, tuple[str, ...]],
    description: str,
) -> Stage:
    return Stage(
        asset=asset,
        version="5",
        group="translation",
        build=build,
        sections=(_ENGINE, section, _GATES, _IDENTIFICATION, _SENTENCES),
        upstream=(source, "benchmark_sets"),
        tables=specs,
        carried={source: ("id", "source", "source_id", "licence", "revision")},
        derived=derived,
        reproducible=_reproducible,
        kinds=("ctranslate2", "parquet"),
        description=description,
        gates=translated.GATES,
        facts=_facts,
    )


def _reproducible(setup: StageSetup) -> bool:
    back = back_choice(setup)
    return engine_choice(setup).deterministic and (back is None or back.deterministic)


def _facts(setup: StageSetup) -> Mapping[str, Any]:
    choice, back = engine_choice(setup), back_choice(setup)
    facts = {"engine": choice.kind, "engine_package": choice.package, "engine_parameters": dict(choice.parameters), "text_rules": TEXT_RULES}
    return facts if back is None else {**facts, "round_trip_package": back.package, "round_trip_parameters": dict(back.parameters)}
