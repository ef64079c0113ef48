"""The progress of a sharded run, as a person watches it: shards, time left, and the pace of what is inside them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from tqdm import tqdm

from foundation.execution.shard_run import ShardRun


@dataclass(frozen=True)
class Pace:
    """What a run's speed is told in: ``unit``, and how many of them a finished result stands for."""

    unit: str
    count: Callable[[Path], int]


class ShardProgress:
    """A progress bar of shards; silent where nobody watches (no terminal).

    Results are counted as they appear, whoever makes them; those of an earlier run count as done and not for the pace.
    """

    def __init__(self, run: ShardRun, label: str, pace: Pace | None = None, *, hidden: bool = False) -> None:
        self._run = run
        self._pace = pace
        self._waiting = set(run.waiting())
        self._began = time.monotonic()
        self._counted = 0
        total = len(run.outputs)
        self._bar = tqdm(
            total=total, initial=total - len(self._waiting), desc=label, unit="shard", mininterval=1.0, disable=True if hidden else None
        )

    def __enter__(self) -> ShardProgress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.close()

    def look(self) -> int:
        """Count the results that are there now; returns how many shards still wait."""
        self.done(self._waiting - set(self._run.waiting()))
        return len(self._waiting)

    def done(self, indices: Iterable[int]) -> None:
        """Count shards that have their results."""
        fresh = [index for index in indices if index in self._waiting]
        self._waiting.difference_update(fresh)
        if self._pace is not None and fresh and not self._bar.disable:
            self._counted += sum(self._pace.count(self._run.outputs[index]) for index in fresh)
            seconds = max(time.monotonic() - self._began, 1e-6)
            self._bar.set_postfix_str(f"{self._counted / seconds:,.1f} {self._pace.unit}/s", refresh=False)
        self._bar.update(len(fresh))
