"""Dropped pages as a person judges them: the rule, the value that failed it, what else failed, and the beginning of the text.

Personal data of every kind is masked in addresses and texts, whatever the corpus itself replaces.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from corpus.web.errors import WebCorpusError
from corpus.web.judging import FACTS, RIGHTS_COLUMNS, columns_for, judge, judged_documents, rule_values
from corpus.web.personal_data import masked
from corpus.web.personal_kinds import KINDS
from corpus.web.report.versions import CorpusVersions, Coverage
from corpus.web.rules import RIGHTS_RULES, DocumentRule, RuleSet, Threshold, load_rules
from corpus.web.settings import DecisionSettings, PersonalDataSettings
from foundation.language.identification import IdentificationSettings
from foundation.store import PublishedVersion

SAMPLE_CHARACTERS = 600
_MASKED_CHARACTERS = 20_000
"""So much of a text is masked before it is cut: a value across the cut would stay, and masks are shorter than what they hide."""
LINE_END = " ⏎ "
"""A line end in a sample, which stays on one line."""


@dataclass(frozen=True, slots=True)
class DroppedPage:
    """A page drawn from those that a rule, or another reason, drops. ``value`` and ``threshold`` are empty where the reason has none.

    ``recorded``: the rule is the recorded reason; else it drops no page first, and this one fails it after others.
    """

    rule: str
    recorded: bool
    document_id: str
    snapshot: str
    url: str
    value: str
    threshold: str
    also_failed: tuple[str, ...]
    characters: int
    text: str


@dataclass(frozen=True)
class DroppedPages:
    """Pages by rule. ``remark``: why values and thresholds, which are those of the profile's rules now, do not belong to the decisions."""

    pages: tuple[DroppedPage, ...]
    remark: str | None = None

    def by_turns(self, count: int) -> list[DroppedPage]:
        """So many pages by their recorded reasons, of as many different ones as there are."""
        turns: Counter[str] = Counter()
        placed = []
        for place, page in enumerate(self.pages):
            if page.recorded:
                placed.append((turns[page.rule], place))
                turns[page.rule] += 1
        return [self.pages[place] for _, place in sorted(placed)[:count]]


def every_kind(settings: PersonalDataSettings) -> PersonalDataSettings:
    """The settings with all kinds, those named first."""
    return settings.model_copy(update={"kinds": (*settings.kinds, *(kind for kind in KINDS if kind not in settings.kinds))})


def sample_of(text: str, personal_data: PersonalDataSettings) -> str:
    """The beginning of a text on one line, masked."""
    shown = masked(text[:_MASKED_CHARACTERS], personal_data)
    return LINE_END.join(" ".join(line.split()) for line in shown.split("\n") if line.strip())[:SAMPLE_CHARACTERS]


def dropped_pages(
    drawn: pl.DataFrame,
    versions: CorpusVersions,
    coverage: Coverage,
    decisions: DecisionSettings,
    identification: IdentificationSettings,
    personal_data: PersonalDataSettings,
) -> DroppedPages:
    """The pages of drawn rows (reason, document_id, snapshot), in their order.

    Args:
        drawn: see ``drawing.DroppedDraw``.
        versions: where texts and values are.
        coverage: which of them count.
        decisions: the profile's rules, for values and thresholds.
        identification: the model behind language scores.
        personal_data: context words of the language; all kinds are masked.
    """
    rules, shown = load_rules(decisions.rules), every_kind(personal_data)
    found: dict[str, Mapping[str, Any]] = {}
    remark = None
    for (snapshot,), part in drawn.partition_by("snapshot", as_dict=True).items():
        facts = _facts(versions, coverage, str(snapshot), part["document_id"].unique(), identification)
        try:
            values, now = _judged(versions.signals[str(snapshot)], facts, rules, decisions, identification)
        except WebCorpusError as error:  # the pages can be judged by eye without them
            values, now, remark = [{}] * facts.height, facts["failed_rules"].to_list(), f"dropped pages are shown without values: {error}"
        if now != facts["failed_rules"].to_list():
            remark = "the profile's rules give other results than what is published: values and thresholds are those of the rules now; materialize decisions"
        found.update({row["document_id"]: {**row, "values": value} for row, value in zip(facts.iter_rows(named=True), values, strict=True)})
    return DroppedPages(tuple(_pages(drawn, found, rules, shown)), remark)


def _facts(versions: CorpusVersions, coverage: Coverage, snapshot: str, ids: pl.Series, identification: IdentificationSettings) -> pl.DataFrame:
    """Address, text, what judging reads of documents, and what was decided, in order of document id."""
    wanted = pl.col("document_id").is_in(ids.implode())
    documents = judged_documents(versions.documents[snapshot], identification).filter(wanted)
    facts = documents.select("document_id", "url", "characters", *FACTS, *RIGHTS_COLUMNS, pl.col("text").str.slice(0, _MASKED_CHARACTERS)).collect()
    if coverage.judged_by == "clean_corpus" and versions.clean is not None:
        outcome = versions.clean.scan("ledger").filter(wanted).select("document_id", "failed_rules", "cluster_size", "benchmarks").collect()
    else:
        decided = versions.decisions[snapshot].scan("decisions").filter(wanted)
        outcome = decided.select("document_id", "failed_rules", cluster_size=1, benchmarks=pl.lit([], pl.List(pl.String))).collect()
    return facts.join(outcome, on="document_id", how="inner").sort("document_id")


def _judged(
    signals: PublishedVersion, facts: pl.DataFrame, rules: RuleSet, decisions: DecisionSettings, identification: IdentificationSettings
) -> tuple[list[dict[str, float]], list[list[str]]]:
    """Of each document the values that rules judge, by rule, and the rules that it fails now."""
    columns = columns_for(rules, decisions.rights)
    beside = [name for name in (*FACTS, *RIGHTS_COLUMNS) if name in columns]
    table = signals.scan("signals")
    lacking = set(columns) - set(beside) - set(table.collect_schema().names())
    if lacking:
        raise WebCorpusError(f"{signals} holds no {sorted(lacking)}, which rules {rules.name!r} read; materialize signals again")
    measured = table.filter(pl.col("document_id").is_in(facts["document_id"].implode())).select(name for name in columns if name not in beside)
    rows = measured.collect().join(facts.select("document_id", *beside), on="document_id", how="inner").sort("document_id")
    now = judge(rows, rules, decisions.rights, identification.model_family).rows["failed_rules"].to_list()
    values = {rule: value.tolist() for rule, value in rule_values(rows, rules).items()}
    return [{rule: value[place] for rule, value in values.items()} for place in range(rows.height)], now


def _pages(drawn: pl.DataFrame, found: Mapping[str, Mapping[str, Any]], rules: RuleSet, personal_data: PersonalDataSettings) -> Iterator[DroppedPage]:
    documents = {rule.id: rule for rule in rules.documents}
    for reason, key, snapshot in drawn.select("reason", "document_id", "snapshot").iter_rows():
        row = found[key]
        value, threshold = _measure(reason, row, documents, rules)
        yield DroppedPage(
            reason,
            row["failed_rules"][:1] in ([], [reason]),
            key,
            snapshot,
            masked(row["url"] or "", personal_data),
            value,
            threshold,
            tuple(rule for rule in row["failed_rules"] if rule != reason),
            row["characters"],
            sample_of(row["text"], personal_data),
        )


def _measure(reason: str, row: Mapping[str, Any], documents: Mapping[str, DocumentRule], rules: RuleSet) -> tuple[str, str]:
    """The value that failed and its threshold, in words."""
    if reason in documents:
        rule, value = documents[reason], row["values"].get(reason, math.nan)
        also = " where " + " and ".join(_asked(condition) for condition in rule.only_where) if rule.only_where else ""
        return "" if math.isnan(value) else f"{value:.6g}", f"{_asked(rule)}{also}"
    for right in RIGHTS_RULES:
        if right.id == reason:
            return _plain(row[right.column]), f"{right.column} not stated"
    for line in rules.lines:
        if line.id == reason:
            return "a line", _asked(line)
    if reason == "benchmark_overlap":
        return _plain(row["benchmarks"]), "no text in common"
    return (f"one of {row['cluster_size']}", "one of each cluster") if reason == "duplicate" else ("", "")


def _asked(threshold: Threshold) -> str:
    return f"{threshold.signal} {threshold.comparison.replace('_', ' ')} {threshold.threshold:g}"


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)
