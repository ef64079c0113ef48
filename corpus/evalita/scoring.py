"""Model answers as scores: the official metrics, their intervals, baselines, and how many answers held no value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from corpus.evalita.metrics.metric import Metric, interval
from corpus.evalita.settings import ReportSettings
from corpus.evalita.task import Item, Label, ParseFailure, Task


@dataclass(frozen=True)
class Answered:
    """One answer beside its item and the name of the wording it answers."""

    item: Item
    wording: str
    answer: str


@dataclass(frozen=True)
class Unit:
    """What the organisers score: an item, or the group of items whose answers are combined into one. ``value`` is None where it failed."""

    fields: Mapping[str, Any]
    gold: Label
    group: str
    value: Label | None


def decoded(task: Task, answered: Answered) -> Label | ParseFailure:
    """The value in an answer."""
    return task.wording(answered.wording).answer.decode(answered.item.fields, answered.answer)


def units_of(task: Task, items: Sequence[Item], values: Sequence[Label | None]) -> list[Unit]:
    """Items with the values given for them, combined by group where the task says so."""
    if task.combine is None:
        return [Unit(item.fields, item.label, item.group_id, value) for item, value in zip(items, values, strict=True)]
    groups: dict[str, list[tuple[Item, Label | None]]] = {}
    for item, value in sorted(zip(items, values, strict=True), key=lambda pair: pair[0].item_id):
        groups.setdefault(item.group_id, []).append((item, value))
    return [Unit(rows[0][0].fields, rows[0][0].label, group, task.combine([value for _, value in rows])) for group, rows in groups.items()]


def evidence_of(metric: Metric, units: Sequence[Unit]) -> np.ndarray:
    """A metric's evidence, one entry a unit."""
    return np.stack([metric.evidence(unit.fields, unit.gold, unit.value) for unit in units])


def parts_of(task: Task, items: Sequence[Item]) -> list[tuple[str, list[int]]]:
    """The sets of items that are scored: all of them (no name) where that is official, and each value of the subset field."""
    if task.subset is None:
        return [("", list(range(len(items))))]
    names = [str(item.fields[task.subset]) for item in items]
    parts = [(name, [index for index, value in enumerate(names) if value == name]) for name in sorted(set(names))]
    return [("", list(range(len(items)))), *parts] if task.pooled else parts


def metric_name(metric: Metric, part: str) -> str:
    """A metric's name with the part of the task in brackets."""
    return f"{metric.name}[{part}]" if part else metric.name


def score(
    model: str, task: Task, answered: Sequence[Answered], training: Sequence[Item], test: Sequence[Item], settings: ReportSettings, seed: int
) -> list[dict[str, Any]]:
    """Rows of the report for one model, task and wording: each metric, over all answers and over each part of the task.

    A failed answer counts as wrong in ``score``, and is left out of ``score_parsed`` (none where all failed). Only answered
    items are scored; ``coverage`` is their share of the test items there are.
    """
    if not answered:
        return []
    items = [entry.item for entry in answered]
    values = [decoded(task, entry) for entry in answered]
    failed = np.array([isinstance(value, ParseFailure) for value in values])
    given = [None if isinstance(value, ParseFailure) else value for value in values]
    baseline = task.baselines[0]
    predict = baseline.learn(training)
    guesses = [predict(item.fields) for item in items]
    available = {part: len(places) for part, places in parts_of(task, test)}
    rows = []
    for part, places in parts_of(task, items):
        chosen = [items[place] for place in places]
        units = units_of(task, chosen, [given[place] for place in places])
        parsed = [unit for unit in units if unit.value is not None]
        reference = units_of(task, chosen, [guesses[place] for place in places])
        for metric in task.metrics:
            found = interval(
                metric, evidence_of(metric, units), [unit.group for unit in units], resamples=settings.resamples, confidence=settings.confidence, seed=seed
            )
            rows.append(
                {
                    "model": model,
                    "task": task.name,
                    "metric": metric_name(metric, part),
                    "score": found.score,
                    "low": found.low,
                    "high": found.high,
                    "score_parsed": metric.score(evidence_of(metric, parsed)) if parsed else None,
                    "baseline": metric.score(evidence_of(metric, reference)),
                    "baseline_name": baseline.name,
                    "parse_failure_rate": float(failed[places].mean()),
                    "coverage": len(places) / available[part],
                    "items": len(places),
                    "higher_is_better": metric.higher_is_better,
                    "metric_verified": not metric.unverified,
                }
            )
    return rows


def baseline_scores(task: Task, training: Sequence[Item], test: Sequence[Item]) -> list[dict[str, Any]]:
    """Scores of all baselines of a task over its test items, by metric and part."""
    rows = []
    for baseline in task.baselines if test else ():
        predict = baseline.learn(training)
        for part, places in parts_of(task, test):
            chosen = [test[place] for place in places]
            units = units_of(task, chosen, [predict(item.fields) for item in chosen])
            for metric in task.metrics:
                entry = {"task": task.name, "metric": metric_name(metric, part), "baseline": baseline.name, "items": len(places)}
                rows.append({**entry, "score": metric.score(evidence_of(metric, units))})
    return rows


def failures(task: Task, answered: Iterable[Answered]) -> dict[str, int]:
    """Failed answers by kind."""
    found: dict[str, int] = {}
    for entry in answered:
        value = decoded(task, entry)
        if isinstance(value, ParseFailure):
            found[value.kind] = found.get(value.kind, 0) + 1
    return dict(sorted(found.items()))
