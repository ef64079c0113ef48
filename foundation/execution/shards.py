"""Run one function over many shards so that a killed run goes on where it stopped.

A shard's result appears under its final name only when it is whole (written beside it, then renamed), so that the file
itself is the done mark. The caller's work folder carries the build's fingerprint: other settings or inputs never meet
old marks. Results are named by shard index: their order never depends on which worker was faster, nor on the engine.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from foundation.execution.datatrove_step import ShardStep
from foundation.execution.errors import ExecutionError
from foundation.execution.progress import Pace, ShardProgress
from foundation.execution.settings import Engine
from foundation.execution.shard_run import ShardFunction, ShardRun


def run_shards(
    function: ShardFunction,
    shards: Sequence[Any],
    work: Path,
    name: str,
    *,
    suffix: str = ".parquet",
    workers: int = 1,
    engine: Engine | None = None,
    label: str = "",
    pace: Pace | None = None,
) -> list[Path]:
    """Call ``function(shard, output)`` for each shard that has no result yet.

    Args:
        function: a module-level function of an installed package, or a ``functools.partial`` of one; writes its result (a
            file or a folder) at the path it is given. It must depend on the shard and its bound arguments alone. What it
            reads are files, or ranges of files that are fetched; the latter fails on compute nodes without a network,
            and of the Hub's files wherever HF_HUB_OFFLINE is set, as it is in Slurm jobs unless the prologue sets it otherwise.
        shards: what is passed to the function, one at a time; JSON-like values.
        work: the resumable work folder of the build.
        name: names the run inside ``work``; several runs of one build have different names.
        suffix: ending of the results' names.
        workers: for short: an engine of so many local processes.
        engine: what runs the shards. Never changes the result.
        label: what the progress bar says.
        pace: what the bar tells the speed in, besides shards.

    Returns:
        The results' paths in the order of the shards.

    Raises:
        ExecutionError: a shard failed, or the engine cannot be used.
        JobSubmitted: the shards are with Slurm; the same call finds the job again.
    """
    engine = engine or Engine(workers=workers)
    folder = work / name
    folder.mkdir(parents=True, exist_ok=True)
    outputs = tuple(folder / f"{index:05d}{suffix}" for index in range(len(shards)))
    run = ShardRun(function, shards, outputs, folder, label or name, engine)
    if engine.settings.engine == "slurm":
        from foundation.execution.slurm import run_on_slurm

        run_on_slurm(run, pace)
        return list(outputs)
    if run.engine_folder.exists():
        from foundation.execution.slurm import refuse_beside_a_job

        refuse_beside_a_job(run)
    run.clear_leftovers()
    if engine.settings.engine == "ray":
        from foundation.execution.on_ray import run_on_ray

        run_on_ray(run, pace)
    else:
        _run_here(run, pace)
    return list(outputs)


def _run_here(run: ShardRun, pace: Pace | None) -> None:
    waiting, workers = run.waiting(), run.engine.workers
    step = run.step(waiting, ShardStep)
    with ShardProgress(run, run.label, pace) as progress:
        try:
            if workers <= 1 or len(waiting) <= 1:
                for index, shard in enumerate(waiting):
                    step.run_one(index)
                    progress.done([shard])
            else:
                _run_workers(step, waiting, workers, progress)
        except RuntimeError as error:
            raise ExecutionError(f"{error}; finished shards are kept, run again to go on") from error


def _run_workers(step: ShardStep, waiting: Sequence[int], workers: int, progress: ShardProgress) -> None:
    """All shards on local processes.

    Not datatrove's local executor: its pool waits forever for a task whose worker was killed (for memory, say), and its
    manager process outlives a killed parent. ``ShardStep`` stays what datatrove's executors run.
    """
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(min(workers, len(step)), mp_context=context) as pool:
        futures = {pool.submit(step.alone(index).run_one, 0): shard for index, shard in enumerate(waiting)}
        try:
            for future in as_completed(futures):
                future.result()
                progress.done([futures[future]])
        except BrokenProcessPool as error:
            raise ExecutionError(
                f"a worker process was killed, most likely for memory; lower `workers` (it is {workers}) and run again: "
                "finished shards are kept"
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
