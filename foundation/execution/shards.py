"""Run one function over many shards so that a killed run goes on where it stopped.

A shard's result appears under its final name only when it is whole (written beside it, then renamed), so that the file
itself is the done mark. The caller's work folder carries the build's fingerprint: other settings or inputs never meet
old marks. Results are named by shard index: their order never depends on which worker was faster.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Sequence
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
    with tqdm(total=len(shards), initial=len(shards) - len(waiting), desc=label or name, unit="shard", mininterval=1.0) as bar:
        if workers <= 1 or len(waiting) <= 1:
            _run_here(step, bar)
        else:
            _run_workers(step, workers, work / f"{name}.logs", bar)
    return outputs


def _run_here(step: ShardStep, bar: tqdm) -> None:
    for index in range(len(step)):
        try:
            step.run_one(index)
        except TransumanzaError:
            raise
        except Exception as error:
            raise ExecutionError(_failure(step, index, error)) from error
        bar.update()


def _run_workers(step: ShardStep, workers: int, logs: Path, bar: tqdm) -> None:
    from datatrove.executor import LocalPipelineExecutor

    shutil.rmtree(logs, ignore_errors=True)  # our own marks decide what is done; datatrove's are not keyed by input
    executor = LocalPipelineExecutor(
        pipeline=[step], tasks=len(step), workers=min(workers, len(step)), logging_dir=str(logs), skip_completed=False
    )
    watcher = _Watcher([Path(path) for path in step.outputs], bar)
    watcher.start()
    try:
        executor.run()
    except TransumanzaError:
        raise
    except Exception as error:
        raise ExecutionError(f"{error}; the workers' logs are in {logs / 'logs'}") from error
    finally:
        watcher.stop()
    missing = [path for path in step.outputs if not Path(path).exists()]
    if missing:
        raise ExecutionError(f"{len(missing)} of {len(step)} shards left no result, the first is {missing[0]}; logs: {logs / 'logs'}")


def _failure(step: ShardStep, index: int, error: Exception) -> str:
    return f"shard {step.shards[index]!r} failed: {type(error).__name__}: {error}; finished shards are kept, run again to go on"


class _Watcher(threading.Thread):
    """Moves the progress bar as results appear."""

    def __init__(self, outputs: Sequence[Path], bar: tqdm) -> None:
        super().__init__(daemon=True)
        self._outputs = outputs
        self._bar = bar
        self._stopping = threading.Event()
        self._seen = 0

    def run(self) -> None:
        while not self._stopping.wait(0.5):
            self._count()

    def stop(self) -> None:
        self._stopping.set()
        self.join()
        self._count()

    def _count(self) -> None:
        done = sum(path.exists() for path in self._outputs)
        self._bar.update(done - self._seen)
        self._seen = done
