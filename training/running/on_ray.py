"""Training as one task of Ray: the same process as elsewhere, started by a Ray worker on the node that has the resources asked for."""

from __future__ import annotations

from pathlib import Path

from foundation.errors import TransumanzaError
from foundation.execution.ray_cluster import RayTask, joined_ray
from training import errors
from training.errors import TrainingError
from training.recipes import Job
from training.running.launching import ENDING_S, POLL_S, carry_out
from training.running.orders import Order
from training.running.progress import Follower
from training.settings import RayTaskSettings


def carry_out_on_ray(order: Order, processes: int, settings: RayTaskSettings, job: Job) -> None:
    """Hand an order to Ray and stay with it; its outcome is written when this returns.

    The work folder must lie where all nodes see it. When this process ends early, so does the task, with a checkpoint.

    Raises:
        ExecutionError: Ray is not installed or cannot be reached, or no node is large enough.
        Stopped, LossDiverged, TrainingError, MergeError, CheckpointError: as it was raised there.
        TrainingError: Ray lost the task.
    """
    asked = RayTask("training.running.ray", "the training", settings.cpus, settings.gpus, settings.memory_gb)
    with joined_ray(settings.address, asked, cores=settings.cpus):
        import ray

        # Not tried again by Ray: a task that was lost goes on from its checkpoint in the next build, which says so.
        task = ray.remote(num_cpus=asked.cpus, num_gpus=asked.gpus, memory=asked.memory, max_retries=0)(on_node)
        follower = Follower(order.progress, job.progress)
        waiting = [task.remote(processes, str(order.work.absolute()))]
        try:
            while not ray.wait(waiting, timeout=POLL_S)[0]:
                follower.look()
            failure = ray.get(waiting[0])
        except ray.exceptions.RayError as error:
            raise TrainingError(f"Ray lost the training: {error}; the same build goes on from its last checkpoint") from error
        except BaseException:
            ray.cancel(waiting[0])
            ray.wait(waiting, timeout=ENDING_S)
            raise
        finally:
            follower.look()
            follower.close()
    if failure is not None:
        kind, message = failure
        raise getattr(errors, kind, TrainingError)(message)


def on_node(processes: int, work: str) -> tuple[str, str] | None:
    """What the task does on its node; kind and message of the error, where one is told."""
    try:
        carry_out(Order(Path(work)), processes)
    except TransumanzaError as error:
        return type(error).__name__, str(error)
    return None
