"""Shards on Ray: a cluster that runs already, or a Ray of this machine that lives as long as the run."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import re
import socket
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from foundation.execution.datatrove_step import ApartStep, quiet_datatrove
from foundation.execution.errors import ExecutionError
from foundation.execution.progress import Pace, ShardProgress
from foundation.execution.shard_run import ShardRun

if TYPE_CHECKING:
    from datatrove.executor.ray import RayPipelineExecutor

STORE_BYTES = 200_000_000
"""Shared memory of a Ray of our own, which passes nothing but the list of shards; Ray itself would take 30 % of the machine."""
KNOCK_S = 10.0
"""Seconds within which a cluster's port must answer."""
LOOK_S = 1.0
"""Seconds between two looks at the results for the progress bar."""


def run_on_ray(run: ShardRun, pace: Pace | None = None) -> None:
    """Run the shards that wait.

    Raises:
        ExecutionError: Ray is not installed or cannot be reached, or shards failed; finished ones are kept.
    """
    waiting = run.waiting()
    if not waiting:
        return
    with _cluster(run), quiet_datatrove(), _progress(run, pace):
        _executor(run, waiting).run()
    # datatrove logs a failed task and goes on: the results tell.
    missing = run.waiting()
    if not missing:
        run.clear_leftovers()
        return
    first = next((index for index in missing if run.reason(index) is not None), missing[0])
    reason = run.reason(first) or f"{run.name_of(first)} failed: its worker was lost, and so were those that tried it again"
    raise ExecutionError(
        f"{run.label}: {len(missing):,} of {len(run.outputs):,} shards failed on Ray. {reason}\nLogs: {run.engine_folder / 'ray'}. "
        "Finished shards are kept, run again to go on"
    )


def _executor(run: ShardRun, waiting: list[int]) -> RayPipelineExecutor:
    from datatrove.executor import RayPipelineExecutor

    settings = run.engine.settings.ray
    return RayPipelineExecutor(
        pipeline=[run.step(waiting, ApartStep)],
        tasks=len(waiting),
        workers=run.engine.tasks_at_once,
        # Done marks are the results: datatrove's count ranks, which are others in the next run.
        skip_completed=False,
        logging_dir=str(run.engine_folder.absolute() / "ray"),
        cpus_per_task=settings.cpus_per_task,
        mem_per_cpu_gb=settings.memory_gb_per_task / settings.cpus_per_task,
    )


@contextlib.contextmanager
def _cluster(run: ShardRun) -> Iterator[None]:
    """Ray, joined or started; what was started is stopped."""
    settings = run.engine.settings.ray
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # shards that reserve no GPU may still see one
    if settings.address is None:
        # Ray reads it when it is imported: a Ray without a cluster listens on 127.0.0.1 alone, on Linux too.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    try:
        import ray
    except ImportError as error:
        raise ExecutionError("execution.engine is ray, which is not installed: pip install -c constraints.txt -e '.[ray]'") from error
    if ray.is_initialized():  # by the program that calls us
        yield
        return
    try:
        _knock(settings.address)
        if settings.address is None:
            cores = max(run.engine.workers, settings.cpus_per_task)
            ray.init(
                address="local",
                num_cpus=cores,
                include_dashboard=False,
                object_store_memory=STORE_BYTES,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        else:
            ray.init(address=settings.address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError) as error:
        raise ExecutionError(f"Ray at {settings.address or 'this machine'} cannot be reached: {error}; look at execution.ray.address") from error
    try:
        _refuse_what_never_fits(run, ray.nodes())
        yield
    finally:
        ray.shutdown()


def _knock(address: str | None) -> None:
    """Raise OSError where nobody listens: Ray itself tries for minutes."""
    found = re.fullmatch(r"(?:ray://)?([\w.-]+|\[[0-9a-fA-F:]+\]):(\d+)", address or "")
    if found:  # else `auto` or a local Ray
        socket.create_connection((found[1].strip("[]"), int(found[2])), timeout=KNOCK_S).close()


def _refuse_what_never_fits(run: ShardRun, nodes: list[dict[str, object]]) -> None:
    """Ray waits without a word for a node that is large enough."""
    settings = run.engine.settings.ray
    memory = math.floor(settings.memory_gb_per_task * 1024**3)
    for node in nodes:
        has = node.get("Resources")
        if node.get("Alive") and isinstance(has, dict) and has.get("CPU", 0) >= settings.cpus_per_task and has.get("memory", 0) >= memory:
            return
    raise ExecutionError(
        f"no node of the Ray cluster has {settings.cpus_per_task} cores and {settings.memory_gb_per_task} GB of memory for one shard; "
        "lower execution.ray.cpus_per_task and memory_gb_per_task"
    )


@contextlib.contextmanager
def _progress(run: ShardRun, pace: Pace | None) -> Iterator[None]:
    """The progress bar of a run that blocks: moved by the results that appear."""
    ended = threading.Event()
    with ShardProgress(run, f"{run.label} (Ray)", pace) as progress:

        def keep_looking() -> None:
            while not ended.wait(LOOK_S):
                progress.look()

        watcher = threading.Thread(target=keep_looking, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()
            progress.look()
