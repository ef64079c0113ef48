"""Items in words: which wordings a row may have, and the row itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from corpus.evalita.answers.choice import label_words
from corpus.evalita.errors import EvalitaError
from corpus.evalita.settings import InstructionSettings
from corpus.evalita.splits import Candidate, draw
from corpus.evalita.task import Task, Wording


def _chosen(task: Task, names: Sequence[str], key: str) -> tuple[Wording, ...]:
    """The wordings of a task that names choose, in the order of the names; names for this task come before names for all."""
    own = [name.partition("/")[2] for name in names if name.startswith(f"{task.name}/")]
    known = [wording.name for wording in task.wordings]
    found = tuple(task.wording(name) for name in (own or [name for name in names if name in known]))
    if not found:
        raise EvalitaError(f"evalita.instructions.{key} is {list(names)}, and task {task.name} has {known}; add one of them as {task.name}/{known[0]}")
    return found


def _held_out(task: Task, wording: Wording, settings: InstructionSettings) -> bool:
    return wording.name in settings.held_out_wordings or f"{task.name}/{wording.name}" in settings.held_out_wordings


def training_wordings(task: Task, settings: InstructionSettings) -> tuple[Wording, ...]:
    """The wordings that training rows of a task are drawn from.

    Raises:
        EvalitaError: the settings name wordings, and the task has none of them; or every one is held out.
    """
    if settings.wordings is not None:
        chosen = _chosen(task, settings.wordings, "wordings")
    else:
        chosen = tuple(wording for wording in task.wordings if not wording.faults)
    found = tuple(wording for wording in chosen if not _held_out(task, wording, settings))
    if not found:
        raise EvalitaError(
            f"evalita.instructions.held_out_wordings is {list(settings.held_out_wordings)}, so that task {task.name} has no wording to train on; it has "
            f"{[wording.name for wording in task.wordings]}"
        )
    return found


def evaluation_wordings(task: Task, settings: InstructionSettings) -> tuple[Wording, ...]:
    """The wordings of a task's test items: the named ones or the first, and those held out.

    Raises:
        EvalitaError: the settings name wordings, and the task has none of them.
    """
    chosen = _chosen(task, settings.test_wordings, "test_wordings") if settings.test_wordings is not None else task.wordings[:1]
    return (*chosen, *(wording for wording in task.wordings if _held_out(task, wording, settings) and wording not in chosen))


def wordings_for(candidate: Candidate, split: str, settings: InstructionSettings, seed: int) -> tuple[Wording, ...]:
    """The wordings of an item: a drawn one for training; the test's first for validation, if it may be trained on; all for test."""
    task = candidate.task
    if split == "test":
        return evaluation_wordings(task, settings)
    training = training_wordings(task, settings)
    if split == "validation":
        first = evaluation_wordings(task, settings)[0]
        return (training[0] if _held_out(task, first, settings) else first,)
    return (training[draw(seed, "wording", candidate.id) % len(training)],)


def instruction_row(candidate: Candidate, wording: Wording) -> dict[str, Any]:
    """One row: the words of the task, without the prompt template of any model."""
    task, item = candidate.task, candidate.item
    instruction, given = task.prompt(wording, item.fields)
    return {
        "id": f"{candidate.id}#{wording.name}",
        "task": task.name,
        "item_id": item.item_id,
        "group_id": item.group_id,
        "instruction": instruction,
        "input": given,
        "output": wording.answer.encode(item.fields, item.label),
        "template_id": f"{task.name}/{wording.name}",
        "template_sha256": wording.sha256,
        "wording": wording.name,
        "parser": wording.parser,
        "choices": list(label_words(wording.answer)),
    }
