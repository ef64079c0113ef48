"""What Slurm says of jobs, through ``squeue`` alone: accounting (``sacct``) is not set up everywhere."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from foundation.execution.errors import ExecutionError

ENDED = frozenset(
    {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED", "TIMEOUT"}
)
"""States that a task does not leave (squeue(1), "JOB STATE CODES"); a requeued one is pending again."""
ANSWER_S = 120
"""Seconds within which a Slurm command must answer; a busy controller may take some."""


class SlurmSilent(ExecutionError):
    """``squeue`` gives no answer, or cannot reach the controller: nothing is known of any job, and it passes."""


@dataclass(frozen=True, slots=True)
class Task:
    """One task of a job array. ``reason``: why it is pending, or how it ended."""

    job_id: str
    index: int
    state: str
    reason: str

    @property
    def live(self) -> bool:
        """Whether it runs or may still run."""
        return self.state not in ENDED


def require_slurm() -> None:
    """Raise ExecutionError where Slurm's commands are not at hand."""
    missing = [name for name in ("sbatch", "squeue") if shutil.which(name) is None]
    if missing:
        raise ExecutionError(
            f"execution.engine is slurm, and there is no {' nor '.join(missing)} on this machine; run on a login node of the cluster, "
            "or set execution.engine=local"
        )


def tasks_of(job_name: str, job_id: str | None) -> list[Task]:
    """The tasks of a job by its name, else by its id; those that ended show for some minutes (``MinJobAge``).

    Raises:
        SlurmSilent: Slurm does not answer.
    """
    found = _squeue(f"--name={job_name}")
    return found if found or job_id is None else _squeue(f"--jobs={job_id}")


def summary(tasks: Sequence[Task]) -> str:
    """Counts by state, with the reason why tasks are pending: ``2 running, 5 pending (Resources)``."""
    counts = Counter(task.state.lower().replace("_", " ") for task in tasks)
    reasons = sorted({task.reason for task in tasks if task.state == "PENDING" and task.reason not in ("None", "")})
    parts = []
    for state, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        parts.append(f"{count:,} {state}" + (f" ({', '.join(reasons)})" if state == "pending" and reasons else ""))
    return ", ".join(parts)


def _squeue(choice: str) -> list[Task]:
    # %F job of the array, %K index in it, %T state, %r reason; --array: one line a task.
    command = ["squeue", "--noheader", "--array", "--states=all", choice, "--format=%F|%K|%T|%r"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise SlurmSilent(f"{' '.join(command)}: no answer in {ANSWER_S} s; run again later") from error
    if answer.returncode != 0:
        if "Invalid job id" in answer.stderr:  # ended so long ago that Slurm forgot it
            return []
        raise SlurmSilent(f"{' '.join(command)} failed ({answer.stderr.strip()[:500]}); run again later")
    return [_task(line) for line in answer.stdout.splitlines() if line.count("|") == 3]


def _task(line: str) -> Task:
    job, index, state, reason = (part.strip() for part in line.split("|"))
    return Task(job, int(index) if index.isdigit() else 0, state, reason)
