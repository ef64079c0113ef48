"""The quality report of an engine: scores, what the gates rejected, how the signals are spread, samples; computed, not shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from foundation.store import BuildRecord, PublishedVersion
from translation.gates import REASONS
from translation.quality.parallel_sets import Pairs
from translation.quality.samples import Sample, draw
from translation.quality.scores import SetScores, score_set
from translation.settings import GateSettings
from translation.translate import Translator

SIGNALS = ("length_ratio", "language_score", "untranslated_share", "compression_ratio", "score", "min_score", "round_trip_chrf", "answer_in_context")
"""Signals whose spread is shown."""
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


@dataclass(frozen=True)
class Spread:
    """A signal over kept and quarantined rows: quantiles by ``QUANTILES`` of both together, and the values for a histogram."""

    signal: str
    rows: int
    quantiles: tuple[float, ...]
    kept: tuple[float, ...]
    quarantined: tuple[float, ...]


@dataclass(frozen=True)
class TranslatedSet:
    """What became of a translated set; ``reasons`` by gate, a row may have several. Speed is that of its build."""

    name: str
    version: str
    rows: int
    kept: int
    quarantined: int
    reasons: Mapping[str, int]
    flags: Mapping[str, int]
    spreads: tuple[Spread, ...]
    statistics: Mapping[str, Any]
    observations: Mapping[str, Any]


@dataclass(frozen=True)
class QualityReport:
    """All of it. ``missing``: parallel sets whose files are not there, and sets that are not published."""

    profile: str
    engine: str
    package: str
    parameters: Mapping[str, Any]
    note: str
    scores: tuple[SetScores, ...]
    sets: tuple[TranslatedSet, ...]
    samples: tuple[Sample, ...]
    gates: GateSettings
    missing: tuple[str, ...]


def quality_report(
    profile: str,
    translator: Translator,
    pairs: Sequence[Pairs],
    published: Mapping[str, tuple[PublishedVersion, BuildRecord]],
    gates: GateSettings,
    *,
    samples: int,
    seed: int,
    missing: Sequence[str] = (),
) -> QualityReport:
    """Score the engine and look at what it made.

    Args:
        profile: the profile's name.
        translator: the engine of the profile.
        pairs: parallel sets.
        published: translated sets, ``chats`` and ``instructions``, where they are published, with their builds.
        gates: the thresholds.
        samples: rows to draw for the review sheet.
        seed: of the draw.
        missing: what could not be looked at.

    Raises:
        EngineError: the engine cannot be used.
    """
    choice = translator.choice
    drawn = draw({name: version for name, (version, _) in published.items()}, samples, seed) if published and samples else []
    return QualityReport(
        profile,
        choice.kind,
        choice.package,
        dict(choice.parameters),
        choice.note,
        tuple(score_set(found, translator) for found in pairs),
        tuple(_translated_set(name, version, record) for name, (version, record) in sorted(published.items())),
        tuple(drawn),
        gates,
        (*missing, *(f"translated_{name} is not published" for name in ("chats", "instructions") if name not in published)),
    )


def _translated_set(name: str, version: PublishedVersion, record: BuildRecord) -> TranslatedSet:
    kept, rejected = (version.scan(table).select(*SIGNALS, "flags", *more).collect() for table, more in ((name, ()), ("quarantine", ("reasons",))))
    reasons = dict(rejected["reasons"].explode().drop_nulls().value_counts().iter_rows())
    flags = dict(pl.concat([kept["flags"], rejected["flags"]]).explode().drop_nulls().value_counts(sort=True).iter_rows())
    return TranslatedSet(
        name,
        str(version),
        kept.height + rejected.height,
        kept.height,
        rejected.height,
        {reason: reasons[reason] for reason in REASONS if reason in reasons} | {reason: count for reason, count in sorted(reasons.items()) if reason not in REASONS},
        dict(sorted(flags.items())),
        tuple(spread for signal in SIGNALS if (spread := _spread(signal, kept[signal], rejected[signal])) is not None),
        record.statistics,
        record.observations,
    )


def _spread(signal: str, kept: pl.Series, rejected: pl.Series) -> Spread | None:
    values = pl.concat([kept, rejected]).drop_nulls()
    if values.is_empty():
        return None
    quantiles = tuple(round(float(values.quantile(share) or 0.0), 4) for share in QUANTILES)
    return Spread(signal, len(values), quantiles, tuple(kept.drop_nulls().to_list()), tuple(rejected.drop_nulls().to_list()))
