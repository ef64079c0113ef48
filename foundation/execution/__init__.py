"""Sharded, resumable runs: the same function over many shards, on local workers, with done marks and progress."""

from foundation.execution.shards import ExecutionError, run_shards

__all__ = ["ExecutionError", "run_shards"]
