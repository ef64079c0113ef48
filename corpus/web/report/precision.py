"""Precision of rules by a filled review sheet: of pages with a verdict, the share that was rightly dropped, with 95 % intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from corpus.web.errors import WebCorpusError
from corpus.web.report.review_sheet import FilledSheet, JudgedPage
from corpus.web.report.versions import CorpusVersions, Coverage, cover, judged_rows
from foundation.review.intervals import Interval, weighted, wilson

_FAULTS_NAMED = 5


@dataclass(frozen=True)
class RulePrecision:
    """Verdicts on one rule's pages. ``drops`` are the documents that it drops first; ``precision`` is None without a clear verdict."""

    rule: str
    drops: int
    right: int
    wrong: int
    unsure: int
    precision: Interval | None


@dataclass(frozen=True)
class Review:
    """Precision by rule, and of all drops by rules, every rule weighted by the documents that it drops first.

    ``covered_share`` is the share of those drops whose rule has a clear verdict: the estimate speaks of these alone.
    """

    version: str
    rules: tuple[RulePrecision, ...]
    overall: Interval | None
    covered_share: float
    unjudged: int

    def as_json(self) -> dict[str, Any]:
        """All figures as JSON values."""
        return asdict(self)


def review(sheet: FilledSheet, versions: CorpusVersions) -> Review:
    """What the verdicts of a sheet say of the published corpus.

    Raises:
        WebCorpusError: the sheet is of another version than is published, or names pages that its rules do not drop.
    """
    coverage = cover(versions)
    if sheet.version != coverage.version:
        raise WebCorpusError(
            f"{sheet.path} was drawn from {sheet.version}, and {coverage.version} is published now: its pages are no random sample of "
            "this one. Name the profile and settings that it was drawn under, or write a new sheet with `transumanza corpus report`"
        )
    drops, wrong_rows = _drops(sheet.pages, versions, coverage)
    if wrong_rows:
        named = "; ".join(f"row {page.row}: document {page.document_id} does not fail rule {page.rule}" for page in wrong_rows[:_FAULTS_NAMED])
        raise WebCorpusError(
            f"{sheet.path}: {named}. A spreadsheet may have changed the id (format the column as text), or the row was put in by hand; restore or delete it"
        )
    return summarized(sheet, drops)


def summarized(sheet: FilledSheet, drops: Mapping[str, int]) -> Review:
    """The review of a sheet; ``drops`` are documents by rule that drops them first."""
    verdicts: dict[str, Counter[str]] = {}
    for page in sheet.pages:
        verdicts.setdefault(page.rule, Counter())[page.verdict] += 1
    rules = [
        RulePrecision(rule, drops.get(rule, 0), counts["right"], counts["wrong"], counts["unsure"], wilson(counts["right"], counts["right"] + counts["wrong"]))
        for rule, counts in verdicts.items()
    ]
    clear = [(entry.drops, entry.precision) for entry in rules if entry.precision is not None]
    covered = sum(weight for weight, _ in clear) / max(sum(drops.values()), 1)
    ordered = tuple(sorted(rules, key=lambda entry: (-entry.drops, entry.rule)))
    return Review(sheet.version, ordered, weighted(clear), covered, sheet.unjudged)


def _drops(pages: Sequence[JudgedPage], versions: CorpusVersions, coverage: Coverage) -> tuple[dict[str, int], list[JudgedPage]]:
    """Documents by the rule that drops them first, and pages that do not fail their rule."""
    firsts: Counter[str] = Counter()
    failing: set[tuple[str, str]] = set()
    ids = pl.Series(sorted({page.document_id for page in pages}), dtype=pl.String)
    for rows in judged_rows(versions, coverage):
        dropped = rows.filter(pl.col("failed_rules").list.len() > 0).select("document_id", "failed_rules")
        firsts.update(dict(dropped.group_by(rule=pl.col("failed_rules").list.first()).len().iter_rows()))
        known = dropped.filter(pl.col("document_id").is_in(ids.implode())).explode("failed_rules")
        failing.update((rule, key) for key, rule in known.iter_rows())
    return dict(firsts), [page for page in pages if (page.rule, page.document_id) not in failing]


def lines(found: Review) -> list[str]:
    """A review in lines for a terminal."""
    shown = [f"{entry.rule}: {_said(entry.precision)} ({entry.right} right, {entry.wrong} wrong, {entry.unsure} unsure; drops {entry.drops} first)" for entry in found.rules]
    overall = f"all drops by rules: {_said(found.overall)}, weighted by documents dropped first; {found.covered_share:.0%} of them by rules with a verdict"
    return [f"review of {found.version}", *(f"  {line}" for line in shown), f"  {overall}", f"  rows without a verdict: {found.unjudged}"]


def _said(interval: Interval | None) -> str:
    return "no clear verdict" if interval is None else f"{interval.share:.0%} right, 95 % interval {interval.low:.0%} to {interval.high:.0%}"
