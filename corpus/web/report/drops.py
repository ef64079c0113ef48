"""Drops by rule, and how rules overlap: what each rejects, first, alone, and together with each other rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from corpus.web.report.sums import Sums

_COUNTS = ("failing", "first", "alone")
_COSTS = ("first_characters", "first_words", "alone_characters", "alone_words")


@dataclass(frozen=True, slots=True)
class RuleDrops:
    """What one rule rejects.

    ``failing``: documents that fail it, whatever else they fail. ``first``: those for which it is the recorded reason, so that these
    add up to all that rules drop. ``alone``: those that fail no other rule and would pass without it (they may still be duplicates).
    Characters and words are of the extracted texts.
    """

    rule: str
    failing: int
    first: int
    alone: int
    first_characters: int
    first_words: int
    alone_characters: int
    alone_words: int


@dataclass(frozen=True, slots=True)
class RulePair:
    """Documents that fail both of two rules, in their share of those that fail either (Jaccard)."""

    first: str
    second: str
    both: int
    share_of_either: float


@dataclass(frozen=True)
class Drops:
    """Rules by documents dropped first, and pairs of rules by documents that fail both; only what happens at all."""

    documents: int
    passing: int
    rules: tuple[RuleDrops, ...]
    pairs: tuple[RulePair, ...]

    def conditional(self, rules: Sequence[str]) -> list[list[float]]:
        """For the documents that fail the rule of a row, the share that also fails the rule of a column; 1 on the diagonal."""
        failing = {entry.rule: entry.failing for entry in self.rules}
        both = {(pair.first, pair.second): pair.both for pair in self.pairs}
        return [
            [1.0 if row == column else both.get((min(row, column), max(row, column)), 0) / failing[row] for column in rules] for row in rules
        ]


class DropTally:
    """Counts failing rules; rows need ``failed_rules`` in the order of work, ``characters`` and ``words``."""

    def __init__(self) -> None:
        self._rules = Sums(("rule",), (*_COUNTS, *_COSTS))
        self._pairs = Sums(("rule", "other"), ("both",))
        self._documents = self._passing = 0

    def add(self, rows: pl.DataFrame) -> None:
        """Count a range of documents."""
        failing = rows.select("failed_rules", "characters", "words").filter(pl.col("failed_rules").list.len() > 0)
        self._documents += rows.height
        self._passing += rows.height - failing.height
        each = (
            failing.with_columns(reason=pl.col("failed_rules").list.first(), rules=pl.col("failed_rules").list.len())
            .with_row_index("row")
            .explode("failed_rules")
            .rename({"failed_rules": "rule"})
        )
        first, alone = pl.col("rule") == pl.col("reason"), pl.col("rules") == 1
        self._rules.add(
            each.group_by("rule").agg(
                failing=pl.len(),
                first=first.sum(),
                alone=alone.sum(),
                first_characters=pl.col("characters").filter(first).sum(),
                first_words=pl.col("words").filter(first).sum(),
                alone_characters=pl.col("characters").filter(alone).sum(),
                alone_words=pl.col("words").filter(alone).sum(),
            )
        )
        named = each.filter(~alone).select("row", "rule")
        pairs = named.join(named.rename({"rule": "other"}), on="row", how="inner").filter(pl.col("rule") < pl.col("other"))
        self._pairs.add(pairs.group_by("rule", "other").agg(both=pl.len()))

    def result(self) -> Drops:
        """What was counted."""
        rules = [RuleDrops(**row) for row in self._rules.frame().iter_rows(named=True)]
        failing = {entry.rule: entry.failing for entry in rules}
        pairs = [
            RulePair(first, second, both, both / (failing[first] + failing[second] - both)) for first, second, both in self._pairs.frame().iter_rows()
        ]
        return Drops(
            self._documents,
            self._passing,
            tuple(sorted(rules, key=lambda entry: (-entry.first, -entry.failing, entry.rule))),
            tuple(sorted(pairs, key=lambda pair: (-pair.both, pair.first, pair.second))),
        )
