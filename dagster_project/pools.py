"""Pools: which assets share a scarce thing, so that Dagster can run only so many of them at once.

A pool has no limit until the instance gives it one (``dagster instance concurrency set gpu 1``, or ``concurrency.pools`` of
dagster.yaml; see deploy/).
"""

from __future__ import annotations

from typing import Literal

from foundation.stages import Stage

Pool = Literal["gpu", "translate", "cpu"]


def pool_of(stage: Stage) -> Pool | None:
    """``gpu`` for what runs a language model, ``translate`` for engines, ``cpu`` for what fills all cores; else none."""
    if (stage.group == "training" and "pytorch" in stage.kinds) or (stage.group == "evaluation" and "huggingface" in stage.kinds):
        return "gpu"
    if stage.group == "translation":
        return "translate"
    return "cpu" if stage.group == "corpus" or stage.asset == "adaptation_tokens" else None
