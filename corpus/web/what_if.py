"""What if: a published snapshot judged again by other rules, from its signals alone, beside what its decisions say.

No text is read, so overlap with benchmarks, which needs it, is not looked at again; neither are duplicates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from corpus.web.errors import WebCorpusError
from corpus.web.judging import Rights, columns_by_table, judge, judged_documents
from corpus.web.rules import RIGHTS_RULES, RuleSet
from corpus.web.signals import read_signals
from foundation.language.identification import IdentificationSettings
from foundation.store import PublishedVersion


@dataclass(frozen=True, slots=True)
class RuleChange:
    """Documents that fail a rule, before and after: None where the new rules do not apply it. ``newly`` and ``no_longer`` fail it
    on one side only; ``examples`` are addresses of the first of these."""

    rule: str
    before: int
    after: int | None
    newly: int
    no_longer: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The difference that rules make on one snapshot."""

    snapshot: str
    rules: str
    documents: int
    passing_before: int
    passing_after: int
    newly_passing: tuple[str, ...]
    newly_failing: tuple[str, ...]
    newly_passing_documents: int
    newly_failing_documents: int
    characters_before: int
    characters_after: int
    removed_lines_before: int
    removed_lines_after: int
    changes: tuple[RuleChange, ...]
    not_applied: Mapping[str, str]
    without_value: Mapping[str, int]

    def as_json(self) -> dict[str, Any]:
        """All figures as JSON values."""
        return {
            name: [{field: getattr(change, field) for field in RuleChange.__slots__} for change in self.changes] if name == "changes" else getattr(self, name)
            for name in WhatIf.__slots__
        }


def what_if(
    documents: PublishedVersion,
    signals: PublishedVersion,
    decisions: PublishedVersion,
    rules: RuleSet,
    rights: Rights,
    identification: IdentificationSettings,
    examples: int = 3,
) -> WhatIf:
    """Judge a snapshot by other rules and compare.

    Args:
        documents: addresses, language scores and rights of the pages; their text is not read.
        signals: what is judged.
        decisions: what was decided, to compare with.
        rules: the other rules.
        rights: as in ``corpus.web.decisions``.
        identification: the model behind the language scores.
        examples: addresses to name for each change, the first by document id.

    Raises:
        WebCorpusError: the three versions do not belong together, or the rules read what the signals do not hold.
    """
    before = decisions.scan("decisions").select("document_id", "passes_rules", "failed_rules", "removed_lines", "kept_characters").collect()
    rows = _judged_rows(documents, signals, rules, rights, identification)
    if rows.height != before.height or not (rows["document_id"] == before["document_id"]).all():
        raise WebCorpusError(f"{signals} and {decisions} are not of the same documents; materialize decisions again")
    judgement = judge(rows, rules, rights, identification.model_family)
    skipped = rules.inapplicable(identification.model_family)
    applied = [*(rule.id for rule in RIGHTS_RULES if rights == "general"), *(rule for rule in rules.order if rule not in skipped)]
    after = judgement.rows
    urls = rows["url"]
    passed, passes = before["passes_rules"], after["passes_rules"]
    gained, lost = ~passed & passes, passed & ~passes
    return WhatIf(
        snapshot=str(signals.partition),
        rules=rules.name,
        documents=rows.height,
        passing_before=int(passed.sum()),
        passing_after=int(passes.sum()),
        newly_passing=tuple(urls.filter(gained).head(examples)),
        newly_failing=tuple(urls.filter(lost).head(examples)),
        newly_passing_documents=int(gained.sum()),
        newly_failing_documents=int(lost.sum()),
        characters_before=int(before["kept_characters"].filter(passed).sum()),
        characters_after=int(after["kept_characters"].filter(passes).sum()),
        removed_lines_before=int(before["removed_lines"].list.len().sum()),
        removed_lines_after=int(after["removed_lines"].list.len().sum()),
        changes=_changes(before["failed_rules"], after["failed_rules"], urls, applied, examples),
        not_applied=skipped,
        without_value=dict(sorted(judgement.unmeasured.items())),
    )


def _judged_rows(
    documents: PublishedVersion, signals: PublishedVersion, rules: RuleSet, rights: Rights, identification: IdentificationSettings
) -> pl.DataFrame:
    """Signals with what is read of documents beside them, by document id."""
    of_signals, of_documents = columns_by_table(rules, rights)
    measured = read_signals(signals.table_files("signals"), of_signals)
    known = judged_documents(documents, identification).select("document_id", "url", *of_documents).collect()
    rows = measured.join(known, on="document_id", how="inner", validate="1:1").sort("document_id")
    if rows.height != measured.height:
        raise WebCorpusError(f"{signals} and {documents} are not of the same documents; materialize signals again")
    return rows


def _changes(before: pl.Series, after: pl.Series, urls: pl.Series, applied: Sequence[str], examples: int) -> tuple[RuleChange, ...]:
    """Every rule that is applied, in order, and those that only failed before at the end."""
    was, now = (_failures(column, side) for column, side in ((before, "was"), (after, "now")))
    newly, no_longer = pl.col("was").is_null(), pl.col("now").is_null()
    found = (
        was.join(now, on=["row", "rule"], how="full", coalesce=True)
        .group_by("rule")
        .agg(
            pl.col("was", "now").count(),
            newly=newly.sum(),
            no_longer=no_longer.sum(),
            newly_rows=pl.col("row").filter(newly).sort().head(examples),
            no_longer_rows=pl.col("row").filter(no_longer).sort().head(examples),
        )
    )
    counts = {row["rule"]: row for row in found.iter_rows(named=True)}
    nothing = {"was": 0, "now": 0, "newly": 0, "no_longer": 0, "newly_rows": [], "no_longer_rows": []}
    changes = []
    for rule in (*applied, *sorted(set(was["rule"]) - set(applied))):
        count = counts.get(rule, nothing)
        shown = urls.gather(count["newly_rows"] or count["no_longer_rows"])
        after_count = count["now"] if rule in applied else None
        changes.append(RuleChange(rule, count["was"], after_count, count["newly"], count["no_longer"], tuple(shown)))
    return tuple(changes)


def _failures(failed: pl.Series, side: str) -> pl.DataFrame:
    """A row for each document, by its place, and each rule that it fails; ``side`` is the name of a column that is true."""
    rows = pl.DataFrame({"rule": failed}).with_row_index("row").explode("rule").drop_nulls()
    return rows.with_columns(pl.lit(value=True).alias(side))


def summary(result: WhatIf) -> list[str]:
    """Lines for a terminal: totals, then each rule that changes anything, then what could not be judged."""
    lines = [
        f"{result.snapshot} by {result.rules}: {result.passing_after} of {result.documents} documents pass, and {result.passing_before} did "
        f"({result.newly_passing_documents} more, {result.newly_failing_documents} no longer)",
        f"  characters left: {result.characters_after}, before {result.characters_before}; "
        f"lines removed: {result.removed_lines_after}, before {result.removed_lines_before}",
    ]
    for label, urls in (("now passes", result.newly_passing), ("now fails", result.newly_failing)):
        lines += [f"  {label}: {url}" for url in urls]
    for change in result.changes:
        if change.newly or change.no_longer:
            now = "not a rule" if change.after is None else change.after
            lines.append(f"  {change.rule}: {change.before} -> {now} (+{change.newly} -{change.no_longer})")
            lines += [f"    {url}" for url in change.examples]
    same = [change.rule for change in result.changes if not change.newly and not change.no_longer and change.after]
    lines += [f"  unchanged: {', '.join(same)}"] if same else []
    lines += [f"  not applied: {rule}: {reason}" for rule, reason in result.not_applied.items()]
    lines += [f"  without a value: {rule}: in {count} documents (its list or model was not measured)" for rule, count in result.without_value.items()]
    return lines
