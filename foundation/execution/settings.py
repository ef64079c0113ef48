"""The profile's section ``execution``: on what the shards of a build run. Only run keys: none of them changes a row."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import field_validator

from foundation.settings import Settings, run_key


class SlurmSettings(Settings):
    """A job array of a Slurm cluster; the state folder, the cache and the user's data must lie where all nodes see them."""

    account: str | None = run_key(None, description="Whose hours are spent; null: the user's default.")
    partition: str | None = run_key(None, description="Null: the cluster's default.")
    qos: str | None = run_key(None, description="Quality of service; null: the default.")
    time: str = run_key("04:00:00", description="Limit of one task, as sbatch reads it (HH:MM:SS, D-HH:MM:SS, or minutes); in quotes.")
    memory_gb: float = run_key(4.0, gt=0, description="Memory of one task.")
    cpus: int = run_key(1, ge=1, description="Cores of one task; more than one only to get more memory.")
    prologue: tuple[str, ...] = run_key((), description="Lines of bash before the work, such as `module load python/3.11` or `source …`.")
    tasks_at_once: int = run_key(32, ge=1, description="Most tasks that run at the same time; requests per second are divided among so many.")
    array_size: int = run_key(1_000, ge=1, description="Most tasks of a job array (clusters allow 1,001 unless they say otherwise); more shards share tasks.")
    options: dict[str, str] = run_key({}, description="Further options of sbatch by long name without dashes, such as constraint or reservation.")
    wait: bool = run_key(False, description="Stay and show progress until the job ends, instead of handing the shards over and leaving.")
    poll_s: float = run_key(15.0, gt=0, description="Seconds between two looks at the queue while waiting.")

    @field_validator("time", mode="before")
    @classmethod
    def _quoted(cls, value: Any) -> Any:
        if isinstance(value, int):
            # YAML 1.1 reads 12:00:00 as 43200, and 120 is minutes to Slurm: a number says nothing certain.
            raise ValueError('YAML read it as a number; put it in quotes, for instance time: "12:00:00"')
        return value


class RaySettings(Settings):
    """A Ray cluster, or a Ray of this machine alone."""

    address: str | None = run_key(None, description="A running cluster (HOST:PORT, ray://HOST:PORT, or auto); null: Ray is started here and stopped afterwards.")
    cpus_per_task: int = run_key(1, ge=1, description="Cores reserved for a shard.")
    memory_gb_per_task: float = run_key(0.5, gt=0, description="Memory that Ray sets aside for a shard when it places it; no limit.")
    tasks_at_once: int = run_key(32, ge=1, description="Most shards at the same time on a cluster; a Ray of this machine does `workers`.")


class ExecutionSettings(Settings):
    """Which engine runs the shards, and how; ``workers`` of the profile counts for local and for Ray on this machine."""

    engine: Literal["local", "slurm", "ray"] = run_key("local", description="local: processes of this machine; slurm: a job that is handed over; ray.")
    slurm: SlurmSettings = run_key(SlurmSettings())
    ray: RaySettings = run_key(RaySettings())


@dataclass(frozen=True, slots=True)
class Engine:
    """What runs the shards of a build. ``workers``: processes on this machine."""

    settings: ExecutionSettings = field(default_factory=ExecutionSettings)
    workers: int = 1

    @property
    def tasks_at_once(self) -> int:
        """Most shards that are worked on at the same time; what all of them share (requests per second) is divided by it."""
        if self.settings.engine == "slurm":
            return self.settings.slurm.tasks_at_once
        if self.settings.engine == "ray" and self.settings.ray.address is not None:
            return self.settings.ray.tasks_at_once
        return self.workers
