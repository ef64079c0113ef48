"""What a user has to know about each task before it can be read: is it there, is it right, whom to ask, where to put it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from corpus.evalita.items import SAMPLES, Located, search
from corpus.evalita.task import Task
from corpus.evalita.tasks import TASKS
from foundation.sources.data import DataFolder
from foundation.sources.licences import licence_of

State = Literal["present", "missing", "incomplete", "changed"]
FileState = Literal["verified", "changed", "there", "missing", "missing, optional"]


@dataclass(frozen=True)
class FileStatus:
    """One file: its place below the data folder, and whether it is there. Without a known sha256 it is no more than there."""

    path: str
    state: FileState


@dataclass(frozen=True)
class TaskStatus:
    """One task; ``origin`` is the user's folder or the samples, and empty where nothing can be read."""

    task: str
    title: str
    state: State
    origin: str
    licences: tuple[str, ...]
    redistributable: bool
    access: str
    where: str
    files: tuple[FileStatus, ...]
    unverified: tuple[str, ...]

    @property
    def present(self) -> bool:
        """Whether the task can be read as it stands."""
        return self.state == "present"


def status(data: DataFolder, origin: str = "auto", tasks: Iterable[Task] | None = None) -> list[TaskStatus]:
    """The status of every task, or of some."""
    return [_of(search(task, data, origin)) for task in (TASKS.values() if tasks is None else tasks)]


def _of(located: Located) -> TaskStatus:
    task = located.task
    state: State = "missing" if not located.files else "incomplete" if located.missing else "changed" if located.changed else "present"
    return TaskStatus(
        task=task.name,
        title=task.title,
        state=state,
        origin=located.origin if state == "present" else "",
        licences=task.licences,
        redistributable=all(licence_of(name).redistributable for name in task.licences),
        access=task.access.kind,
        where=task.access.where,
        files=tuple(FileStatus(file.path, _file_state(located, file.path, file.sha256, file.optional)) for file in task.files),
        unverified=task.open_questions,
    )


def _file_state(located: Located, path: str, sha256: str | None, optional: bool) -> FileState:
    if path not in located.files:
        return "missing, optional" if optional else "missing"
    if path in located.changed:
        return "changed"
    return "verified" if sha256 is not None and located.origin != SAMPLES else "there"
