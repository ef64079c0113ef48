"""One sharded run as the engines see it: the shards, the places of their results, and which are still to do."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from foundation.execution.datatrove_step import ShardStep, reason_file, shard_name
from foundation.execution.settings import Engine

ShardFunction = Callable[[Any, Path], None]
StepKind = TypeVar("StepKind", bound=ShardStep)


@dataclass(frozen=True)
class ShardRun:
    """``folder`` holds one result per shard; what an engine keeps for itself lies in ``engine_folder`` beside it."""

    function: ShardFunction
    shards: Sequence[Any]
    outputs: tuple[Path, ...]
    folder: Path
    label: str
    engine: Engine

    @property
    def engine_folder(self) -> Path:
        """Job records and logs; goes with the work folder."""
        return self.folder.with_name(f"{self.folder.name}.jobs")

    def waiting(self) -> list[int]:
        """Shards without a result, by index; by one listing, which network file systems answer afresh."""
        present = {entry.name for entry in os.scandir(self.folder)}
        return [index for index, output in enumerate(self.outputs) if output.name not in present]

    def step(self, indices: Sequence[int], kind: type[StepKind]) -> StepKind:
        """The work of some shards: rank r is the r-th of ``indices``."""
        return kind(self.function, [self.shards[index] for index in indices], [str(self.outputs[index].absolute()) for index in indices])

    def clear_leftovers(self) -> None:
        """Remove what killed runs left half-written, and old reasons; never while a job is at work."""
        for leftover in (*self.folder.glob("*.part"), *self.folder.glob("*.error")):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)

    def reason(self, index: int) -> str | None:
        """What a shard that failed elsewhere said of itself."""
        with contextlib.suppress(FileNotFoundError):
            return reason_file(self.outputs[index]).read_text(encoding="utf-8")
        return None

    def name_of(self, index: int) -> str:
        """A shard as a person reads it."""
        return shard_name(self.outputs[index], self.shards[index])
