"""Ray: a cluster that runs already, or a Ray of this machine that lives as long as what is done on it."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import re
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from foundation.execution.errors import ExecutionError

STORE_BYTES = 200_000_000
"""Shared memory of a Ray of our own, which passes nothing but lists and paths; Ray itself would take 30 % of the machine."""
KNOCK_S = 10.0
"""Seconds within which a cluster's port must answer."""


@dataclass(frozen=True)
class RayTask:
    """What one task asks of a node, and the profile's section and keys that say so."""

    section: str
    what: str
    cpus: int
    gpus: int = 0
    memory_gb: float = 0.0
    cpus_key: str = "cpus"
    memory_key: str = "memory_gb"

    @property
    def memory(self) -> int:
        """In bytes."""
        return math.floor(self.memory_gb * 1024**3)


@contextlib.contextmanager
def joined_ray(address: str | None, task: RayTask, *, cores: int) -> Iterator[None]:
    """Ray, joined or started; what was started is stopped.

    Args:
        address: of a running cluster; ``None``: of this machine alone, with so many ``cores``.

    Raises:
        ExecutionError: it is not installed or cannot be reached, or no node is large enough for a task.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # tasks that reserve no GPU may still see one
    if address is None:
        # Ray reads it when it is imported: a Ray without a cluster listens on 127.0.0.1 alone, on Linux too.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    try:
        import ray
    except ImportError as error:
        raise ExecutionError(f"{task.section} is to be used, and Ray is not installed: pip install -c constraints.txt -e '.[ray]'") from error
    if ray.is_initialized():  # by the program that calls us
        yield
        return
    try:
        _knock(address)
        if address is None:
            ray.init(
                address="local",
                num_cpus=cores,
                include_dashboard=False,
                object_store_memory=STORE_BYTES,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        else:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError) as error:
        raise ExecutionError(f"Ray at {address or 'this machine'} cannot be reached: {error}; look at {task.section}.address") from error
    try:
        _refuse_what_never_fits(task, ray.nodes())
        yield
    finally:
        ray.shutdown()


def _knock(address: str | None) -> None:
    """Raise OSError where nobody listens: Ray itself tries for minutes."""
    found = re.fullmatch(r"(?:ray://)?([\w.-]+|\[[0-9a-fA-F:]+\]):(\d+)", address or "")
    if found:  # else `auto` or a local Ray
        socket.create_connection((found[1].strip("[]"), int(found[2])), timeout=KNOCK_S).close()


def _refuse_what_never_fits(task: RayTask, nodes: Sequence[dict[str, Any]]) -> None:
    """Ray waits without a word for a node that is large enough."""
    for node in nodes:
        has = node.get("Resources")
        fits = isinstance(has, dict) and has.get("CPU", 0) >= task.cpus and has.get("GPU", 0) >= task.gpus and has.get("memory", 0) >= task.memory
        if node.get("Alive") and fits:
            return
    gpus = f", {task.gpus} GPUs" if task.gpus else ""
    raise ExecutionError(
        f"no node of the Ray cluster has {task.cpus} cores{gpus} and {task.memory_gb} GB of memory for {task.what}; "
        f"lower {task.section}.{task.cpus_key}{', gpus' if task.gpus else ''} and {task.memory_key}"
    )
