"""Model answers as scores: the official metric, its interval, the baseline, and how many answers held no value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from corpus.evalita.metrics import Interval, interval
from corpus.evalita.settings import ReportSettings
from corpus.evalita.task import EvalitaError, Item, ParseFailure, Task


@dataclass(frozen=True)
class Answered:
    """One answer beside its item and the name of the wording it answers."""

    item: Item
    wording: str
    answer: str


def decoded(task: Task, answered: Answered) -> Any | ParseFailure:
    """The value in an answer."""
    return task.wording(answered.wording).answer.decode(answered.item.fields, answered.answer)


def check_gold(task: Task, answered: Answered, gold: str, row_id: str) -> None:
    """Compare an answer's gold text with the item it is said to answer.

    Raises:
        EvalitaError: they differ, so that the answers belong to other instructions.
    """
    expected = task.wording(answered.wording).answer.encode(answered.item.fields, answered.item.label)
    if gold != expected:
        raise EvalitaError(
            f"evalita_answers, row {row_id}: gold is {gold!r}, the item's is {expected!r}; the answers are of other instructions, materialize evalita_answers again"
        )


def score(
    model: str, task: Task, answered: Sequence[Answered], training: Sequence[Item], test_rows: int, settings: ReportSettings, seed: int
) -> list[dict[str, Any]]:
    """Rows of the report for one model and task: over all answers, and over each value of the task's subset field.

    A failed answer counts as wrong. Only answered rows are scored; ``coverage`` is their share of the test rows.
    """
    if not answered:
        return []
    values = [decoded(task, entry) for entry in answered]
    failed = np.array([isinstance(value, ParseFailure) for value in values])
    given = [None if isinstance(value, ParseFailure) else value for value in values]
    counts = _counts(task, answered, given)
    predict = task.baseline(training)
    reference = _counts(task, answered, [predict(entry.item.fields) for entry in answered])
    rows = []
    for name, chosen in _subsets(task, answered):
        groups = [answered[index].item.group_id for index in chosen]
        found: Interval = interval(
            task.metric, counts[chosen], groups, resamples=settings.resamples, confidence=settings.confidence, seed=seed
        )
        rows.append(
            {
                "model": model,
                "task": task.name,
                "metric": task.metric.name if name is None else f"{task.metric.name}[{name}]",
                "score": found.score,
                "low": found.low,
                "high": found.high,
                "baseline": float(task.metric.value(reference[chosen].sum(axis=0))),
                "baseline_name": task.baseline_name,
                "parse_failure_rate": float(failed[chosen].mean()),
                "coverage": len(answered) / test_rows,
                "items": len(chosen),
            }
        )
    return rows


def _counts(task: Task, answered: Iterable[Answered], values: Iterable[Any]) -> np.ndarray:
    return np.stack(
        [task.metric.count(entry.item.fields, entry.item.label, value) for entry, value in zip(answered, values, strict=True)]
    )


def _subsets(task: Task, answered: Sequence[Answered]) -> list[tuple[str | None, np.ndarray]]:
    subsets: list[tuple[str | None, np.ndarray]] = [(None, np.arange(len(answered)))]
    if task.subset is not None:
        kinds = [str(entry.item.fields[task.subset]) for entry in answered]
        subsets += [(kind, np.flatnonzero([value == kind for value in kinds])) for kind in sorted(set(kinds))]
    return subsets


def failures(task: Task, answered: Iterable[Answered]) -> dict[str, int]:
    """Failed answers by kind."""
    found: dict[str, int] = {}
    for entry in answered:
        value = decoded(task, entry)
        if isinstance(value, ParseFailure):
            found[value.kind] = found.get(value.kind, 0) + 1
    return dict(sorted(found.items()))


def expected_by_id(rows: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Test rows of ``evalita_instructions`` by id."""
    return {row["id"]: row for row in rows}
