"""One page's whole story: what it was taken for, every rule that it fails with value and threshold, what it shares with
benchmarks, its copies, and what is published of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from corpus.web.decisions import without_lines
from corpus.web.documents import DOCUMENTS
from corpus.web.judging import columns_for, judge, judged_documents, rule_values
from corpus.web.personal_data import masked
from corpus.web.rules import RIGHTS_RULES, RuleSet, load_rules
from corpus.web.settings import DecisionSettings, PersonalDataSettings
from foundation.language.identification import IdentificationSettings
from foundation.store import PublishedVersion

SAMPLE_CHARACTERS = 100
_SHOWN = 5
"""Of removed lines, of items and of copies."""


@dataclass(frozen=True)
class JudgedSnapshot:
    """What one snapshot's documents were judged by."""

    documents: PublishedVersion
    signals: PublishedVersion
    decisions: PublishedVersion


@dataclass(frozen=True)
class StorySettings:
    """The profile's sections that a story reads."""

    decisions: DecisionSettings
    identification: IdentificationSettings
    personal_data: PersonalDataSettings


def why(
    url: str,
    documents: Mapping[str, PublishedVersion],
    clean: PublishedVersion | None,
    judged: Mapping[str, JudgedSnapshot] | None = None,
    settings: StorySettings | None = None,
) -> list[dict[str, Any]]:
    """What became of an address: one entry for each capture that is known of; empty where nothing is.

    Documents are looked up in the ledger; pages that never became documents only among the examples that the skipped
    table keeps. Every entry holds snapshot, url, kept, step and reason; samples of text have their personal data masked.
    Where the rows of documents were pruned, what was measured of a page is left out.

    Args:
        url: the address as it was crawled.
        documents: by snapshot.
        clean: the clean corpus, where there is one.
        judged: by snapshot; adds values and thresholds of failing rules, removed lines and overlap.
        settings: needed with ``judged``.
    """
    found: list[dict[str, Any]] = []
    for snapshot, version in documents.items():
        skipped = version.scan("skipped").filter(pl.col("examples").list.contains(url)).collect()
        found.extend(
            {"snapshot": snapshot, "url": url, "kept": False, "step": "documents", "reason": row["reason"], "language": row["language"]}
            for row in skipped.iter_rows(named=True)
        )
    if clean is None:
        return found
    ledger = clean.scan("ledger")
    for row in ledger.filter(pl.col("url") == url).collect().iter_rows(named=True):
        entry = {"step": "decisions" if row["failed_rules"] else "clean_corpus", **row}
        if row["cluster_size"] > 1:
            entry |= _copies(row, ledger)
        if row["kept"]:
            entry |= _published(row, clean)
        snapshot = row["snapshot"]
        if judged is not None and settings is not None and snapshot in judged:
            entry |= _judged(row, judged[snapshot], settings)
        found.append(entry)
    return found


def _copies(row: Mapping[str, Any], ledger: pl.LazyFrame) -> dict[str, Any]:
    members = ledger.filter((pl.col("cluster_id") == row["cluster_id"]) & (pl.col("document_id") != row["document_id"]))
    others = members.select("url", "kept", "document_id").sort("document_id").collect()
    found: dict[str, Any] = {"copies": others["url"].head(_SHOWN).to_list()}
    if row["reason"] == "duplicate":
        found["kept_instead"] = others.filter("kept")["url"].to_list()
    return found


def _published(row: Mapping[str, Any], clean: PublishedVersion) -> dict[str, Any]:
    columns = ["words", "repetitions", "personal_data"]
    for split in ("train", "validation"):
        text = clean.scan("text", split).filter(pl.col("document_id") == row["document_id"]).select(columns).collect()
        for found in text.iter_rows(named=True):
            counts = {kind: count for kind, count in found.pop("personal_data").items() if count}
            return {"split": split, **found, "personal_data_replaced": counts or None}
    return {}


def _judged(row: Mapping[str, Any], judged: JudgedSnapshot, settings: StorySettings) -> dict[str, Any]:
    """The measures behind the decision. They are those of the profile's rules now, which may have changed since."""
    if DOCUMENTS.name in judged.documents.pruned:
        return {"judged": "the text of documents was pruned, so that the ledger alone tells; materialize documents for values and thresholds"}
    key = pl.col("document_id") == row["document_id"]
    rules = load_rules(settings.decisions.rules)
    rights = settings.decisions.rights
    document = judged_documents(judged.documents, settings.identification).filter(key).collect()
    measured = judged.signals.scan("signals").filter(key).collect()
    decided = judged.decisions.scan("decisions").filter(key).collect()
    if not (document.height and measured.height and decided.height):
        return {"judged": "documents were made anew since; materialize signals and decisions"}
    wanted = columns_for(rules, rights)
    columns = [name for name in document.columns if name in wanted and (name == "document_id" or name not in measured.columns)]
    rows = measured.select(name for name in measured.columns if name in wanted).join(document.select(columns), on="document_id")
    now = judge(rows, rules, rights, settings.identification.model_family).rows["failed_rules"].to_list()[0]
    facts, decision = document.row(0, named=True), decided.row(0, named=True)
    stale = now != decision["failed_rules"]
    return {
        "language_score": facts["language_score"],
        "rules": list(_failures(row["failed_rules"] if not stale else now, rules, rows, facts)),
        "rules_changed": "the profile's rules give another result than the decision; materialize decisions" if stale else None,
        "removed_lines": _removed(facts["text"], decision["removed_lines"], settings.personal_data),
        "overlap": _overlaps(facts["text"], decision, settings.personal_data),
    }


def _failures(failed: Sequence[str], rules: RuleSet, rows: pl.DataFrame, facts: Mapping[str, Any]) -> Iterator[str]:
    """Each failing rule in words: its value, its threshold, why there is such a rule, where the threshold comes from."""
    values = rule_values(rows, rules)
    by_id = {rule.id: rule for rule in rules.documents}
    rights = {rule.id: rule for rule in RIGHTS_RULES}
    lines = {rule.id: rule for rule in rules.lines}
    for name in failed:
        if name in by_id:
            rule = by_id[name]
            side = rule.comparison.replace("_", " ")
            yield f"{name}: {rule.signal} is {float(values[name][0]):.6g}, {side} {rule.threshold:g} is asked for ({rule.why}; {rule.source})"
        elif name in rights:
            yield f"{name}: {rights[name].column} is {facts[rights[name].column]} ({rights[name].source})"
        elif name in lines:
            line = lines[name]
            side = line.comparison.replace("_", " ")
            yield f"{name}: a line's {line.signal} is not {side} {line.threshold:g} ({line.why}; {line.source})"
        else:
            yield f"{name}: not among the profile's rules now"


def _removed(text: str, removed: Sequence[int], personal_data: PersonalDataSettings) -> str | None:
    if not removed:
        return None
    lines = text.split("\n")
    shown = " / ".join(repr(masked(lines[index], personal_data)[:SAMPLE_CHARACTERS]) for index in removed[:_SHOWN])
    return f"{len(removed)} of {len(lines)}: {shown}{' …' if len(removed) > _SHOWN else ''}"


def _overlaps(text: str, decision: Mapping[str, Any], personal_data: PersonalDataSettings) -> list[str]:
    left = without_lines(text, decision["removed_lines"])
    found = []
    for span in decision["overlap"]:
        items = ", ".join(span["items"][:_SHOWN]) + (" …" if len(span["items"]) > _SHOWN else "")
        sample = masked(left[span["start"] : span["end"]], personal_data)[:SAMPLE_CHARACTERS]
        found.append(f"{span['benchmark']} ({items}), characters {span['start']} to {span['end']}: {sample!r}")
    return found
