"""Judging: rules applied to signals, whole columns at a time and without any text, so that thresholds are tried in seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
import pyarrow as pa

from corpus.web.errors import WebCorpusError
from corpus.web.lines import FLAG_BITS
from corpus.web.rights.ai_crawlers import training_tokens
from corpus.web.rules import DERIVED, LEFT, RIGHTS_RULES, SCORE_PREFIX, DocumentRule, LineRule, RuleSet, Threshold
from corpus.web.signals import COUNTS, FLAGS, SHARES
from foundation.language.identification import IdentificationSettings
from foundation.store import PublishedVersion

RIGHTS_COLUMNS = tuple(rule.column for rule in RIGHTS_RULES)
"""Columns of documents that ``rights: general`` judges by."""
FACTS = ("language_score", "target_language")
"""Columns that come from documents, not signals."""
Rights = Literal["general", "research"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What rules say of rows of signals.

    ``rows`` holds document_id, passes_rules, first_failed, failed_rules, removed_lines and the measures of what is left, in the
    order of the rows judged. ``unmeasured`` names rules that had nothing to judge in some rows, and in how many.
    """

    rows: pl.DataFrame
    unmeasured: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Lines:
    """The lines of all rows, one after another; ``rule`` is 1 for the first line rule that a line fails, 0 for none."""

    values: Mapping[str, np.ndarray]
    starts: np.ndarray
    ends: np.ndarray
    owner: np.ndarray
    rule: np.ndarray
    removed: np.ndarray


def judged_documents(version: PublishedVersion, identification: IdentificationSettings) -> pl.LazyFrame:
    """Documents with ``target_language`` beside their columns."""
    return version.scan("documents").with_columns(target_language=target_language(identification))


def target_language(identification: IdentificationSettings) -> pl.Expr:
    """Of documents, whether the best label is the one that is looked for."""
    return pl.col("language") == identification.label


def columns_for(rules: RuleSet, rights: Rights) -> list[str]:
    """Columns of signals and documents that judging by these rules reads; no others need to be loaded."""
    named = {threshold.signal for rule in rules.documents for threshold in (rule, *rule.only_where)}
    wanted = ["document_id", "characters", "words"]
    if rules.lines or named & (set(LEFT) - {"kept_characters"}):
        wanted.append("line_signals")
    wanted += [name for name in (*COUNTS, *SHARES, *FLAGS, *FACTS) if name in named and name not in wanted]
    if any(threshold.ignoring for rule in rules.documents for threshold in (rule, *rule.only_where)):
        wanted += [name for name in ("bad_word_hits", "bad_word_share", "bad_words") if name not in wanted]
    if any(name.startswith(SCORE_PREFIX) for name in named):
        wanted.append("classifier_scores")
    return wanted + (list(RIGHTS_COLUMNS) if rights == "general" else [])


def columns_by_table(rules: RuleSet, rights: Rights) -> tuple[list[str], list[str]]:
    """``columns_for``, apart: those of signals, the document id first; and those of documents (``judged_documents``)."""
    wanted = columns_for(rules, rights)
    of_documents = [name for name in (*FACTS, *RIGHTS_COLUMNS) if name in wanted]
    return [name for name in wanted if name not in of_documents], of_documents


def judge(rows: pl.DataFrame, rules: RuleSet, rights: Rights, identification: str | None = None) -> Judgement:
    """Judge rows of signals, with what rules read of their documents beside them (``columns_for``).

    A value that is null, because the profile names no list or model for it, rejects nothing and is counted.

    Args:
        rows: one for each document.
        rules: what to judge by.
        rights: whether reservations of rights reject a document.
        identification: the model behind the language scores; rules that require another one are not applied.

    Raises:
        WebCorpusError: a rights column is missing; a missing column is no permission. A rule reads a score that no row has.
    """
    missing = [name for name in RIGHTS_COLUMNS if rights == "general" and name not in rows.columns]
    if missing:
        raise WebCorpusError(f"documents have no columns {missing}, which `rights: general` judges by; materialize documents again")
    lines, left = _judged_lines(rows, rules.lines)
    failing = _failing_rights(rows) if rights == "general" else {}
    unmeasured: dict[str, int] = {}
    skipped = rules.inapplicable(identification)
    found: dict[str, np.ndarray] = {}
    for rule in rules.documents:
        if rule.id not in skipped:
            found[rule.id], nulls = _failing(rows, rule, left)
            if nulls:
                unmeasured[rule.id] = nulls
    for number, line_rule in enumerate(rules.lines, 1):
        if line_rule.effect == "drop_document":
            found[line_rule.id] = np.zeros(rows.height, np.bool_)
            found[line_rule.id][lines.owner[lines.rule == number]] = True
    failing |= {name: found[name] for name in rules.order if name in found}
    return Judgement(_table(rows, failing, lines, left), unmeasured)


def rule_values(rows: pl.DataFrame, rules: RuleSet) -> dict[str, np.ndarray]:
    """By rule on documents, the value that it judges in each row; NaN where there is none."""
    _, left = _judged_lines(rows, rules.lines)
    return {rule.id: _values(rows, rule, left) for rule in rules.documents}


def _judged_lines(rows: pl.DataFrame, rules: Sequence[LineRule]) -> tuple[_Lines, dict[str, np.ndarray]]:
    """The lines, and measures of what is left; where no rule reads lines (``columns_for``) there are none, and all is left."""
    characters = rows["characters"].to_numpy()
    if "line_signals" not in rows.columns:
        nothing, nowhere = np.zeros(0, np.int64), np.zeros(rows.height, np.int64)
        return _Lines({}, nowhere, nowhere, nothing, nothing, nothing.astype(np.bool_)), {"kept_characters": characters}
    column = rows["line_signals"].rechunk()
    lengths = column.list.len().to_numpy().astype(np.int64)
    ends = np.cumsum(lengths)
    structs = column.explode(empty_as_null=False, keep_nulls=False).struct
    names = {"characters", "plain_characters", "words", "sentences", "flags", *(rule.signal for rule in rules if rule.signal not in FLAG_BITS)}
    values = {name: structs.field(name).to_numpy() for name in sorted(names)}
    decided = np.zeros(len(values["flags"]), np.int16)
    removed = np.zeros(len(decided), np.bool_)
    for number, rule in enumerate(rules, 1):
        fails = _line_fails(values, rule) & (decided == 0)
        decided[fails] = number
        if rule.effect == "remove_line":
            removed |= fails
    lines = _Lines(values, ends - lengths, ends, np.repeat(np.arange(rows.height), lengths), decided, removed)
    return lines, _left(characters, lines)


def _line_fails(values: Mapping[str, np.ndarray], rule: LineRule) -> np.ndarray:
    value = (values["flags"] & FLAG_BITS[rule.signal]) != 0 if rule.signal in FLAG_BITS else values[rule.signal]
    return value < rule.threshold if rule.comparison == "at_least" else value > rule.threshold


def _left(characters: np.ndarray, lines: _Lines) -> dict[str, np.ndarray]:
    """Measures of what is left of each document; ``kept_characters`` are those of ``decisions.without_lines``."""
    filled = ((lines.values["flags"] & FLAG_BITS["blank"]) == 0) & ~lines.removed
    sums = {
        f"kept_{name}": _by_row(np.where(filled, lines.values[name], 0), lines) for name in ("plain_characters", "words", "sentences")
    }
    kept_lines = _by_row(filled, lines)
    sums["kept_plain_characters"] = sums["kept_plain_characters"] + np.maximum(kept_lines - 1, 0)
    return {"kept_characters": _kept_characters(characters, filled, lines), "kept_lines": kept_lines, **sums}


def _by_row(values: np.ndarray, lines: _Lines) -> np.ndarray:
    """Sums over the lines of each row."""
    sums = np.zeros(len(lines.starts), np.int64)
    some = np.flatnonzero(lines.ends > lines.starts)
    if len(some):
        sums[some] = np.add.reduceat(values, lines.starts[some], dtype=np.int64)
    return sums


def _kept_characters(characters: np.ndarray, filled: np.ndarray, lines: _Lines) -> np.ndarray:
    """Without a removed line all of the text; else its lines from the first to the last that is not blank."""
    kept = ~lines.removed
    totals = np.concatenate((np.zeros(1, np.int64), np.cumsum(np.where(kept, lines.values["characters"] + 1, 0), dtype=np.int64)))
    places = np.flatnonzero(filled)
    first = np.searchsorted(places, lines.starts)
    after = np.searchsorted(places, lines.ends)
    some = after > first
    result = np.zeros(len(characters), np.int64)
    result[some] = totals[places[after[some] - 1] + 1] - totals[places[first[some]]] - 1
    whole = _by_row(lines.removed, lines) == 0
    result[whole] = characters[whole]
    return result


def _failing_rights(rows: pl.DataFrame) -> dict[str, np.ndarray]:
    """By rights rule, which rows carry its reservation; null (a ready corpus has no record to read it from) carries none."""
    tokens = sorted(training_tokens())
    failing = {}
    for rule in RIGHTS_RULES:
        column = rows[rule.column]
        if rule.column == "robots_disallowed":
            names = column.cast(pl.List(pl.String)).list.eval(pl.element().str.to_lowercase().is_in(tokens))
            column = names.list.any()
        failing[rule.id] = column.cast(pl.Boolean).fill_null(value=False).to_numpy().astype(np.bool_)
    return failing


def _failing(rows: pl.DataFrame, rule: DocumentRule, left: Mapping[str, np.ndarray]) -> tuple[np.ndarray, int]:
    """Which rows a rule rejects, and in how many it has nothing to judge."""
    value = _values(rows, rule, left)
    fails = value < rule.threshold if rule.comparison == "at_least" else value > rule.threshold  # never for NaN
    for condition in rule.only_where:
        other = _values(rows, condition, left)
        fails = fails & (other >= condition.threshold if condition.comparison == "at_least" else other <= condition.threshold)
    return fails, int(np.isnan(value).sum())


def _values(rows: pl.DataFrame, threshold: Threshold, left: Mapping[str, np.ndarray]) -> np.ndarray:
    """A signal's values as floats; NaN where there is none."""
    name = threshold.signal
    if name in LEFT:
        return left[name].astype(np.float64)
    if name.startswith(SCORE_PREFIX):
        return _scores(rows, name.removeprefix(SCORE_PREFIX))
    if name in DERIVED and name not in rows.columns:
        return np.full(rows.height, np.nan)
    value = _floats(rows[name])
    return value - _ignored(rows, threshold) if threshold.ignoring else value


def _ignored(rows: pl.DataFrame, threshold: Threshold) -> np.ndarray:
    """What the words that a rule passes over add to a signal; a word of two lists counts once."""
    hits = (
        rows.select(row=pl.int_range(pl.len()), hit="bad_word_hits")
        .filter(pl.col("hit").list.len() > 0)
        .explode("hit")
        .unnest("hit")
        .filter(pl.col("word").is_in(list(threshold.ignoring)))
        .unique(["row", "word"])
        .group_by("row")
        .agg(kinds=pl.len(), hits=pl.col("hits").sum())
    )
    ignored = np.zeros(rows.height)
    ignored[hits["row"].to_numpy()] = hits["kinds" if threshold.signal == "bad_word_kinds" else "hits"].to_numpy()
    if threshold.signal == "bad_word_share":
        total = _floats(rows["bad_words"])
        return np.divide(ignored * _floats(rows["bad_word_share"]), total, out=np.zeros(rows.height), where=total > 0)
    return ignored


def _scores(rows: pl.DataFrame, classifier: str) -> np.ndarray:
    scores = rows["classifier_scores"].list.eval(pl.element().filter(pl.element().struct.field("name") == classifier).struct.field("score")).list.first()
    if rows.height and scores.null_count() == rows.height:
        raise WebCorpusError(f"rules read the score of classifier {classifier!r}, which no document has; name it in corpus.web.signals.classifiers")
    return _floats(scores)


def _floats(column: pl.Series) -> np.ndarray:
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _table(rows: pl.DataFrame, failing: Mapping[str, np.ndarray], lines: _Lines, left: Mapping[str, np.ndarray]) -> pl.DataFrame:
    names = pl.Series([*failing, None], dtype=pl.String)  # the last one stands for no rule
    fails = np.stack(list(failing.values()), axis=1) if failing else np.zeros((rows.height, 0), np.bool_)
    counts = fails.sum(axis=1)
    firsts = np.where(counts > 0, fails.argmax(axis=1) if failing else 0, len(failing))
    places = np.flatnonzero(lines.removed)
    removed = (places - lines.starts[lines.owner[places]]).astype(np.int32)
    return pl.DataFrame(
        {
            "document_id": rows["document_id"],
            "passes_rules": counts == 0,
            "first_failed": names.gather(firsts),
            "failed_rules": _lists(names.gather(np.nonzero(fails)[1]), counts),
            "removed_lines": _lists(pl.Series(removed), _by_row(lines.removed, lines)),
            **left,
        }
    )


def _lists(values: pl.Series, lengths: np.ndarray) -> pl.Series:
    """Lists of these lengths. Arrow's arrays are made by polars: ``pa.array`` loads pandas, which takes longer than judging."""
    offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)))
    lists = pl.from_arrow(pa.LargeListArray.from_arrays(pl.Series(offsets).to_arrow(), values.to_arrow()))
    assert isinstance(lists, pl.Series)
    return lists
