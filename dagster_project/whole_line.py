"""Running the whole line through Dagster in this process, as ``transumanza demo`` does."""

from __future__ import annotations

import os

import dagster as dg

from dagster_project.build import build_defs
from dagster_project.factory import Factory, in_order
from dagster_project.metadata import materialize_result
from foundation.stages import Stage, StageResult, code_version


def materialize_everything(factory: Factory) -> bool:
    """Materialize every asset for every snapshot of the profile.

    Runs are in-process. All snapshots but the last get what is partitioned and what that reads; the last run has it all.

    Returns:
        Whether every run succeeded.
    """
    defs = build_defs(factory)
    *earlier, last = factory.loaded.profile.snapshots
    with dg.DagsterInstance.get() as instance:
        for snapshot in earlier:
            if not _materialize(defs, instance, snapshot, _partitioned_and_ancestors(factory)):
                return False
        return _materialize(defs, instance, last, None)


def report_event(factory: Factory, result: StageResult) -> bool:
    """Tell the Dagster instance of the environment about a build made outside of it; ``False`` where there is none."""
    if not os.environ.get("DAGSTER_HOME"):
        return False
    published = result.published
    event = materialize_result(result, partitioned=published.partition is not None)
    stage = factory.stages[published.asset]
    with dg.DagsterInstance.get() as instance:
        instance.report_runless_asset_event(
            dg.AssetMaterialization(
                asset_key=published.asset,
                partition=published.partition,
                metadata=event.metadata,
                tags={
                    "dagster/data_version": published.data_version,
                    "dagster/code_version": code_version(stage, factory.loaded.sections, factory.loaded.profile.seed),
                    **_input_tags(result),
                },
            )
        )
        for gate in result.record.gates:
            instance.report_runless_asset_event(
                dg.AssetCheckEvaluation(asset_key=dg.AssetKey(published.asset), check_name=gate.name, passed=gate.passed, metadata={})
            )
    return True


def _input_tags(result: StageResult) -> dict[str, str]:
    """The data versions that a build read, as Dagster compares them."""
    tags = {}
    for asset, value in result.record.inputs["upstream"].items():
        if "data_version" in value:
            tags[f"dagster/input_data_version/{asset}"] = value["data_version"]
    return tags


def _materialize(defs: dg.Definitions, instance: dg.DagsterInstance, snapshot: str, selection: list[str] | None) -> bool:
    job = defs.resolve_implicit_global_asset_job_def()
    outcome = job.execute_in_process(
        instance=instance,
        partition_key=snapshot,
        run_config={"loggers": {"console": {}}},  # ours, named in build_defs; without this Dagster takes its own
        asset_selection=None if selection is None else [dg.AssetKey(name) for name in selection],
        raise_on_error=False,
    )
    return outcome.success


def _partitioned_and_ancestors(factory: Factory) -> list[str]:
    stages = factory.stages
    wanted = {asset for asset, stage in stages.items() if stage.partitioned}
    for stage in reversed(list(stages.values())):
        if stage.asset in wanted:
            wanted.update(stage.upstream)
    chosen: tuple[Stage, ...] = tuple(stage for asset, stage in stages.items() if asset in wanted)
    return list(in_order(chosen))
