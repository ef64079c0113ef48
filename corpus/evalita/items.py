"""The items of all tasks whose files are there: from the user's folder, or from the samples written for this project."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from corpus.evalita.settings import RawSettings
from corpus.evalita.task import EvalitaError, Item, Task
from corpus.evalita.tasks import TASKS, named
from foundation.settings import file_sha256
from foundation.sources.data import DataFolder
from foundation.sources.licences import licence_of

SAMPLE_SOURCE = "Transumanza samples"
SAMPLE_LICENCE = "Apache-2.0"
"""The samples were written for this project and carry its licence."""


@dataclass(frozen=True)
class Located:
    """The files of one task: present, all missing, or the reason why they cannot be used."""

    task: Task
    files: Mapping[str, Path]
    origin: str
    missing: tuple[str, ...]

    @property
    def present(self) -> bool:
        return not self.missing

    @cached_property
    def revision(self) -> str:
        """What was read, by content: a hash over the sha256 of the task's files."""
        digest = hashlib.sha256("".join(file_sha256(self.files[name]) for name in self.task.files).encode())
        return f"sha256:{digest.hexdigest()[:16]}"


@dataclass(frozen=True)
class TaskStatus:
    """What a user has to know about one task."""

    task: str
    title: str
    present: bool
    origin: str
    licences: tuple[str, ...]
    redistributable: bool
    access: str
    where: str
    put: tuple[str, ...]


def locate(task: Task, data: DataFolder, origin: str = "auto") -> Located:
    """Where a task's files are.

    Raises:
        EvalitaError: the user's folder holds some of the task's files and not others.
    """
    root = data.samples if origin == "samples" or data.root is None else data.root
    files = {name: root / name for name in task.files if (root / name).is_file()}
    missing = tuple(name for name in task.files if name not in files)
    if files and missing and not all((data.samples / name) == path for name, path in files.items()):
        raise EvalitaError(
            f"{task.title}: {root} holds {sorted(files)[0]} and lacks {missing[0]}; copy the whole set from {task.access.where}, or take {task.name} out of evalita.raw.tasks"
        )
    return Located(task, files, "samples" if root == data.samples else "user", missing)


def status(data: DataFolder, settings: RawSettings | None = None) -> list[TaskStatus]:
    """For each task: whether it is there, under which licence, whom to ask for it and where to put it."""
    rows = []
    for task in TASKS.values():
        try:
            located = locate(task, data, (settings or RawSettings()).origin)
            present, origin = located.present, located.origin
        except EvalitaError:
            present, origin = False, "user"
        free = all(licence_of(name).redistributable for name in task.licences)
        rows.append(
            TaskStatus(task.name, task.title, present, origin if present else "", task.licences, free, task.access.kind, task.access.where, task.files)
        )
    return rows


def read_items(located: Located) -> list[Item]:
    """All items of a task, in order of their ids.

    Raises:
        EvalitaError: a file is not in its official format, or two items have one id.
    """
    items = sorted(located.task.read(located.files), key=lambda item: item.item_id)
    for before, after in itertools.pairwise(items):
        if before.item_id == after.item_id:
            raise EvalitaError(f"{located.task.title}: two items have the id {after.item_id!r}; look for repeated rows in {list(located.files)}")
    return items


def locate_all(data: DataFolder, settings: RawSettings) -> tuple[list[Located], list[Located]]:
    """The present and the missing tasks.

    Raises:
        EvalitaError: no task is present at all.
    """
    found = [locate(task, data, settings.origin) for task in named(settings.tasks)]
    present = [entry for entry in found if entry.present]
    missing = [entry for entry in found if not entry.present]
    if not present:
        needs = "; ".join(f"{entry.task.title}: {entry.task.files[0]} … from {entry.task.access.where}" for entry in missing)
        raise EvalitaError(
            f"none of the tasks {list(settings.tasks)} is in {data.root or data.samples}; put files there ({needs}), or set evalita.raw.origin to samples"
        )
    return present, missing


def used_files(data: DataFolder, settings: RawSettings) -> list[Path]:
    """The files that reading would open."""
    present, _ = locate_all(data, settings)
    return sorted({path for entry in present for path in entry.files.values()})


def counts(items: Iterable[Item]) -> dict[str, int]:
    """Items by official split."""
    result: dict[str, int] = {}
    for item in items:
        result[item.split] = result.get(item.split, 0) + 1
    return dict(sorted(result.items()))
