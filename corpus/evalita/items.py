"""The items of all tasks whose files are there: from the user's folder, or from the samples written for this project."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from corpus.evalita.errors import EvalitaError
from corpus.evalita.settings import RawSettings
from corpus.evalita.task import Item, Task
from corpus.evalita.tasks import TASKS, named
from foundation.settings import file_sha256
from foundation.sources.data import DataFolder
from foundation.store import PublishedVersion

SAMPLE_SOURCE = "Transumanza samples"
SAMPLE_LICENCE = "CC0-1.0"
"""The samples were written for this project (samples/evalita/README.md)."""
SAMPLES = "samples"


@dataclass(frozen=True)
class Located:
    """The files of one task that are there, and those that have to be and are not."""

    task: Task
    files: Mapping[str, Path]
    origin: str
    missing: tuple[str, ...]

    @property
    def present(self) -> bool:
        """Whether the task can be read."""
        return bool(self.files) and not self.missing

    @cached_property
    def hashes(self) -> dict[str, str]:
        """sha256 of each file."""
        return {name: file_sha256(path) for name, path in self.files.items()}

    @cached_property
    def changed(self) -> tuple[str, ...]:
        """Files whose content is not the one that the task was written against; those without a known sha256 never are."""
        if self.origin == SAMPLES:
            return ()
        return tuple(file.path for file in self.task.files if file.path in self.files and file.sha256 not in (None, self.hashes[file.path]))

    @cached_property
    def revision(self) -> str:
        """What was read, by content: a hash over the sha256 of the task's files."""
        return f"sha256:{hashlib.sha256(''.join(self.hashes.values()).encode()).hexdigest()[:16]}"


def search(task: Task, data: DataFolder, origin: str = "auto") -> Located:
    """Which of a task's files are there, whether they suffice or not."""
    root = data.samples if origin == SAMPLES or data.root is None else data.root
    files = {file.path: root / file.path for file in task.files if (root / file.path).is_file()}
    missing = tuple(file.path for file in task.files if not file.optional and file.path not in files)
    return Located(task, files, SAMPLES if root == data.samples else "user", missing)


def locate(task: Task, data: DataFolder, origin: str = "auto") -> Located:
    """Where a task's files are.

    Raises:
        EvalitaError: the folder holds some of the task's files and not others.
    """
    located = search(task, data, origin)
    if located.files and located.missing:
        folder = data.samples if located.origin == SAMPLES else data.root
        raise EvalitaError(
            f"{task.title}: {folder} holds {sorted(located.files)[0]} and lacks {located.missing[0]}; copy the whole set from {task.access.where}, "
            f"or take {task.name} out of evalita.raw.tasks"
        )
    return located


def official_items(located: Located, *, accept_changed: bool = False) -> list[Item]:
    """All items of a task with their official splits, in order of their ids.

    Raises:
        EvalitaError: a file has another sha256 or another number of rows than the known one (unless that is accepted), is not
            in its official format, or two items have one id.
    """
    task = located.task
    for name in () if accept_changed else located.changed:
        expected = next(file.sha256 for file in task.files if file.path == name)
        raise EvalitaError(
            f"{located.files[name]}: sha256 is {located.hashes[name]}, expected {expected} ({task.source} at {task.revision}); copy the file again from "
            f"{task.access.where}. If the organisers changed it, name {task.name} in evalita.raw.accept_changed"
        )
    items = sorted(task.read(located.files), key=lambda item: item.item_id)
    for before, after in itertools.pairwise(items):
        if before.item_id == after.item_id:
            raise EvalitaError(f"{task.title}: two items have the id {after.item_id!r}; look for repeated rows in {list(located.files)}")
    if not items:
        raise EvalitaError(f"{task.title}: no item in {list(located.files)}; copy the files again from {task.access.where}")
    if located.origin != SAMPLES and not accept_changed:
        _check_rows(located, items)
    return items


def read_items(located: Located, *, accept_changed: bool = False, test_share: float = 0.2) -> list[Item]:
    """All items of a task; one without any test item gets test groups of this project's choice.

    Raises:
        EvalitaError: as ``official_items``.
    """
    items = official_items(located, accept_changed=accept_changed)
    return items if has_test(items) else with_test_groups(items, test_share)


def has_test(items: Iterable[Item]) -> bool:
    """Whether any item is of an official test set."""
    return any(item.split == "test" for item in items)


def _check_rows(located: Located, items: Sequence[Item]) -> None:
    """Compare numbers of items with the known ones; a part whose file is not there is left alone."""
    task, found = located.task, counts(items, located.task.subset)
    for part, expected in task.rows.items():
        number = found.get(part, 0)
        if number != expected and (number or not any(file.optional for file in task.files)):
            raise EvalitaError(
                f"{task.title}: {number} items in {part}, expected {expected} ({', '.join(str(path) for path in located.files.values())}); a file is cut off or of "
                f"another release. Copy it again from {task.access.where}, or name {task.name} in evalita.raw.accept_changed"
            )


def with_test_groups(items: Sequence[Item], share: float) -> list[Item]:
    """The items with a share of their groups made test groups; at least one group, and never all.

    Groups are taken in order of a hash of their names, whatever the seed: no training set of this project holds what another
    one of the same files tests.
    """
    groups = sorted({item.group_id for item in items}, key=lambda group: hashlib.sha256(f"test\n{group}".encode()).digest())
    chosen = set(groups[: min(max(1, round(share * len(groups))), len(groups) - 1)])
    return [replace(item, split="test") if item.group_id in chosen else item for item in items]


def locate_all(data: DataFolder, settings: RawSettings) -> tuple[list[Located], list[Located]]:
    """The present and the missing tasks.

    Raises:
        EvalitaError: no task is present at all.
    """
    found = [locate(task, data, settings.origin) for task in named(settings.tasks)]
    present = [entry for entry in found if entry.present]
    missing = [entry for entry in found if not entry.present]
    if not present:
        needs = "; ".join(f"{entry.task.title}: {entry.task.files[0].path} … from {entry.task.access.where}" for entry in missing)
        raise EvalitaError(
            f"none of the tasks {list(settings.tasks)} is in {data.root or data.samples}; put files there ({needs}), or set evalita.raw.origin to samples"
        )
    return present, missing


def used_files(data: DataFolder, settings: RawSettings) -> list[Path]:
    """The files that reading would open."""
    present, _ = locate_all(data, settings)
    return sorted({path for entry in present for path in entry.files.values()})


def counts(items: Iterable[Item], subset: str | None = None) -> dict[str, int]:
    """Items by official split, and by ``split/subset`` where a field names one."""
    result: dict[str, int] = {}
    for item in items:
        part = item.split if subset is None else f"{item.split}/{item.fields[subset]}"
        result[part] = result.get(part, 0) + 1
    return dict(sorted(result.items()))


PROVENANCE = ("source", "revision", "licence", "redistributable", "official_test")


def items_of(raw: PublishedVersion) -> tuple[dict[str, list[Item]], dict[str, Mapping[str, Any]]]:
    """Items by task, in the registry's order, and the provenance of each item by id.

    Raises:
        EvalitaError: the table holds a task that is no more declared.
    """
    found: dict[str, list[Item]] = {name: [] for name in TASKS}
    provenance: dict[str, Mapping[str, Any]] = {}
    for row in raw.read("items").iter_rows(named=True):
        if row["task"] not in found:
            raise EvalitaError(f"evalita_raw holds items of {row['task']!r}, which is no task any more; materialize evalita_raw again")
        item = Item(row["item_id"], row["split"], row["group_id"], json.loads(row["fields"]), json.loads(row["label"]), row["licence"])
        found[row["task"]].append(item)
        provenance[item.item_id] = {name: row[name] for name in PROVENANCE}
    return {name: rows for name, rows in found.items() if rows}, provenance
