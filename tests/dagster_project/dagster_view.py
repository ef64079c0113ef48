"""What Dagster says of a factory's assets: which are stale; from its own resolver, and by the GraphQL that its UI asks."""

from __future__ import annotations

import sys
import types

import dagster as dg
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest
from dagster._core.test_utils import in_process_test_workspace
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster_graphql.test.utils import execute_dagster_graphql

from dagster_project.build import build_defs
from dagster_project.factory import Factory

_QUERY = """query($assets: [AssetKeyInput!], $partition: String) { assetNodes(assetKeys: $assets) {
  assetKey { path } staleStatus(partition: $partition) staleCauses(partition: $partition) { category reason dependency { path } }
} }"""
SERVED = types.ModuleType("served_definitions")
"""The module that Dagster loads the definitions from, so that no file and no other process is needed."""


def stale_by_graphql(factory: Factory, instance: dg.DagsterInstance) -> dict[str, list[str]]:
    """Causes by ``asset`` or ``asset[snapshot]`` of everything that the UI marks as unsynced."""
    sys.modules[SERVED.__name__] = SERVED
    SERVED.defs = build_defs(factory)  # type: ignore[attr-defined]
    found: dict[str, list[str]] = {}
    with in_process_test_workspace(instance, LoadableTargetOrigin(module_name=SERVED.__name__, attribute="defs")) as context:
        for snapshot in (None, *factory.loaded.profile.snapshots):
            assets = [{"path": [asset]} for asset, stage in factory.stages.items() if stage.partitioned == (snapshot is not None)]
            answer = execute_dagster_graphql(context, _QUERY, {"assets": assets, "partition": snapshot})
            for node in answer.data["assetNodes"]:
                (asset,) = node["assetKey"]["path"]
                if node["staleStatus"] == "STALE":
                    causes = [f"{cause['category']}: {cause['reason']}" for cause in node["staleCauses"]]
                    found[asset if snapshot is None else f"{asset}[{snapshot}]"] = causes
    return found


def stale_by_resolver(factory: Factory, instance: dg.DagsterInstance) -> set[str]:
    """The same without causes, from what that GraphQL asks; for instances in memory too."""
    graph = build_defs(factory).resolve_asset_graph()
    resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
    return {
        stage.asset if partition is None else f"{stage.asset}[{partition}]"
        for stage, partition in factory.builds()
        if resolver.get_status(dg.AssetKey(stage.asset), partition) == StaleStatus.STALE
    }
