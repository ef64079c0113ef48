"""A line in the shape of the real one whose assets take milliseconds: what is stale, what follows, what automation asks for.

``decisions`` keep the numbers of a snapshot that ``corpus.web.decisions.min_item_words`` allows; ``clean_corpus`` joins the
snapshots; the training assets count what they were trained on. Each asset stands in the group of the real one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pyarrow as pa

from dagster_project.build import build_defs
from dagster_project.factory import Factory
from dagster_project.profile import load_profile
from foundation.sources.data import DataFolder
from foundation.stages import Stage, StageContext, StageReport
from foundation.store import GateResult, TableSpec

SNAPSHOTS = ("FIRST", "SECOND")
THRESHOLD = "corpus.web.decisions.min_item_words"
NUMBERS = TableSpec("numbers", pa.schema([("number", pa.int64())]), key=("number",))
RUNS: list[str] = []
"""Assets in the order in which they were built, and not reused."""


def _write(context: StageContext, numbers: list[int], *gates: GateResult) -> StageReport:
    RUNS.append(context.asset if context.partition is None else f"{context.asset}[{context.partition}]")
    with context.staging.table(NUMBERS) as table:
        table.write([{"number": number} for number in sorted(numbers)])
    return StageReport({"numbers": len(numbers)}, gates)


def documents(context: StageContext) -> StageReport:
    """Ten numbers for the first snapshot, the next ten for the second."""
    first = 10 * SNAPSHOTS.index(str(context.partition))
    return _write(context, list(range(first, first + 10)))


def decisions(context: StageContext) -> StageReport:
    """Numbers of which the last digit is at least half the threshold, rounded down: two thresholds may give equal rows."""
    least = context.settings["corpus.web.decisions"].min_item_words // 2  # type: ignore[attr-defined]
    kept = [number for number in context.input("documents").read("numbers")["number"] if number % 10 >= least]
    return _write(context, kept, GateResult("some_pass", bool(kept), len(kept), 1))


def clean_corpus(context: StageContext) -> StageReport:
    """All decided numbers; its gate wants five of them."""
    found = [number for version in context.partitions("decisions").values() for number in version.read("numbers")["number"]]
    return _write(context, found, GateResult("language_share", len(found) >= 5, len(found), 5, "numbers"))


def counted(context: StageContext) -> StageReport:
    """How many rows each upstream asset has, as different numbers."""
    counts = [context.input(asset).rows for asset in sorted(context.inputs)]
    return _write(context, [1000 * index + count for index, count in enumerate(counts)])


def source(context: StageContext) -> StageReport:
    """A source that never changes."""
    return _write(context, [7])


def _training(asset: str, *upstream: str) -> Stage:
    return Stage(asset, "1", "training", counted, upstream=upstream, tables=(NUMBERS,), kinds=("pytorch",), reproducible=False)


def stages() -> dict[str, Stage]:
    """The line, in working order."""
    declared = (
        Stage("base_model", "1", "sources", source, tables=(NUMBERS,)),
        Stage("documents", "1", "corpus", documents, tables=(NUMBERS,), partitioned=True),
        Stage("decisions", "1", "corpus", decisions, sections=("corpus.web.decisions",), upstream=("documents",), tables=(NUMBERS,), partitioned=True, gates={"some_pass": "A number passes."}),
        Stage("clean_corpus", "1", "corpus", clean_corpus, upstream=("decisions",), tables=(NUMBERS,), gates={"language_share": "Numbers are in the language."}, all_snapshots=True),
        Stage("adaptation_tokens", "1", "training", counted, upstream=("base_model", "clean_corpus"), tables=(NUMBERS,)),
        _training("adapted_model", "base_model", "adaptation_tokens"),
        _training("adapted_chat_model", "adapted_model"),
        _training("instruction_model", "adapted_model"),
        _training("evalita_model", "adapted_model"),
        _training("chat_model", "adapted_chat_model"),
        Stage("language_report", "1", "evaluation", counted, upstream=("adapted_model", "clean_corpus"), tables=(NUMBERS,)),
    )
    return {stage.asset: stage for stage in declared}


def line(home: Path, *overrides: str, snapshots: tuple[str, ...] = SNAPSHOTS, build: dict[str, Callable[[StageContext], StageReport]] | None = None) -> Factory:
    """The factory of the line; ``build`` replaces what makes an asset."""
    loaded = load_profile("smoke", [f"snapshots=[{', '.join(snapshots)}]", *overrides])
    factory = Factory(loaded, home, DataFolder(None))
    made = stages()
    for asset, function in (build or {}).items():
        made[asset] = replace(made[asset], build=function)
    factory.__dict__["stages"] = made  # instead of the workshops' own
    return factory


def materialize(factory: Factory, instance: dg.DagsterInstance, assets: list[str], snapshot: str | None = None) -> bool:
    """Materialize assets in one run of Dagster's, in this process."""
    job = build_defs(factory).resolve_implicit_global_asset_job_def()
    selection = [dg.AssetKey(asset) for asset in assets]
    partitioned = any(factory.stages[asset].partitioned for asset in assets)
    outcome = job.execute_in_process(
        instance=instance, asset_selection=selection, partition_key=snapshot if partitioned else None, raise_on_error=False
    )
    return outcome.success


def materialize_all(factory: Factory, instance: dg.DagsterInstance) -> bool:
    """Materialize everything, snapshot by snapshot."""
    names = list(factory.stages)
    *earlier, last = factory.loaded.profile.snapshots
    partitioned = [asset for asset in names if factory.stages[asset].partitioned]
    return all(materialize(factory, instance, partitioned, snapshot) for snapshot in earlier) and materialize(factory, instance, names, last)
