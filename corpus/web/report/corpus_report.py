"""The report as figures: one pass over all documents, then the few drawn pages and the sample of texts."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from corpus.web.report.drawing import Draw, DroppedDraw
from corpus.web.report.dropped import DroppedPages, dropped_pages
from corpus.web.report.drops import Drops, DropTally
from corpus.web.report.listed_words import ListedWords, ListedWordTally
from corpus.web.report.mentions import Mentions, count_mentions
from corpus.web.report.shifts import Shifts, ShiftTally
from corpus.web.report.versions import CorpusVersions, Coverage, cover, judged_rows
from corpus.web.report.waterfall import Waterfall, WaterfallTally
from corpus.web.rules import RIGHTS_RULES, RuleSet, load_rules
from corpus.web.settings import DecisionSettings, PersonalDataSettings
from foundation.language.identification import IdentificationSettings
from foundation.language.settings import MentionSettings

EXAMPLES = 20
"""Pages drawn for each rule: of a rule that is right in nine of ten, 20 give an interval of some 30 points (Wilson)."""
SAMPLE = 20_000
"""Texts in which mentions are counted, before and after."""


@dataclass(frozen=True)
class ReportSettings:
    """What of a profile a report reads, and how much it draws; ``sample`` 0 counts no mentions."""

    profile: str
    language: str
    decisions: DecisionSettings
    identification: IdentificationSettings
    personal_data: PersonalDataSettings
    mentions: MentionSettings
    seed: int
    examples: int = EXAMPLES
    sample: int = SAMPLE


@dataclass(frozen=True)
class CorpusReport:
    """All figures of the report. What the published versions do not reach is None; ``remarks`` say what is left out, and why.

    ``idle_rules`` are applied and reject no document.
    """

    settings: ReportSettings
    coverage: Coverage
    waterfall: Waterfall
    drops: Drops | None
    shifts: Shifts | None
    listed_words: ListedWords | None
    mentions: Mentions | None
    dropped: DroppedPages
    idle_rules: tuple[str, ...]
    remarks: tuple[str, ...]


def corpus_report(versions: CorpusVersions, settings: ReportSettings) -> CorpusReport:
    """Compute the report.

    Memory: one range of documents, sums by domain and rule, and the drawn texts.

    Raises:
        WebCorpusError: no documents are published, or the profile's rules read what the signals do not hold.
    """
    coverage = cover(versions)
    draw = Draw(settings.seed)
    waterfall, drops, shifts, words = WaterfallTally(), DropTally(), ShiftTally(), ListedWordTally()
    drawn = DroppedDraw(draw, settings.examples)
    for rows in judged_rows(versions, coverage):
        for tally in (waterfall, drops, shifts, words, drawn):
            tally.add(rows)
    judged = coverage.judged_by is not None
    rules = load_rules(settings.decisions.rules)
    way = waterfall.result(versions, coverage)
    places = {step.name: place for place, step in enumerate(way.steps)}
    ordered = drawn.result().with_columns(place=pl.col("reason").replace_strict(places, default=len(places))).sort("place", maintain_order=True)
    dropped = dropped_pages(ordered, versions, coverage, settings.decisions, settings.identification, settings.personal_data)
    counted = drops.result()
    failing = {entry.rule: entry.failing for entry in counted.rules}
    return CorpusReport(
        settings=settings,
        coverage=coverage,
        waterfall=way,
        drops=counted if judged else None,
        shifts=shifts.result(everything=coverage.judged_by == "clean_corpus") if judged else None,
        listed_words=words.result(rules, failing) if judged else None,
        mentions=count_mentions(versions, coverage, settings.mentions, draw, settings.sample) if settings.sample else None,
        dropped=dropped,
        idle_rules=tuple(name for name in _applied(rules, settings) if name not in failing) if judged else (),
        remarks=(*coverage.missing, *([dropped.remark] if dropped.remark else [])),
    )


def _applied(rules: RuleSet, settings: ReportSettings) -> list[str]:
    skipped = rules.inapplicable(settings.identification.model_family)
    rights = [rule.id for rule in RIGHTS_RULES] if settings.decisions.rights == "general" else []
    return [*rights, *(name for name in rules.order if name not in skipped)]
