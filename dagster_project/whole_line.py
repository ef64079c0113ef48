"""Running the whole line through Dagster in this process, as ``transumanza demo`` does."""

from __future__ import annotations

from dataclasses import dataclass

import dagster as dg

from dagster_project.assets import handed_over, job_of
from dagster_project.build import build_defs
from dagster_project.factory import Factory, in_order
from foundation.execution import JobSubmitted
from foundation.stages import Stage


def materialize_everything(factory: Factory) -> bool:
    """Materialize every asset for every snapshot of the profile.

    Runs are in-process. All snapshots but the last get what is partitioned and what that reads; the last run has it all,
    unless work of an earlier snapshot is with a cluster: the corpus would be made without that snapshot.

    Returns:
        Whether every run succeeded.

    Raises:
        JobSubmitted: nothing failed, and work of one or more assets is with a cluster.
    """
    defs = build_defs(factory)
    *earlier, last = factory.loaded.profile.snapshots
    submitted: list[JobSubmitted] = []
    with dg.DagsterInstance.get() as instance:
        for snapshot in earlier:
            outcome = _materialize(defs, instance, snapshot, _partitioned_and_ancestors(factory))
            if not outcome.success and not outcome.submitted:
                return False
            submitted += outcome.submitted
        outcome = _materialize(defs, instance, last, _partitioned_and_ancestors(factory) if submitted else None)
        submitted += outcome.submitted
    if submitted and (outcome.success or outcome.submitted):
        raise _together(submitted)
    return outcome.success


@dataclass(frozen=True)
class _Outcome:
    """``submitted`` is empty where anything failed for another reason."""

    success: bool
    submitted: list[JobSubmitted]


def _together(submitted: list[JobSubmitted]) -> JobSubmitted:
    jobs = ", ".join(job.job_id for job in submitted)
    return JobSubmitted(
        f"the line stopped where its work is with the cluster (jobs {jobs}); run the same command again when they have ended, to go on",
        job_id=jobs,
        done=sum(job.done for job in submitted),
        total=sum(job.total for job in submitted),
        logs=submitted[0].logs,
    )


def _materialize(defs: dg.Definitions, instance: dg.DagsterInstance, snapshot: str, selection: list[str] | None) -> _Outcome:
    job = defs.resolve_implicit_global_asset_job_def()
    outcome = job.execute_in_process(
        instance=instance,
        partition_key=snapshot,
        run_config={"loggers": {"console": {}}},  # ours, named in build_defs; without this Dagster takes its own
        asset_selection=None if selection is None else [dg.AssetKey(name) for name in selection],
        raise_on_error=False,
    )
    failures = [event for event in outcome.all_events if event.is_step_failure]
    jobs = [job_of(event) for event in failures if handed_over(event) is not None]
    return _Outcome(outcome.success, jobs if len(jobs) == len(failures) else [])


def _partitioned_and_ancestors(factory: Factory) -> list[str]:
    stages = factory.stages
    wanted = {asset for asset, stage in stages.items() if stage.partitioned}
    for stage in reversed(list(stages.values())):
        if stage.asset in wanted:
            wanted.update(stage.upstream)
    chosen: tuple[Stage, ...] = tuple(stage for asset, stage in stages.items() if asset in wanted)
    return list(in_order(chosen))
