"""Builds made outside Dagster, told to its instance with the same lineage that a run of its own would have recorded.

Dagster compares what an asset read with what is there now by two tags per upstream asset: the data version, for one without
partitions, and the event pointer (the storage id of the last event that was read), for a partitioned one. Without both it
calls the asset stale for a "new dependency" (dagster 1.13, ``DataProvenance.has_input_asset``).
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import dagster as dg

from dagster_project.factory import Factory
from dagster_project.metadata import check_metadata, materialize_result
from foundation.stages import StageResult
from foundation.store import BuildRecord
from foundation.store.lineage import upstream_of

_EVENTS_LOOKED_AT = 100
"""Events of one partition among which the one that a build read is looked for, newest first."""


def report_event(factory: Factory, result: StageResult) -> bool:
    """Tell the Dagster instance of the environment about a build made outside of it; ``False`` where there is none."""
    if not os.environ.get("DAGSTER_HOME"):
        return False
    with dg.DagsterInstance.get() as instance:
        report_to(instance, factory, result)
    return True


def report_to(instance: dg.DagsterInstance, factory: Factory, result: StageResult) -> None:
    """Record the materialization and the checks of a build in an instance."""
    published = result.published
    stage = factory.stages[published.asset]
    event = materialize_result(result, factory)
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            asset_key=published.asset,
            partition=published.partition,
            metadata=event.metadata,
            tags={
                "dagster/data_version": published.data_version,
                "dagster/data_version_is_user_provided": "true",
                "dagster/code_version": factory.code_version(stage),
                **_input_tags(instance, factory, result.record),
            },
        )
    )
    for gate in result.record.gates:  # without their partition: Dagster 1.13 takes only one runless evaluation of a check and a partition, ever
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=dg.AssetKey(published.asset),
                check_name=gate.name,
                passed=gate.passed,
                severity=dg.AssetCheckSeverity.ERROR,
                description=gate.description or None,
                blocking=True,
                metadata=check_metadata(gate),
            )
        )


def _input_tags(instance: dg.DagsterInstance, factory: Factory, record: BuildRecord) -> dict[str, str]:
    read: dict[str, dict[str | None, str]] = {}
    for upstream in upstream_of(record, lambda asset: factory.stages[asset].partitioned):
        read.setdefault(upstream.key.asset, {})[upstream.key.partition] = upstream.data_version
    tags = {}
    for asset, versions in read.items():
        pointer = _pointer(instance, asset, versions)
        tags[f"dagster/input_data_version/{asset}"] = next(iter(versions.values()))
        tags[f"dagster/input_event_pointer/{asset}"] = "NULL" if pointer is None else str(pointer)
    return tags


def _pointer(instance: dg.DagsterInstance, asset: str, versions: Mapping[str | None, str]) -> int | None:
    """The last event of an upstream asset before any that differs from what was read; ``None`` where there is no event."""
    newest = instance.fetch_materializations(dg.AssetKey(asset), limit=1).records
    if not newest:
        return None
    bounds = [newest[0].storage_id]
    for partition, version in versions.items():
        of_partition = dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=None if partition is None else [partition])
        differing = None
        for record in instance.fetch_materializations(of_partition, limit=_EVENTS_LOOKED_AT).records:
            tags = record.asset_materialization.tags if record.asset_materialization else None
            if (tags or {}).get("dagster/data_version") == version:
                break
            differing = record.storage_id
        if differing is not None:
            bounds.append(differing - 1)
    return min(bounds)
