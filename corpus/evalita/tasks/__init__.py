"""All tasks, one module each; a new task is a new module and one line here."""

from __future__ import annotations

from collections.abc import Iterable

from corpus.evalita.task import EvalitaError, Task
from corpus.evalita.tasks import discotex, erte3, nermud, sentipolc, wic_ita, xcopa

TASKS: dict[str, Task] = {
    task.name: task
    for task in (wic_ita.TASK, nermud.TASK, *sentipolc.TASKS, erte3.TASK, discotex.TASK, xcopa.TASK)
}
"""Tasks by name, in the order of their use."""


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
