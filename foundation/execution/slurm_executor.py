"""datatrove's Slurm executor as we submit it. Imports datatrove: import it only where a job is submitted or run.

The job unpickles the executor, so that this module is loaded on compute nodes too.
"""

from __future__ import annotations

import re
from typing import Any

from datatrove.executor.slurm import SlurmPipelineExecutor


class ShardJob(SlurmPipelineExecutor):
    """One job array, and no second job behind it."""

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
