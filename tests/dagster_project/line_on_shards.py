"""A line of two assets whose first one is made in shards: what the tests of handed-over work run through Dagster."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from dagster_project.factory import Factory
from dagster_project.profile import load_profile
from foundation.execution import run_shards
from foundation.sources.data import DataFolder
from foundation.stages import Stage, StageContext, StageReport
from foundation.store import TableSpec
from tests.foundation.shard_functions import record, shards_of

SQUARES = TableSpec("squares", pa.schema([("number", pa.int64()), ("square", pa.int64())]), key=("number",))
SNAPSHOTS = ("FIRST", "SECOND")


def sharded(context: StageContext) -> StageReport:
    """Three shards, half a second each, noted in ``log`` beside the store."""
    base = 10 * SNAPSHOTS.index(str(context.partition))
    shards = shards_of(context.work.parents[3], [base + number for number in (1, 2, 3)], seconds=0.5)
    paths = run_shards(record, shards, context.work, "squares", suffix=".json", engine=context.engine, label=f"squares: {context.partition}")
    with context.staging.table(SQUARES) as table:
        table.write([json.loads(path.read_text()) for path in paths])
    return StageReport({"rows": len(paths)})


def collected(context: StageContext) -> StageReport:
    """The squares of all snapshots."""
    with context.staging.table(SQUARES) as table:
        for version in context.partitions("squares").values():
            table.write(version.read("squares"))
    return StageReport({"snapshots": len(context.partitions("squares"))})


def line(home: Path, build: Callable[[StageContext], StageReport] = sharded, *overrides: str) -> Factory:
    """The factory of the line in a home of its own."""
    chosen = load_profile("smoke", [f"snapshots=[{', '.join(SNAPSHOTS)}]", *overrides])
    factory = Factory(chosen, home, DataFolder(None))
    stages = (
        Stage("squares", "1", "corpus", build, tables=(SQUARES,), partitioned=True),
        Stage("collected", "1", "corpus", collected, upstream=("squares",), tables=(SQUARES,)),
    )
    factory.__dict__["stages"] = {stage.asset: stage for stage in stages}  # instead of the workshops' own
    return factory
