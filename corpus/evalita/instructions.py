"""Items as instruction rows: whole groups on one side of every split, a wording drawn by seed, rows capped per task."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from corpus.evalita.settings import InstructionSettings
from corpus.evalita.task import EvalitaError, Item, Task, Wording

SPLITS = ("train", "validation", "test")
MIN_SHARED_WORDS = 5
"""One shared text of an item with several texts counts as leakage from this many words on; shorter ones are chance."""
_NOISE = re.compile(r"https?://\S+|@\w+")


@dataclass(frozen=True)
class Candidate:
    """An item on its way to a split; ``suffix`` tells a mirrored copy from its original."""

    task: Task
    item: Item
    suffix: str = ""

    @property
    def id(self) -> str:
        return self.item.item_id + self.suffix


@dataclass
class Assignment:
    """Candidates by split, and how many were left out of a split, by task and reason."""

    splits: dict[str, list[Candidate]] = field(default_factory=lambda: {split: [] for split in SPLITS})
    left_out: dict[str, Counter[str]] = field(default_factory=dict)

    def drop(self, candidate: Candidate, reason: str) -> None:
        self.left_out.setdefault(candidate.task.name, Counter())[reason] += 1


def normalised(text: str) -> str:
    """A text for comparison: lower case, no URLs and mentions, single blanks."""
    return " ".join(_NOISE.sub(" ", text).casefold().split())


def text_keys(task: Task, fields: Mapping[str, Any]) -> set[str]:
    """The texts whose appearance elsewhere makes an item a copy: all of them together in any order, and each long one."""
    texts = sorted(normalised(text) for text in task.texts(fields))
    return {"\n".join(texts), *(text for text in texts if len(text.split()) >= MIN_SHARED_WORDS)}


def draw(seed: int, *parts: str) -> int:
    """A number that depends on the seed and the parts alone, not on the order of work."""
    return int.from_bytes(hashlib.sha256("\n".join((str(seed), *parts)).encode()).digest()[:8], "big")


def assign(items: Mapping[str, Sequence[Item]], tasks: Mapping[str, Task], settings: InstructionSettings, seed: int) -> Assignment:
    """Put every item into train, validation or test.

    Test items stay where the organisers put them. What shares a group or a text with a test item leaves training and
    validation; what shares one with a validation item leaves training. All tasks are looked at together.
    """
    assignment = Assignment()
    sides: dict[str, list[Candidate]] = {split: [] for split in SPLITS}
    for name, rows in items.items():
        official_dev = any(item.split == "dev" for item in rows)
        for item in rows:
            sides[_side(item, official_dev, settings, seed)].append(Candidate(tasks[name], item))
    kept = {split: sides[split] for split in ("test",)}
    for split, others in (("validation", ("test",)), ("train", ("test", "validation"))):
        kept[split] = sides[split]
        for other in others:
            kept[split] = _without_shared(kept[split], kept[other], other, assignment)
    for split, names in (("train", settings.tasks), ("validation", settings.tasks), ("test", settings.evaluation_tasks)):
        chosen = [candidate for candidate in kept[split] if candidate.task.name in names]
        if split == "train" and settings.mirrored_pairs:
            chosen += [_mirrored(candidate) for candidate in chosen if candidate.task.mirror is not None]
        assignment.splits[split] = _capped(chosen, getattr(settings, f"max_{split}_rows"), split, seed, assignment)
    return assignment


def _side(item: Item, official_dev: bool, settings: InstructionSettings, seed: int) -> str:
    if item.split == "test":
        return "test"
    if official_dev:
        return "validation" if item.split == "dev" else "train"
    share = draw(seed, "validation", item.group_id) / 2**64
    return "validation" if share < settings.validation_share else "train"


def _without_shared(candidates: Iterable[Candidate], others: Iterable[Candidate], name: str, assignment: Assignment) -> list[Candidate]:
    groups, texts = set(), set()
    for other in others:
        groups.add(other.item.group_id)
        texts |= text_keys(other.task, other.item.fields)
    kept = []
    for candidate in candidates:
        if candidate.item.group_id in groups:
            assignment.drop(candidate, f"group_in_{name}")
        elif texts & text_keys(candidate.task, candidate.item.fields):
            assignment.drop(candidate, f"text_in_{name}")
        else:
            kept.append(candidate)
    return kept


def _mirrored(candidate: Candidate) -> Candidate:
    mirror = candidate.task.mirror
    if mirror is None:
        raise EvalitaError(f"task {candidate.task.name} declares no mirror")
    return Candidate(candidate.task, replace(candidate.item, fields=mirror(candidate.item.fields)), "~mirrored")


def _capped(candidates: Sequence[Candidate], limit: int | None, split: str, seed: int, assignment: Assignment) -> list[Candidate]:
    """At most ``limit`` candidates per task, chosen by hash."""
    kept: list[Candidate] = []
    by_task: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        by_task.setdefault(candidate.task.name, []).append(candidate)
    for chosen in by_task.values():
        ranked = sorted(chosen, key=lambda candidate: draw(seed, "cap", candidate.id))
        kept += ranked if limit is None else ranked[:limit]
        for candidate in ranked[len(ranked) if limit is None else limit :]:
            assignment.drop(candidate, f"over_max_{split}_rows")
    return kept


def wording_for(candidate: Candidate, split: str, settings: InstructionSettings, seed: int) -> Wording:
    """A task's first wording for validation and test, so that models are compared on one; a drawn one for training.

    Raises:
        EvalitaError: the settings name wordings, and the task has none of them.
    """
    wordings = candidate.task.wordings
    if split != "train":
        return wordings[0]
    if settings.wordings is not None:
        wordings = tuple(wording for wording in wordings if wording.name in settings.wordings)
        if not wordings:
            raise EvalitaError(
                f"evalita.instructions.wordings is {list(settings.wordings)}; task {candidate.task.name} has {[wording.name for wording in candidate.task.wordings]}"
            )
    return wordings[draw(seed, "wording", candidate.id) % len(wordings)]


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
    }


def groups_on_two_sides(assignment: Assignment) -> int:
    """How many groups have rows in more than one split; 0 unless something is wrong."""
    sides: dict[str, set[str]] = {}
    for split, candidates in assignment.splits.items():
        for candidate in candidates:
            sides.setdefault(candidate.item.group_id, set()).add(split)
    return sum(len(found) > 1 for found in sides.values())
