"""datatrove's Slurm executor as we submit it. Imports datatrove: import it only where a job is submitted or run.

The job unpickles the executor, so that this module is loaded on compute nodes too.
"""

from __future__ import annotations

import re
from typing import Any

from datatrove.executor.slurm import SlurmPipelineExecutor
from datatrove.utils.stats import PipelineStats


class ShardJob(SlurmPipelineExecutor):
    """One job array, and no second job behind it; a shard that fails does not keep its task's others from being done."""

    failed: tuple[int, ...] = ()

    def run(self) -> None:
        """Run a task's shards.

        Raises:
            RuntimeError: some failed; each has its reason beside the place of its result, and its traceback in the log.
        """
        super().run()
        if self.failed:
            raise RuntimeError(f"{len(self.failed):,} shards of this task failed")

    def _run_for_rank(self, rank: int, local_rank: int = 0, node_rank: int = -1) -> PipelineStats:
        try:
            return super()._run_for_rank(rank, local_rank, node_rank)
        except Exception:
            self.failed = (*self.failed, rank)
            return PipelineStats()

    def get_sbatch_args(self, max_array: int = 1) -> dict[str, Any]:
        """The directives of the script; without those that the profile leaves to the cluster."""
        return {name: value for name, value in super().get_sbatch_args(max_array).items() if value is not None}

    def launch_merge_stats(self) -> None:
        """Nothing: datatrove submits a further job that adds its counters up, and our results carry their own."""


def job_id_of(answer: str) -> str:
    """The id in what ``sbatch`` printed: ``Submitted batch job 12``, with ``on cluster …`` behind it on federations."""
    found = re.search(r"job (\d+)", answer)
    if found is None:
        raise ValueError(f"sbatch named no job: {answer[:200]!r}")
    return found.group(1)
