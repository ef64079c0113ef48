"""How a sharded run ends when it does not end with its results."""

from __future__ import annotations

from foundation.errors import TransumanzaError


class ExecutionError(TransumanzaError):
    """A shard failed, or the engine cannot be used; finished shards are kept, so that the next run starts with what is missing."""


class JobSubmitted(TransumanzaError):
    """The shards are with a cluster and nothing waits for them here: no fault, and nothing is published yet.

    Args:
        message: what is going on, how to watch it, how to go on.
        job_id: the cluster's job.
        done: shards that are finished.
        total: shards of the run.
        logs: the folder of the job's logs.
    """

    def __init__(self, message: str, *, job_id: str, done: int, total: int, logs: str) -> None:
        super().__init__(message)
        self.job_id = job_id
        self.done = done
        self.total = total
        self.logs = logs
