"""The step that datatrove's executors run: one task is one shard.

It lives in a module of its own because worker processes import it to unpickle their work; datatrove's own console log
is switched off there, as the parent shows progress (its log files stay).
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from foundation.errors import TransumanzaError


class ShardStep:
    """A datatrove pipeline step (a callable of data, rank and world size) that runs shard number ``rank``."""

    def __init__(self, function: Callable[[Any, Path], None], shards: Sequence[Any], outputs: Sequence[str]) -> None:
        self.function = function
        self.shards = list(shards)
        self.outputs = list(outputs)

    def __len__(self) -> int:
        return len(self.shards)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if "datatrove" in sys.modules:  # in a worker
            from loguru import logger

            logger.disable("datatrove")

    def __call__(self, data: object, rank: int = 0, world_size: int = 1) -> Iterator[object]:
        try:
            self.run_one(rank)
        except TransumanzaError:
            raise
        except Exception as error:
            message = f"shard {self.shards[rank]!r} failed: {type(error).__name__}: {error}"
            raise RuntimeError(message) from error
        return iter(())

    def run_one(self, index: int) -> None:
        """Run one shard; its result gets its final name only when it is whole."""
        output = Path(self.outputs[index])
        part = output.with_name(f"{output.name}.part")
        if part.exists():
            shutil.rmtree(part) if part.is_dir() else part.unlink()
        self.function(self.shards[index], part)
        part.rename(output)
