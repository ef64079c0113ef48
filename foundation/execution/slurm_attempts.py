"""What is remembered of the jobs of a sharded run: one folder per submission, with datatrove's files, the logs and a record.

The record is written before ``sbatch`` runs and completed with the id after it, so that a process that is killed in
between leaves a trace, and the job is looked for by its name.
"""

from __future__ import annotations

import bisect
import hashlib
import json
import os
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from foundation.execution.errors import ExecutionError
from foundation.execution.shard_run import ShardRun

_RECORD = "submission.json"
TAIL_CHARACTERS = 1_500


@dataclass(frozen=True, slots=True)
class Attempt:
    """A submission. ``shards``: what it does, by index, ascending; task t of the job array does ``shards_per_task`` of them from t times that.

    ``job_id`` is None as long as sbatch has not answered; ``reported``: its end was told to the user.
    """

    folder: Path
    shards: tuple[int, ...]
    shards_per_task: int
    submitted_at: float
    job_id: str | None = None
    reported: bool = False

    @property
    def logs(self) -> Path:
        """Where Slurm writes what the tasks print."""
        return self.folder / "slurm"

    def task_of(self, shard: int) -> int | None:
        """The task of the job array that does a shard."""
        place = bisect.bisect_left(self.shards, shard)
        return place // self.shards_per_task if place < len(self.shards) and self.shards[place] == shard else None

    def log_of(self, shard: int) -> Path | None:
        """The log of the task that does a shard, where it began."""
        found = sorted(self.logs.glob(f"*_{self.task_of(shard)}.out"))
        return found[-1] if found else None

    def log_tail(self, shard: int) -> str:
        """The last lines of that log."""
        path = self.log_of(shard)
        return path.read_text(encoding="utf-8", errors="replace")[-TAIL_CHARACTERS:].strip() if path else ""

    def with_changes(self, *, job_id: str | None = None, reported: bool = False) -> Attempt:
        """The attempt as it is from now on, saved."""
        changed = replace(self, job_id=job_id or self.job_id, reported=reported or self.reported)
        changed.save()
        return changed

    def forget(self) -> None:
        """Remove the record, and keep the files that tell why."""
        (self.folder / _RECORD).unlink(missing_ok=True)

    def save(self) -> None:
        """Write the record, at once and whole."""
        self.folder.mkdir(parents=True, exist_ok=True)
        document = {name: value for name, value in asdict(self).items() if name != "folder"}
        part = self.folder / f"{_RECORD}.part"
        with part.open("w", encoding="utf-8") as stream:
            json.dump(document, stream)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(self.folder / _RECORD)


def job_name_of(run: ShardRun) -> str:
    """The job's name: made of the place of the results, which holds the build's fingerprint and the run's name."""
    place = hashlib.sha256(str(run.folder.resolve()).encode()).hexdigest()
    return f"transumanza-{run.folder.name}-{place[:16]}"


def new_attempt(run: ShardRun, shards: list[int], shards_per_task: int) -> Attempt:
    """The next attempt, not yet saved."""
    numbers = [int(path.name) for path in run.engine_folder.glob("[0-9]*")]
    return Attempt(run.engine_folder / f"{max(numbers, default=0) + 1:04d}", tuple(shards), shards_per_task, time.time())


def attempts_of(run: ShardRun) -> list[Attempt]:
    """All attempts that have a record, oldest first.

    Raises:
        ExecutionError: a record cannot be read.
    """
    return [_read(path, run) for path in sorted(run.engine_folder.glob(f"[0-9]*/{_RECORD}"))]


def _read(path: Path, run: ShardRun) -> Attempt:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return Attempt(folder=path.parent, **{**document, "shards": tuple(document["shards"])})
    except (ValueError, KeyError, TypeError) as error:
        raise ExecutionError(f"{path} is no record of a Slurm job ({error}); end its job if there is one, then remove {run.engine_folder}") from error
