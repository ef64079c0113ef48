"""Splits that cannot leak: whole groups on one side, no text of a test item on another, rows capped per task.

All tasks are looked at together, since sets share tweets, texts and talks. Official test items stay where the organisers
put them; everything else gives way.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from corpus.evalita.errors import EvalitaError
from corpus.evalita.settings import InstructionSettings
from corpus.evalita.task import Item, Task
from corpus.evalita.texts import text_keys

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Candidate:
    """An item on its way to a split, with its texts for comparison; ``suffix`` tells a mirrored copy from its original."""

    task: Task
    item: Item
    keys: frozenset[str]
    suffix: str = ""

    @property
    def id(self) -> str:
        """The item's id; a mirrored copy has another one."""
        return self.item.item_id + self.suffix


@dataclass
class Assignment:
    """Candidates by split, and how many were left out of a split, by task and reason."""

    splits: dict[str, list[Candidate]] = field(default_factory=lambda: {split: [] for split in SPLITS})
    left_out: dict[str, Counter[str]] = field(default_factory=dict)

    def drop(self, candidate: Candidate, reason: str) -> None:
        """Count a candidate that a split does not get."""
        self.left_out.setdefault(candidate.task.name, Counter())[reason] += 1


def draw(seed: int, *parts: str) -> int:
    """A number that depends on the seed and the parts alone, not on the order of work."""
    return int.from_bytes(hashlib.sha256("\n".join((str(seed), *parts)).encode()).digest()[:8], "big")


def assign(items: Mapping[str, Sequence[Item]], tasks: Mapping[str, Task], settings: InstructionSettings, seed: int) -> Assignment:
    """Put every item into train, validation or test.

    What shares a group or a text with a test item leaves training and validation; what shares one with a validation item
    leaves training. Tasks that are not asked for still count: their test items are not trained on under another name.

    Raises:
        EvalitaError: the settings name a part of a task that no item belongs to.
    """
    assignment = Assignment()
    sides: dict[str, list[Candidate]] = {split: [] for split in SPLITS}
    for name, rows in items.items():
        official_dev = any(item.split == "dev" for item in rows)
        for item in rows:
            sides[_side(item, official_dev, settings, seed)].append(Candidate(tasks[name], item, text_keys(tasks[name].texts(item.fields))))
    kept = {"test": sides["test"]}
    for split, others in (("validation", ("test",)), ("train", ("test", "validation"))):
        kept[split] = sides[split]
        for other in others:
            kept[split] = _without_shared(kept[split], kept[other], other, assignment)
    _check_parts(items, tasks, settings)
    for split, names in (("train", settings.tasks), ("validation", settings.tasks), ("test", settings.evaluation_tasks)):
        chosen = [candidate for candidate in kept[split] if _asked_for(candidate, names)]
        if split == "train" and settings.mirrored_pairs:
            chosen += [_mirrored(candidate) for candidate in chosen if candidate.task.mirror is not None]
        assignment.splits[split] = _capped(chosen, getattr(settings, f"max_{split}_rows"), split, seed, assignment)
    return assignment


def _asked_for(candidate: Candidate, names: Sequence[str]) -> bool:
    task = candidate.task
    return task.name in names or (task.subset is not None and f"{task.name}/{candidate.item.fields[task.subset]}" in names)


def _check_parts(items: Mapping[str, Sequence[Item]], tasks: Mapping[str, Task], settings: InstructionSettings) -> None:
    for name in (*settings.tasks, *settings.evaluation_tasks):
        task, _, part = name.partition("/")
        subset = tasks[task].subset if part and task in items else None
        if subset is None:
            continue
        known = sorted({str(item.fields[subset]) for item in items[task]})
        if part not in known:
            raise EvalitaError(f"evalita.instructions names {name!r}; the parts of {task} are {[f'{task}/{entry}' for entry in known]}")


def _side(item: Item, official_dev: bool, settings: InstructionSettings, seed: int) -> str:
    if item.split == "test":
        return "test"
    if official_dev:
        return "validation" if item.split == "dev" else "train"
    share = draw(seed, "validation", item.group_id) / 2**64
    return "validation" if share < settings.validation_share else "train"


def _without_shared(candidates: Iterable[Candidate], others: Iterable[Candidate], name: str, assignment: Assignment) -> list[Candidate]:
    groups: set[str] = set()
    texts: set[str] = set()
    for other in others:
        groups.add(other.item.group_id)
        texts |= other.keys
    kept = []
    for candidate in candidates:
        if candidate.item.group_id in groups:
            assignment.drop(candidate, f"group_in_{name}")
        elif not texts.isdisjoint(candidate.keys):
            assignment.drop(candidate, f"text_in_{name}")
        else:
            kept.append(candidate)
    return kept


def _mirrored(candidate: Candidate) -> Candidate:
    mirror = candidate.task.mirror
    if mirror is None:
        raise EvalitaError(f"task {candidate.task.name} declares no mirror")
    fields, label = mirror(candidate.item.fields, candidate.item.label)
    return Candidate(candidate.task, replace(candidate.item, fields=fields, label=label), candidate.keys, "~mirrored")


def _capped(candidates: Sequence[Candidate], limit: int | None, split: str, seed: int, assignment: Assignment) -> list[Candidate]:
    """At most ``limit`` candidates per task, chosen by hash; where answers of a group are combined, one group after the other."""
    kept: list[Candidate] = []
    by_task: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        by_task.setdefault(candidate.task.name, []).append(candidate)
    for chosen in by_task.values():
        ranked = sorted(chosen, key=lambda candidate: _rank(candidate, seed))
        kept += ranked if limit is None else ranked[:limit]
        for candidate in ranked[len(ranked) if limit is None else limit :]:
            assignment.drop(candidate, f"over_max_{split}_rows")
    return kept


def _rank(candidate: Candidate, seed: int) -> tuple[int, int]:
    group = draw(seed, "cap", candidate.item.group_id) if candidate.task.combine is not None else 0
    return group, draw(seed, "cap", candidate.id)


def on_two_sides(marks: Iterable[tuple[str, Iterable[str]]]) -> int:
    """How many marks (groups, texts) belong to rows of more than one split; 0 unless something is wrong.

    Args:
        marks: the split of each row, and the row's marks.
    """
    sides: dict[str, str] = {}
    twice: set[str] = set()
    for split, names in marks:
        for name in names:
            if sides.setdefault(name, split) != split:
                twice.add(name)
    return len(twice)
