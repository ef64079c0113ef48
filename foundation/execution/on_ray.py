"""Shards on Ray; see ``ray_cluster`` for where it runs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from foundation.execution.datatrove_step import ApartStep, quiet_datatrove
from foundation.execution.errors import ExecutionError
from foundation.execution.progress import Pace, ShardProgress
from foundation.execution.ray_cluster import RayTask, joined_ray
from foundation.execution.shard_run import ShardRun

if TYPE_CHECKING:
    from datatrove.executor.ray import RayPipelineExecutor

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
    settings = run.engine.settings.ray
    asked = RayTask("execution.ray", "one shard", settings.cpus_per_task, memory_gb=settings.memory_gb_per_task, memory_key="memory_gb_per_task", cpus_key="cpus_per_task")
    with joined_ray(settings.address, asked, cores=max(run.engine.workers, settings.cpus_per_task)):
        yield


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
