"""Rows of answers against the published instructions: which item each one answers, and what all of them score."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from corpus.evalita import scoring
from corpus.evalita.errors import EvalitaError
from corpus.evalita.items import items_of
from corpus.evalita.settings import ReportSettings
from corpus.evalita.splits import SPLITS
from corpus.evalita.task import Item
from corpus.evalita.tasks import TASKS
from foundation.store import PublishedVersion


@dataclass(frozen=True)
class Questions:
    """What is asked: rows of one split of ``evalita_instructions`` by id, and the items behind them.

    ``items`` holds all items by task, ``provenance`` where each came from, ``trained`` the templates that training rows have.
    """

    split: str
    rows: Mapping[str, Mapping[str, Any]]
    items: Mapping[str, list[Item]]
    provenance: Mapping[str, Mapping[str, Any]]
    trained: frozenset[str]

    def __post_init__(self) -> None:
        known = {item.item_id for items in self.items.values() for item in items}
        lost = next((row for row in self.rows.values() if row["item_id"] not in known), None)
        if lost is not None:
            raise EvalitaError(
                f"evalita_instructions, row {lost['id']!r}: its item {lost['item_id']!r} is not in evalita_raw; give the two versions that belong together"
            )

    def main_wording(self, task: str) -> str:
        """The wording that official scores are about: of those that are asked, the first in the task's declaration."""
        asked = {row["wording"] for row in self.rows.values() if row["task"] == task}
        return next(wording.name for wording in TASKS[task].wordings if wording.name in asked)

    def sides(self, task: str) -> tuple[list[Item], list[Item]]:
        """Items that baselines learn from, and all items that could have been answered: the whole test set, or what the split has."""
        asked = {row["item_id"] for row in self.rows.values() if row["task"] == task}
        training = [item for item in self.items[task] if item.split == "train" and item.item_id not in asked]
        return training, [item for item in self.items[task] if (item.split == "test" if self.split == "test" else item.item_id in asked)]


def questions_of(instructions: PublishedVersion, raw: PublishedVersion, split: str = "test") -> Questions:
    """What the published instructions ask in one split.

    Raises:
        EvalitaError: there is no such split, it is empty, or the instructions were made of other items.
    """
    if split not in SPLITS:
        raise EvalitaError(f"there is no split {split!r}; evalita_instructions has {', '.join(SPLITS)}")
    items, provenance = items_of(raw)
    rows = {row["id"]: row for row in instructions.read("instructions", split).iter_rows(named=True)}
    if not rows:
        raise EvalitaError(f"{instructions} has no {split} rows; name another split, or look at evalita.instructions.evaluation_tasks")
    trained = frozenset(instructions.read("instructions", "train")["template_id"].unique())
    return Questions(split, rows, items, provenance, trained)


@dataclass(frozen=True)
class AnswerScores:
    """Scores of all models: official ones, and by wording; baselines; how many answers held no value, by ``model task/wording`` and kind.

    ``unanswered`` counts the asked rows of a task and wording that a model left out though it answered others of them.
    """

    scores: list[dict[str, Any]]
    wording_scores: list[dict[str, Any]]
    baselines: list[dict[str, Any]]
    failures: dict[str, dict[str, int]]
    unanswered: dict[str, int]


def score_answers(
    questions: Questions, answers: Iterable[Mapping[str, Any]], settings: ReportSettings, seed: int, *, origin: str, remedy: str
) -> AnswerScores:
    """Score rows with model, task, id, answer and perhaps gold.

    Args:
        questions: what was asked.
        answers: the rows.
        settings: of the bootstrap.
        seed: of the bootstrap.
        origin: the table or file that errors name.
        remedy: what errors tell to do.

    Raises:
        EvalitaError: a row answers nothing that is asked, answers it twice, or its gold is another item's.
    """
    by_id = {item.item_id: item for rows in questions.items.values() for item in rows}
    grouped: dict[tuple[str, str, str], list[scoring.Answered]] = {}
    seen: set[tuple[str, str]] = set()
    for row in answers:
        if (row["model"], row["id"]) in seen:
            raise EvalitaError(f"{origin}, row {row['id']!r}: {row['model']!r} answers it twice; {remedy}")
        seen.add((row["model"], row["id"]))
        answered = _answered(row, questions, by_id, origin, remedy)
        grouped.setdefault((row["model"], row["task"], answered.wording), []).append(answered)
    scores: list[dict[str, Any]] = []
    by_wording: list[dict[str, Any]] = []
    failures: dict[str, dict[str, int]] = {}
    unanswered: dict[str, int] = {}
    for (model, name, wording), given in sorted(grouped.items()):
        task = TASKS[name]
        rows = scoring.score(model, task, given, *questions.sides(name), settings, seed)
        by_wording += [{**row, "wording": wording, "trained_on": f"{name}/{wording}" in questions.trained} for row in rows]
        if wording == questions.main_wording(name):
            scores += [{**row, "official_test": questions.provenance[given[0].item.item_id]["official_test"]} for row in rows]
        label = f"{model} {name}/{wording}"
        failures[label] = scoring.failures(task, given)
        unanswered[label] = sum(row["task"] == name and row["wording"] == wording for row in questions.rows.values()) - len(given)
    baselines = [row for name in questions.items for row in scoring.baseline_scores(TASKS[name], *questions.sides(name))]
    return AnswerScores(scores, by_wording, baselines, failures, unanswered)


def _answered(row: Mapping[str, Any], questions: Questions, items: Mapping[str, Item], origin: str, remedy: str) -> scoring.Answered:
    wanted = questions.rows.get(row["id"])
    if wanted is None or wanted["task"] != row["task"]:
        raise EvalitaError(f"{origin}, row {row['id']!r} of task {row['task']!r}: no such {questions.split} row in evalita_instructions; {remedy}")
    answered = scoring.Answered(items[wanted["item_id"]], wanted["wording"], row["answer"] or "")
    if row.get("gold") is not None and row["gold"] != wanted["output"]:
        raise EvalitaError(
            f"{origin}, row {row['id']!r}: gold is {row['gold']!r}, the item's is {wanted['output']!r}; the answers are of other instructions, {remedy}"
        )
    return answered
