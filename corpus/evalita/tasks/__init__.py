"""All tasks, one module each with a tuple ``TASKS``; a new module in this folder is a new task (docs/evalita-tasks.md)."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator

from corpus.evalita.errors import EvalitaError
from corpus.evalita.task import Task


def _declared() -> Iterator[Task]:
    for name in sorted(module.name for module in pkgutil.iter_modules(__path__)):
        yield from importlib.import_module(f"{__name__}.{name}").TASKS


def _by_name(tasks: Iterable[Task]) -> dict[str, Task]:
    found: dict[str, Task] = {}
    for task in tasks:
        if task.name in found:
            raise EvalitaError(f"two tasks have the name {task.name!r}; item and template ids begin with it")
        found[task.name] = task
    return found


TASKS: dict[str, Task] = _by_name(_declared())
"""Tasks by name, in the order of their modules' names."""


def named(names: Iterable[str]) -> list[Task]:
    """Tasks by name.

    Raises:
        EvalitaError: a name is unknown.
    """
    chosen = list(names)
    unknown = [name for name in chosen if name not in TASKS]
    if unknown:
        raise EvalitaError(f"no task {unknown[0]!r}; there are {list(TASKS)}")
    return [TASKS[name] for name in chosen]
