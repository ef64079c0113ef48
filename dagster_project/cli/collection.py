"""The command ``transumanza store gc``: what nobody needs, and why the rest stays."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from dagster_project.factory import home_folder, make_factory, open_home_store
from dagster_project.tables import human_age, human_bytes, text_table
from foundation.errors import TransumanzaError
from foundation.store.collection import Collection, Limits, Space, collect, finished_work, plan_collection, space_of
from foundation.store.holding import DAY_S
from foundation.store.layout import asset_folder, asset_name
from foundation.store.pruning import Reader


def gc(
    apply: Annotated[bool, typer.Option("--apply", help="Remove it; without this nothing is changed.")] = False,
    min_age: Annotated[float, typer.Option("--min-age", help="Hours; what is younger stays.", min=0)] = 24.0,
    absent_days: Annotated[
        float, typer.Option("--absent-days", help="What a build on another machine, or handed to a cluster, has not touched for so long counts as abandoned.", min=0)
    ] = 30.0,
    prune: Annotated[
        list[str] | None,
        typer.Option(help="Also remove the rows of this asset's main table wherever everything that reads them is built (`documents`); repeatable.", show_default=False),
    ] = None,
) -> None:
    """Remove the versions that no profile, tag or running build needs, nor anything that stays was made of."""
    store = open_home_store()
    limits = Limits(min_age * 3600, absent_days * DAY_S)
    prunes = _readers(prune or [])
    now = time.time()
    plan = plan_collection(store, limits, prunes=prunes, now=now)
    going = [pruning for pruning in plan.prunings if pruning.reason is None]
    folders = {version: asset_folder(store.root, version.asset, version.partition).version(version.version) for version in plan.versions}
    space = space_of([*folders.values(), *(pruning.folder for pruning in going), *plan.leftovers])
    _print_versions(plan, {version: space.by_path[path] for version, path in folders.items()}, now)
    _print_prunings(plan)
    for path in plan.leftovers:
        typer.echo(f"left by a killed process: {path.relative_to(store.root)}, {human_bytes(space.by_path[path])}")
    for path, size in space_of(finished_work(home_folder() / "work", plan.holdings)).by_path.items():
        typer.echo(f"work of a published build, not the store's: {path}, {human_bytes(size)}; running its asset again removes it")
    for reference in plan.dangling:
        typer.echo(f"reference without a build: {reference}; materialize its asset, or delete the file")
    kept = ", ".join(f"{count:,}: {reason}" for reason, count in plan.kept.most_common()) or "none"
    typer.echo(f"versions that stay: {kept}")
    if apply:
        _say("removed", collect(store, limits, prunes=prunes, now=now), space)
    else:
        _say("to be removed", plan, space)
        typer.echo("nothing was changed; --apply removes it")


def _readers(assets: Sequence[str]) -> Mapping[str, Sequence[Reader]]:
    """The assets that read each of these.

    Raises:
        TransumanzaError: an asset that is not known, or that cannot be pruned.
    """
    stages = make_factory(offline=True).stages if assets else {}
    found = {}
    for asset in assets:
        if asset not in stages:
            raise TransumanzaError(f"--prune: there is no asset {asset!r}; the profile has {', '.join(stages)}")
        found[asset] = [Reader(stage.asset, stage.partitioned) for stage in stages.values() if asset in stage.upstream]
        if not found[asset]:
            raise TransumanzaError(f"--prune: nothing is made of {asset}, so that its rows are not kept for a rebuild alone; they stay")
        if not stages[asset].partitioned and any(reader.partitioned for reader in found[asset]):
            raise TransumanzaError(f"--prune: {asset} is read for each snapshot, and which are still to come is not known; its rows stay")
    return found


def _print_versions(plan: Collection, sizes: Mapping[object, int], now: float) -> None:
    if plan.versions:
        makers = {version: len(plan.holdings.makers(version)) for version in plan.versions}
        rows = [
            (asset_name(version.asset, version.partition), version.version, human_age(now - plan.holdings.versions[version]), makers[version], human_bytes(sizes[version]))
            for version in plan.versions
        ]
        typer.echo(text_table(("not needed", "version", "age", "builds", "size"), rows, right=(2, 3, 4)) + "\n")


def _print_prunings(plan: Collection) -> None:
    if plan.prunings:
        rows = [(str(pruning.version), pruning.table, human_bytes(pruning.bytes), pruning.reason or "goes") for pruning in plan.prunings]
        typer.echo(text_table(("rows of", "table", "size", "goes, or why it stays"), rows, right=(2,)) + "\n")


def _say(what: str, done: Collection, space: Space) -> None:
    pruned = sum(pruning.reason is None for pruning in done.prunings)
    typer.echo(
        f"{what}: {len(done.versions):,} versions, {len(done.builds):,} build records, the rows of {pruned:,} versions, "
        f"{len(done.leftovers):,} things left by killed processes; {human_bytes(space.freed)} in all"
    )
