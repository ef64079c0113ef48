"""Who trains: this process, another one, several, or a job or task of a cluster. The result is the same."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from foundation.execution import Engine, ExecutionSettings, run_shards
from foundation.settings import content_of
from training.errors import Stopped, TrainingError
from training.linking import link_tree
from training.recipes import Job, Outcome, train
from training.running.launching import carry_out
from training.running.on_ray import carry_out_on_ray
from training.running.orders import Order, read_outcome, write_order
from training.running.progress import Follower, told
from training.running.trackers import TrackedRun, check_trackers
from training.settings import FitSettings, RunningSettings

REQUEUED_S = 120.0
"""A job that Slurm was asked to requeue is ended by it within seconds."""
TRAP = "trap : TERM  # the signal is for the processes below, and the script has to outlive it"


def run_training(job: Job, settings: FitSettings, running: RunningSettings, *, run: TrackedRun | None = None, label: str = "training") -> Outcome:
    """Train where the settings say; results are below ``job.output`` when this returns.

    A run that ended early goes on from its last checkpoint, one that ended while nobody followed it is taken as it is.

    Raises:
        TrainingError: see ``train``; several processes were asked for and do not fit the method; a tracker is not installed or lacks a variable.
        JobSubmitted: the job is with Slurm; the same call goes on with it.
    """
    processes = _processes(running)
    job = replace(job, sharded=processes > 1 and _sharded(running, settings))
    if run is not None:
        check_trackers(running.report_to)
        run = replace(run, to=running.report_to, config={"base": job.base_name, "seed": job.seed, **content_of(settings)})
    outcome = _carried_out(job, settings, running, processes, run, label)
    if outcome.merges is not None:
        outcome.merges.say()
    return outcome


def _carried_out(job: Job, settings: FitSettings, running: RunningSettings, processes: int, run: TrackedRun | None, label: str) -> Outcome:
    if running.runner == "in_process":
        with told(None, run) as watch:
            return train(replace(job, watch=watch), settings)
    order = Order(job.work)
    if not order.outcome.is_file():
        write_order(order, job, settings, run=run)
        if running.runner == "slurm":
            _by_slurm(order, processes, running, label)
        elif running.runner == "ray":
            carry_out_on_ray(order, processes, running.ray, job)
        else:
            _here(order, processes, job)
    outcome = read_outcome(order)
    link_tree(order.output, job.output)
    return outcome


def _processes(running: RunningSettings) -> int:
    if running.runner in ("in_process", "subprocess") and running.processes > 1:
        raise TrainingError(f"training.running.processes is {running.processes}, and runner {running.runner} is one process; set runner to torchrun, slurm or ray")
    return running.processes


def _sharded(running: RunningSettings, settings: FitSettings) -> bool:
    if running.sharding == "fsdp" and settings.method != "full":
        raise TrainingError(f"training.running.sharding is fsdp, and method {settings.method} trains an adapter, which is merged from whole weights; set it to ddp or auto")
    return running.sharding == "fsdp" or (running.sharding == "auto" and settings.method == "full")


def _here(order: Order, processes: int, job: Job) -> None:
    follower = Follower(order.progress, job.progress)
    try:
        carry_out(order, processes, follower.look)
    finally:
        follower.close()


def _by_slurm(order: Order, processes: int, running: RunningSettings, label: str) -> None:
    """One job whose result is the outcome; found again by the place of the work folder, which holds the build's fingerprint."""
    slurm = running.slurm.model_copy(update={"prologue": (TRAP, *running.slurm.prologue)})
    engine = Engine(ExecutionSettings(engine="slurm", slurm=slurm))
    run_shards(partial(on_node, processes), [str(order.work.absolute())], order.work, "job", suffix=".json", engine=engine, label=label)


class _Preempted(BaseException):
    """Slurm wants the node back."""


def on_node(processes: int, work: str, output: Path) -> None:
    """What the job does on its node; a run that had to end early, with a checkpoint, puts the job back into the queue."""

    def leave(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # said once is enough
        raise _Preempted

    order = Order(Path(work))
    signal.signal(signal.SIGTERM, leave)
    if not order.outcome.is_file():
        try:
            carry_out(order, processes, followed=False)
        except (Stopped, _Preempted) as error:
            _requeue(os.environ)
            raise Stopped("the job had to end early, with a checkpoint; materialize again to go on") from error
    output.write_bytes(order.outcome.read_bytes())


def _requeue(environment: Mapping[str, Any]) -> None:
    job = environment.get("SLURM_JOB_ID")
    if job is None:
        return
    answer = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True, check=False)
    if answer.returncode:
        raise TrainingError(f"the run saved its state, and Slurm does not take job {job} back: {answer.stderr.strip()}; materialize again to go on")
    time.sleep(REQUEUED_S)
