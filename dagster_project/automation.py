"""When Dagster may act by itself: retraining follows from lineage, and only where it is switched on."""

from __future__ import annotations

import dagster as dg

from foundation.stages import Stage


def condition_of(stage: Stage) -> dg.AutomationCondition | None:
    """Rebuild a training asset when the data version of something it reads changed, its checks pass and nothing runs.

    Not ``eager()``: that fires on every materialization upstream, even where the data stayed the same. All other groups
    are built by hand or by a schedule of the user's.
    """
    if stage.group != "training" or not stage.upstream:
        return None
    return (
        dg.AutomationCondition.any_deps_match(dg.AutomationCondition.data_version_changed()).since_last_handled()
        & dg.AutomationCondition.all_deps_blocking_checks_passed()
        & ~dg.AutomationCondition.any_deps_missing()
        & ~dg.AutomationCondition.any_deps_in_progress()
        & ~dg.AutomationCondition.in_progress()
    )


def retraining_sensor() -> dg.AutomationConditionSensorDefinition:
    """Evaluates the conditions of the training group every minute; off by default, since GPUs cost money."""
    return dg.AutomationConditionSensorDefinition(
        "retraining",
        target=dg.AssetSelection.groups("training"),
        default_status=dg.DefaultSensorStatus.STOPPED,
        minimum_interval_seconds=60,
        description="Retrains when the data it was trained on has changed. Off by default: GPUs cost money.",
    )
