"""Run one function over many shards so that a killed run goes on where it stopped.

A shard's result appears under its final name only when it is whole (written beside it, then renamed), so that the file
itself is the done mark. The caller's work folder carries the build's fingerprint: other settings or inputs never meet
old marks. Results are named by shard index: their order never depends on which worker was faster.
"""

from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from tqdm import tqdm

from foundation.errors import TransumanzaError
from foundation.execution.datatrove_step import ShardStep

ShardFunction = Callable[[Any, Path], None]


class ExecutionError(TransumanzaError):
    """A shard failed; finished shards are kept, so that the next run starts with this one."""


def run_shards(
    function: ShardFunction,
    shards: Sequence[Any],
    work: Path,
    name: str,
    *,
    suffix: str = ".parquet",
    workers: int = 1,
    label: str = "",
) -> list[Path]:
    """Call ``function(shard, output)`` for each shard that has no result yet.

    Args:
        function: a module-level function, or a ``functools.partial`` of one; writes its result (a file or a folder) at
            the path it is given. It must depend on the shard and its bound arguments alone.
        shards: what is passed to the function, one at a time; JSON-like values.
        work: the resumable work folder of the build.
        name: names the run inside ``work``; several runs of one build have different names.
        suffix: ending of the results' names.
        workers: processes; 1 runs in this process. Never changes the result.
        label: what the progress bar says.

    Returns:
        The results' paths in the order of the shards.

    Raises:
        ExecutionError: a shard failed; its error is the cause.
    """
    folder = work / name
    folder.mkdir(parents=True, exist_ok=True)
    outputs = [folder / f"{index:05d}{suffix}" for index in range(len(shards))]
    for leftover in folder.glob("*.part"):
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    waiting = [index for index, output in enumerate(outputs) if not output.exists()]
    step = ShardStep(function, [shards[index] for index in waiting], [str(outputs[index]) for index in waiting])
    done = len(shards) - len(waiting)
    with tqdm(total=len(shards), initial=done, desc=label or name, unit="shard", mininterval=1.0, disable=None) as bar:
        try:
            if workers <= 1 or len(waiting) <= 1:
                for index in range(len(step)):
                    step.run_one(index)
                    bar.update()
            else:
                _run_workers(step, workers, bar)
        except RuntimeError as error:
            raise ExecutionError(f"{error}; finished shards are kept, run again to go on") from error
    return outputs


def _run_workers(step: ShardStep, workers: int, bar: tqdm) -> None:
    """All shards on local processes.

    Not datatrove's local executor: its pool waits forever for a task whose worker was killed (for memory, say), and its
    manager process outlives a killed parent. ``ShardStep`` stays what datatrove's executors run.
    """
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(min(workers, len(step)), mp_context=context) as pool:
        futures = [pool.submit(step.run_one, index) for index in range(len(step))]
        try:
            for future in as_completed(futures):
                future.result()
                bar.update()
        except BrokenProcessPool as error:
            raise ExecutionError(
                f"a worker process was killed, most likely for memory; lower `workers` (it is {workers}) and run again: "
                "finished shards are kept"
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
