"""Sharded, resumable runs: the same function over many shards, on local workers, Slurm or Ray, with done marks and progress."""

from foundation.execution.errors import ExecutionError, JobSubmitted
from foundation.execution.progress import Pace
from foundation.execution.settings import Engine, ExecutionSettings
from foundation.execution.shards import run_shards

__all__ = ["Engine", "ExecutionError", "ExecutionSettings", "JobSubmitted", "Pace", "run_shards"]
