"""A shard run as a datatrove pipeline step: one task is one shard.

It is a callable of (data, rank, world size), which is all that datatrove's executors ask of a step; worker processes
import this module to unpickle their work.
"""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from foundation.errors import TransumanzaError


class ShardStep:
    """Runs shard number ``rank``; its result gets its final name only when it is whole."""

    def __init__(self, function: Callable[[Any, Path], None], shards: Sequence[Any], outputs: Sequence[str]) -> None:
        self.function = function
        self.shards = list(shards)
        self.outputs = list(outputs)

    def __len__(self) -> int:
        return len(self.shards)

    def __repr__(self) -> str:
        return f"{type(self).__name__} of {len(self)} shards"

    def __call__(self, data: object, rank: int = 0, world_size: int = 1) -> Iterator[object]:
        self.run_one(rank)
        return iter(())

    def run_one(self, index: int) -> None:
        """Run one shard, unless its result is there.

        Raises:
            TransumanzaError: as the shard raised it.
            OSError: no space is left.
            RuntimeError: any other failure, with the shard's name.
        """
        output = Path(self.outputs[index])
        if output.exists():
            return
        # A name of its own: a worker that outlived a killed run may still be writing the same shard.
        part = output.with_name(f"{output.name}.{os.getpid()}-{os.urandom(3).hex()}.part")
        try:
            self.function(self.shards[index], part)
            if output.exists():
                shutil.rmtree(part) if part.is_dir() else part.unlink()
            else:
                part.rename(output)
        except TransumanzaError:
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise RuntimeError(f"{self.name_of(index)} failed: {type(error).__name__}: {error}") from error

    def alone(self, index: int) -> ShardStep:
        """The step of one shard, so that sending it to a process does not send all the others."""
        return ShardStep(self.function, [self.shards[index]], [self.outputs[index]])

    def name_of(self, index: int) -> str:
        """The shard as a person reads it: the number that its result is named by, and what it is."""
        return shard_name(Path(self.outputs[index]), self.shards[index])


class ReportingStep(ShardStep):
    """Leaves the reason of a failure beside the result's place: on a cluster it is a file that the next run reads."""

    def __call__(self, data: object, rank: int = 0, world_size: int = 1) -> Iterator[object]:
        reason = reason_file(Path(self.outputs[rank]))
        try:
            self.run_one(rank)
        except Exception as error:
            said = str(error) if isinstance(error, TransumanzaError | RuntimeError) else f"{type(error).__name__}: {error}"
            with contextlib.suppress(OSError):  # the disk may be what is full
                reason.write_text(said, encoding="utf-8")
            raise
        reason.unlink(missing_ok=True)
        return iter(())


class ApartStep(ReportingStep):
    """Runs a shard in a process of its own.

    datatrove's Ray worker runs its task in a pool that waits forever for a process that was killed (for memory, say).
    """

    def run_one(self, index: int) -> None:
        """Run one shard; see ``ShardStep.run_one``. RuntimeError also when its process was killed."""
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            try:
                pool.submit(self.alone(index).run_one, 0).result()
            except BrokenProcessPool as error:
                raise RuntimeError(
                    f"{self.name_of(index)} failed: its process was killed, most likely for memory; let fewer shards run at once"
                ) from error


def shard_name(output: Path, shard: object) -> str:
    """The shard as a person reads it: the number that its result is named by, and what it is."""
    name = repr(shard)
    return f"shard {output.name.partition('.')[0]} ({name if len(name) <= 200 else f'{name[:200]}…'})"


def reason_file(output: Path) -> Path:
    """Where the reason of a shard's failure stands, for the engines that run elsewhere."""
    return output.with_name(f"{output.name}.error")


@contextlib.contextmanager
def quiet_datatrove() -> Iterator[None]:
    """Keep datatrove's log lines off the terminal; on compute nodes they are in the jobs' logs."""
    from loguru import logger

    logger.disable("datatrove")
    try:
        yield
    finally:
        logger.enable("datatrove")
