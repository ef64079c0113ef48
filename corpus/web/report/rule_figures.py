"""Figures of failing rules for the build of decisions, which Dagster shows: what each drops alone, and which fail together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from corpus.web.previews import markdown_table
from corpus.web.report.drops import DropTally
from corpus.web.report.plots import overlap_plot

_PAIRS = 5
"""Pairs among the statistics: Dagster shows some sixty numbers of a build."""


@dataclass(frozen=True)
class RuleFigures:
    """What goes into a ``StageReport``: ``failed_alone`` are documents by rule that fail no other one, ``failed_together`` those that
    fail both rules of the most frequent pairs."""

    statistics: Mapping[str, Any]
    previews: Mapping[str, str] = field(default_factory=dict)
    plots: Mapping[str, bytes] = field(default_factory=dict)


def rule_figures(tally: DropTally) -> RuleFigures:
    """The figures of all ranges that a tally was given."""
    drops = tally.result()
    statistics = {
        "failed_alone": {rule.rule: rule.alone for rule in sorted(drops.rules, key=lambda rule: rule.rule) if rule.alone},
        "failed_together": {f"{pair.first} and {pair.second}": pair.both for pair in drops.pairs[:_PAIRS]},
    }
    if not drops.rules:
        return RuleFigures(statistics)
    table = markdown_table(
        [
            {"rule": rule.rule, "at all": rule.failing, "first": rule.first, "alone": rule.alone, "words, first": rule.first_words, "words, alone": rule.alone_words}
            for rule in drops.rules
        ]
    )
    return RuleFigures(statistics, {"Drops by rule": table}, {"Rules that fail together": overlap_plot(drops).png} if drops.pairs else {})
