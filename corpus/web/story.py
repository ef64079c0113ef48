"""One page's whole story: what it was taken for, every rule that it fails with value and threshold, what it shares with
benchmarks, its copies, and what is published of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from corpus.web.decisions import without_lines
from corpus.web.documents import DOCUMENTS
from corpus.web.errors import WebCorpusError
from corpus.web.judging import columns_by_table, judge, judged_documents, rule_values
from corpus.web.personal_data import masked
from corpus.web.rules import RIGHTS_RULES, RuleSet, load_rules
from corpus.web.settings import DecisionSettings, PersonalDataSettings
from corpus.web.signals import read_signals
from foundation.language.identification import IdentificationSettings
from foundation.store import PublishedVersion

SAMPLE_CHARACTERS = 100
_SHOWN = 5
"""Of removed lines, of items and of copies."""
_DOCUMENT_COLUMNS = ("document_id", "snapshot", "url", "language", "language_score", "licence", "characters")
"""What is told of a capture that nothing is decided of."""


@dataclass(frozen=True)
class JudgedSnapshot:
    """What one snapshot's documents were judged by; None for what is not published."""

    documents: PublishedVersion
    signals: PublishedVersion | None
    decisions: PublishedVersion | None


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

    Captures are looked up in the ledger; those that it does not know yet, in documents, and told as far as they got: ``kept`` is
    then None, unless a rule has decided already, and ``not_published`` or ``older_than_documents`` name the assets that would tell
    more. Pages that never became documents are found only among the examples that the skipped table keeps. Every entry holds
    snapshot, url, kept, step (the asset that decided, or the last that is known) and reason; samples of text have their personal
    data masked.
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
    in_ledger = list(_in_ledger(url, clean, judged or {}, settings)) if clean is not None else []
    told = [entry["document_id"] for entry in in_ledger]
    for snapshot, version in documents.items():
        if DOCUMENTS.name in version.pruned:
            continue  # everything that reads them is built: the ledger knows them all
        wanted = (pl.col("url") == url) & ~pl.col("document_id").is_in(told)
        for row in version.scan("documents").filter(wanted).select(_DOCUMENT_COLUMNS).collect().iter_rows(named=True):
            in_ledger.append(_outside_ledger(row, clean is not None, (judged or {}).get(snapshot), settings))
    return found + in_ledger


def _in_ledger(
    url: str, clean: PublishedVersion, judged: Mapping[str, JudgedSnapshot], settings: StorySettings | None
) -> Iterator[dict[str, Any]]:
    ledger = clean.scan("ledger")
    for row in ledger.filter(pl.col("url") == url).collect().iter_rows(named=True):
        entry = {"step": "decisions" if row["failed_rules"] else "clean_corpus", **row}
        if row["cluster_size"] > 1:
            entry |= _copies(row, ledger)
        if row["kept"]:
            entry |= _published(row, clean)
        snapshot = judged.get(row["snapshot"])
        if snapshot is not None and settings is not None:
            entry |= _measures(row["document_id"], row["failed_rules"], snapshot, settings)
        yield entry


def _outside_ledger(
    row: Mapping[str, Any], ledger: bool, judged: JudgedSnapshot | None, settings: StorySettings | None
) -> dict[str, Any]:
    """A capture that the ledger does not know, as far as it got."""
    entry: dict[str, Any] = {**row, "kept": None, "step": "documents", "reason": None}
    missing: list[str] = []
    older: list[str] = []
    if judged is not None and settings is not None:
        measured, decided = (_row_of(version, row["document_id"]) for version in (judged.signals, judged.decisions))
        for asset, version, held in (("signals", judged.signals, measured), ("decisions", judged.decisions, decided)):
            if held is not None:
                entry["step"] = asset
            else:
                (missing if version is None else older).append(asset)
        if decided is not None and decided["failed_rules"]:
            entry |= {"kept": False, "reason": decided["first_failed"]}
        if measured is not None:
            entry |= _measures(row["document_id"], None if decided is None else decided["failed_rules"], judged, settings)
    (older if ledger else missing).append("clean_corpus")
    return {**entry, "not_published": ", ".join(missing), "older_than_documents": ", ".join(older)}


def _row_of(version: PublishedVersion | None, document: str) -> dict[str, Any] | None:
    """A document's row of the asset's one table; None where there is none."""
    if version is None:
        return None
    rows = version.scan(version.tables[0]).filter(pl.col("document_id") == document).collect()
    return rows.row(0, named=True) if rows.height else None


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
            words = found.pop("words")  # the tokenizer's, more than the words that rules count
            return {"split": split, "words_and_punctuation_marks": words, **found, "personal_data_replaced": counts or None}
    return {}


def _measures(key: str, failed: Sequence[str] | None, judged: JudgedSnapshot, settings: StorySettings) -> dict[str, Any]:
    """The measures behind a decision, or, where ``failed`` is None, behind what the decision would be. They are those of the
    profile's rules now, which may have changed since."""
    if DOCUMENTS.name in judged.documents.pruned:
        return {"judged": "the text of documents was pruned, so that the ledger alone tells; materialize documents for values and thresholds"}
    rules = load_rules(settings.decisions.rules)
    document = judged_documents(judged.documents, settings.identification).filter(pl.col("document_id") == key).collect()
    decision = _row_of(judged.decisions, key)
    if judged.signals is None or not document.height or (decision is None and failed is not None):
        return {"judged": "signals or decisions of this document are gone, or it was made anew since; materialize signals and decisions"}
    of_signals, of_documents = columns_by_table(rules, settings.decisions.rights)
    try:
        measured = read_signals(judged.signals.table_files("signals"), of_signals, (key, key))
        if not measured.height:
            return {"judged": "it was made anew since; materialize signals and decisions"}
        rows = measured.join(document.select("document_id", *of_documents), on="document_id")
        now = judge(rows, rules, settings.decisions.rights, settings.identification.model_family).rows["failed_rules"].to_list()[0]
        facts = document.row(0, named=True)
        stale = failed is not None and now != (decision or {})["failed_rules"]
        failures = list(_failures(now if stale or failed is None else failed, rules, rows, facts))
    except WebCorpusError as error:
        return {"judged": str(error)}
    found: dict[str, Any] = {"language_score": facts["language_score"], "rules": failures}
    found["rules_changed"] = "the profile's rules give another result than the decision; materialize decisions" if stale else None
    if decision is not None:
        found["removed_lines"] = _removed(facts["text"], decision["removed_lines"], settings.personal_data)
        found["overlap"] = _overlaps(facts["text"], decision, settings.personal_data)
    return found


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
