"""Shards on Slurm: handed over as one job array by datatrove's executor, and found again by the next run.

No process stays behind. A run that finds no results submits and leaves (``JobSubmitted``); the next one asks the queue: a job
at work is left alone, an ended one is collected, and what it did not finish is submitted anew after its failure was told.
"""

from __future__ import annotations

import math
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from foundation.execution.datatrove_step import ReportingStep, quiet_datatrove
from foundation.execution.errors import ExecutionError, JobSubmitted
from foundation.execution.progress import Pace, ShardProgress
from foundation.execution.settings import SlurmSettings
from foundation.execution.shard_run import ShardRun
from foundation.execution.slurm_attempts import Attempt, attempts_of, job_name_of, new_attempt
from foundation.execution.slurm_queue import SlurmSilent, Task, require_slurm, summary, tasks_of

if TYPE_CHECKING:
    from foundation.execution.slurm_executor import ShardJob

UNANSWERED_S = 20.0
"""Age up to which a submission without an id may still be on its way: sbatch outlives the process that started it."""
ENDING_S = 30.0
"""A job whose results are all there is waited for so long: its tasks still write their logs."""
SETTLE_S = 10.0
"""Results of other nodes may show so much later than the end of the job (network file systems)."""
MAX_SILENCES = 5
"""Times that Slurm may fail to answer one who waits for a job, each up to two minutes long."""
OFFLINE = ("export HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 TRANSFORMERS_OFFLINE=1",)
"""Before the prologue, which may set it otherwise: what a build downloads was staged before (``transumanza fetch``)."""
_REMEDIES = {"OUT_OF_MEMORY": "; raise execution.slurm.memory_gb", "TIMEOUT": "; raise execution.slurm.time"}


def run_on_slurm(run: ShardRun, pace: Pace | None = None) -> None:
    """Submit, find again, or collect.

    Raises:
        JobSubmitted: a job has the shards, and ``wait`` is not set, or Slurm does not answer when asked for it.
        ExecutionError: shards failed, Slurm refuses, or it does not answer and no job is known to have them.
    """
    if not run.waiting() and not run.engine_folder.exists():
        return
    require_slurm()
    attempt = _last_attempt(run)
    if attempt is not None and not attempt.reported:
        tasks, attempt = _watch(run, attempt, pace)
        if tasks or attempt.job_id or (attempt.logs.is_dir() and any(attempt.logs.iterdir())):
            _conclude(run, attempt, tasks)
            return
        shutil.rmtree(attempt.folder)  # killed before sbatch, or refused
    if not run.waiting():
        return
    attempt = _submit(run)
    if not run.engine.settings.slurm.wait:
        _left(run, attempt, "is submitted")
    tasks, attempt = _watch(run, attempt, pace)
    _conclude(run, attempt, tasks)


def refuse_beside_a_job(run: ShardRun) -> None:
    """Raise ExecutionError where a job, submitted under another choice of engine, still works on the same shards."""
    attempt = _last_attempt(run)
    if attempt is None or attempt.reported:
        return
    if shutil.which("squeue") is None:
        raise ExecutionError(
            f"{run.label}: Slurm job {attempt.job_id or job_name_of(run)} was submitted for these shards, and there is no squeue on this machine "
            f"to ask whether it still runs; end it and remove {run.engine_folder}, or set execution.engine=slurm on a login node"
        )
    live = [task for task in tasks_of(job_name_of(run), attempt.job_id) if task.live]
    if live:
        raise ExecutionError(
            f"{run.label}: Slurm job {live[0].job_id} works on these shards ({summary(live)}); set execution.engine=slurm to take its results, "
            f"or end it with `scancel {live[0].job_id}`"
        )


def _submit(run: ShardRun) -> Attempt:
    stray = [task for task in tasks_of(job_name_of(run), None) if task.live]
    if stray:  # the work folder was removed under it
        raise ExecutionError(f"{run.label}: Slurm job {stray[0].job_id} of the same name runs, and has no record here; end it with `scancel {stray[0].job_id}`")
    run.clear_leftovers()
    waiting = run.waiting()
    attempt = new_attempt(run, waiting, math.ceil(len(waiting) / run.engine.settings.slurm.array_size))
    job = _job(run, attempt)
    attempt.save()
    try:
        with quiet_datatrove():
            job.launch_job()
    except subprocess.CalledProcessError as error:
        script = attempt.folder / "launch_script.slurm"
        refusal = _refusal(script)
        if refusal:
            attempt.forget()  # else sbatch may have been cut off: the next run looks for the job
        raise ExecutionError(
            f"{run.label}: sbatch refuses the job: {refusal or 'its own message stands above'}; look at execution.slurm in the profile (the script: {script})"
        ) from error
    return attempt.with_changes(job_id=job.job_id)


def _job(run: ShardRun, attempt: Attempt) -> ShardJob:
    """datatrove's executor for the attempt: tasks are its ranks, ranks the shards that wait."""
    from foundation.execution.slurm_executor import ShardJob, job_id_of

    settings = run.engine.settings.slurm
    options = {"mem-per-cpu": f"{math.ceil(settings.memory_gb * 1024 / settings.cpus)}M", "account": settings.account, **settings.options}
    return ShardJob(
        pipeline=[run.step(attempt.shards, ReportingStep)],
        tasks=len(attempt.shards),
        time=settings.time,
        partition=settings.partition,
        qos=settings.qos or "",
        cpus_per_task=settings.cpus,
        workers=settings.tasks_at_once,
        tasks_per_job=attempt.shards_per_task,
        max_array_size=settings.array_size,
        job_name=job_name_of(run),
        job_id_retriever=job_id_of,
        env_command="\n        ".join(_prologue(settings)),
        sbatch_args=options,
        logging_dir=str(attempt.folder.absolute()),
        slurm_logs_folder=str(attempt.logs.absolute()),
        with_srun=False,  # one process on one node: the batch script itself is that
    )


def _prologue(settings: SlurmSettings) -> list[str]:
    """What the script does first: the same Python as here comes last, so that no module hides it."""
    return [*OFFLINE, *settings.prologue, f"export PATH={shlex.quote(str(Path(sys.executable).absolute().parent))}:$PATH"]


def _refusal(script: Path) -> str:
    """Why sbatch refuses: asked again without submitting, since datatrove keeps no error output. Empty: it would not."""
    answer = subprocess.run(["sbatch", "--test-only", str(script)], capture_output=True, text=True, check=False)
    return " ".join(line.removeprefix("sbatch: ").strip() for line in answer.stderr.splitlines()) if answer.returncode else ""


def _watch(run: ShardRun, attempt: Attempt, pace: Pace | None) -> tuple[list[Task], Attempt]:
    """The tasks of an attempt that ended, and the attempt with its id.

    Raises:
        JobSubmitted: it has not ended, and nothing is to wait for it; or Slurm does not tell, after some attempts where a wait is wanted.
    """
    settings = run.engine.settings.slurm
    began, patience = time.monotonic(), MAX_SILENCES if settings.wait else 1
    with ShardProgress(run, f"{run.label} (Slurm)", pace, hidden=not settings.wait) as progress:
        while True:
            try:
                tasks, attempt = _asked(run, attempt)
            except SlurmSilent as error:
                patience -= 1
                if attempt.job_id is None:
                    raise
                if not patience:
                    _left(run, attempt, f"was submitted, and Slurm does not answer now ({error})")
                time.sleep(settings.poll_s)
                continue
            waiting = progress.look()
            if not any(task.live for task in tasks):
                if tasks or attempt.job_id or time.time() - attempt.submitted_at > UNANSWERED_S:
                    return tasks, attempt
                time.sleep(1)  # sbatch may still be at it
                continue
            ending = not waiting and time.monotonic() - began < ENDING_S
            if not (settings.wait or ending):
                _left(run, attempt, f"is at work ({summary(tasks)})")
            time.sleep(1 if ending else settings.poll_s)


def _asked(run: ShardRun, attempt: Attempt) -> tuple[list[Task], Attempt]:
    """The tasks of an attempt now; earlier attempts have the same name, and the latest id is the last one."""
    tasks = tasks_of(job_name_of(run), attempt.job_id)
    if attempt.job_id is None:
        known = {other.job_id for other in attempts_of(run)}
        fresh = [task.job_id for task in tasks if task.job_id not in known]
        if not fresh:
            return [], attempt
        attempt = attempt.with_changes(job_id=max(fresh, key=int))
    return [task for task in tasks if task.job_id == attempt.job_id], attempt


def _last_attempt(run: ShardRun) -> Attempt | None:
    return next(reversed(attempts_of(run)), None)


def _left(run: ShardRun, attempt: Attempt, state: str) -> NoReturn:
    total = len(run.outputs)
    done = total - len(run.waiting())
    raise JobSubmitted(
        f"{run.label}: Slurm job {attempt.job_id} {state}; {done:,} of {total:,} shards are done, and nothing is published yet. "
        f"Watch it with `squeue --jobs={attempt.job_id}` (logs: {attempt.logs}); when it has ended, materialize again to go on",
        job_id=str(attempt.job_id),
        done=done,
        total=total,
        logs=str(attempt.logs),
    )


def _conclude(run: ShardRun, attempt: Attempt, tasks: Sequence[Task]) -> None:
    """Take the results of a job that ended, or tell what is missing (once: the next run submits what is)."""
    states: dict[int | None, str] = {task.index: task.state for task in tasks}
    missing = _settled(run, attempt, states)
    if not missing:
        run.clear_leftovers()
        return
    attempt.with_changes(reported=True)
    first = next((index for index in missing if run.reason(index) is not None), missing[0])
    state = states.get(attempt.task_of(first), "")
    log = attempt.log_of(first)
    raise ExecutionError(
        f"{run.label}: Slurm job {attempt.job_id} ended, and {len(missing):,} of {len(run.outputs):,} shards have no result. "
        f"{_what_happened(run, attempt, first, state)}\nIts log: {log or f'none; see {attempt.logs}'}. Finished shards are kept: materialize again, "
        "and only the others are submitted"
    )


def _settled(run: ShardRun, attempt: Attempt, states: Mapping[int | None, str]) -> list[int]:
    """Shards without a result, once what other nodes wrote has had the time to show."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        missing = run.waiting()
        unexplained = any(states.get(attempt.task_of(index), "COMPLETED") == "COMPLETED" and run.reason(index) is None for index in missing)
        if not unexplained or time.monotonic() > deadline:
            return missing
        time.sleep(0.5)


def _what_happened(run: ShardRun, attempt: Attempt, index: int, state: str) -> str:
    reason = run.reason(index)
    if reason is not None:
        return reason
    ended = f" in state {state}{_REMEDIES.get(state, '')}" if state else ", and Slurm no longer knows how"
    tail = attempt.log_tail(index)
    return f"{run.name_of(index)} ended{ended}" + (f"; the last lines of its log:\n{tail}" if tail else "")
