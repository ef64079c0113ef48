"""A shard run as a datatrove pipeline step: one task is one shard.

It is a callable of (data, rank, world size), which is all that datatrove's executors ask of a step; worker processes
import this module to unpickle their work.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
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

    def __call__(self, data: object, rank: int = 0, world_size: int = 1) -> Iterator[object]:
        self.run_one(rank)
        return iter(())

    def run_one(self, index: int) -> None:
        """Run one shard.

        Raises:
            TransumanzaError: as the shard raised it.
            OSError: no space is left.
            RuntimeError: any other failure, with the shard's name.
        """
        output = Path(self.outputs[index])
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
            name = repr(self.shards[index])
            shown = name if len(name) <= 200 else f"{name[:200]}…"
            raise RuntimeError(f"shard {index} ({shown}) failed: {type(error).__name__}: {error}") from error
