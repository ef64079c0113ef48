"""The factory of one profile: its stages as a graph, and the workplace they run in. No Dagster here.

Belongs here: putting the workshops together. What a stage does belongs to its workshop.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import corpus.evalita.stages
import corpus.web.release
import corpus.web.stages
import training.release
import training.stages
import translation.release
import translation.stages
from dagster_project.profile import LoadedProfile, load_profile
from foundation.errors import TransumanzaError
from foundation.execution import Engine
from foundation.sources.data import DataFolder
from foundation.stages import Stage, StageError, StageResult, Workplace, code_version, run_stage
from foundation.store import Store
from foundation.store.opening import open_store


class FactoryError(TransumanzaError):
    """The environment or the stages cannot be put together."""


def home_folder() -> Path:
    """Where all state lives: ``TRANSUMANZA_HOME``, default ``./.transumanza``."""
    return Path(os.environ.get("TRANSUMANZA_HOME") or ".transumanza").expanduser().resolve()


def open_home_store(home: Path | None = None) -> Store:
    """The warehouse: ``TRANSUMANZA_STORE`` (a folder or an fsspec URL), default ``store`` below the home folder (default: the environment's).

    Raises:
        StoreError: the URL cannot be used.
    """
    home = home or home_folder()
    return open_store(os.environ.get("TRANSUMANZA_STORE") or home / "store", home / "cache" / "stores")


def data_folder() -> DataFolder:
    """A user's own inputs: ``TRANSUMANZA_DATA``.

    Raises:
        FactoryError: the variable names no folder.
    """
    value = os.environ.get("TRANSUMANZA_DATA")
    if not value:
        return DataFolder(None)
    path = Path(value).expanduser().resolve()
    if not path.is_dir():
        raise FactoryError(f"TRANSUMANZA_DATA is {value!r}, which is no folder; name the folder of your inputs, or unset it")
    return DataFolder(path)


@dataclass(frozen=True)
class Factory:
    """One profile's stages and the place where they run."""

    loaded: LoadedProfile
    home: Path
    data: DataFolder
    offline: bool = False

    @cached_property
    def stages(self) -> Mapping[str, Stage]:
        """Stages by asset, each after everything it reads.

        Raises:
            FactoryError: two stages make one asset, or a stage reads an asset that none makes.
        """
        profile = self.loaded.profile
        declared = (
            *corpus.web.stages.stages(profile.corpus.web),
            *corpus.evalita.stages.stages(profile.evalita),
            *translation.stages.stages(profile.translation),
            *training.stages.stages(profile.training),
            *corpus.web.release.stages(profile.release),
            *translation.release.stages(profile.release),
            *training.release.stages(profile.release),
        )
        ordered = in_order(declared)
        unknown = [name for name in profile.allow_failed_gates if name not in ordered]
        if unknown:
            raise FactoryError(f"profile {profile.name}: allow_failed_gates: there is no asset {unknown[0]!r}; assets are {', '.join(ordered)}")
        return ordered

    @cached_property
    def workplace(self) -> Workplace:
        """Store, folders and settings."""
        profile = self.loaded.profile
        return Workplace(
            store=open_home_store(self.home),
            home=self.home,
            profile=profile.name,
            sections=self.loaded.sections,
            snapshots=profile.snapshots,
            data=self.data,
            seed=profile.seed,
            engine=Engine(profile.execution, profile.workers),
            offline=self.offline,
            allow_failed_gates=profile.allow_failed_gates,
            recorded_profile=self.loaded.values,
        )

    def run(self, asset: str, partition: str | None = None, *, run: str = "manual") -> StageResult:
        """Make one asset, or find that nothing changed.

        Raises:
            StageError: there is no such asset.
            TransumanzaError: whatever stops the stage.
        """
        if asset not in self.stages:
            raise StageError(f"there is no asset {asset!r}; the profile has {', '.join(self.stages)}")
        return run_stage(self.stages[asset], self.stages, self.workplace, partition, run=run)

    def code_version(self, stage: Stage) -> str:
        """The code version of a stage under this profile, as Dagster shows it."""
        profile = self.loaded.profile
        return code_version(stage, self.loaded.sections, profile.seed, profile.snapshots)

    def builds(self) -> list[tuple[Stage, str | None]]:
        """Every stage with every partition of it, in working order."""
        snapshots = self.loaded.profile.snapshots
        return [(stage, part) for stage in self.stages.values() for part in (snapshots if stage.partitioned else (None,))]


def report_path(factory: Factory) -> Path:
    """Where the HTML report of a profile is written."""
    return factory.home / "reports" / f"{factory.loaded.profile.name}.html"


def make_factory(profile: str | None = None, overrides: list[str] | None = None, *, offline: bool = False) -> Factory:
    """The factory of a profile in this environment; see ``load_profile``, ``home_folder``, ``data_folder``."""
    return Factory(load_profile(profile, overrides), home_folder(), data_folder(), offline)


def in_order(declared: tuple[Stage, ...]) -> dict[str, Stage]:
    """Stages by asset, each after everything it reads; the declared order otherwise.

    Raises:
        FactoryError: an asset is made twice, unknown, or depends on itself.
    """
    by_asset: dict[str, Stage] = {}
    for stage in declared:
        if stage.asset in by_asset:
            raise FactoryError(f"two stages make the asset {stage.asset}")
        by_asset[stage.asset] = stage
    ordered: dict[str, Stage] = {}
    waiting = list(declared)
    while waiting:
        ready = [stage for stage in waiting if all(name in ordered for name in stage.upstream)]
        if not ready:
            missing = {stage.asset: [name for name in stage.upstream if name not in by_asset] for stage in waiting}
            raise FactoryError(f"stages wait for one another, or for assets that none makes: {missing}")
        for stage in ready:
            ordered[stage.asset] = stage
        waiting = [stage for stage in waiting if stage.asset not in ordered]
    return ordered


def downstream_of(stages: Mapping[str, Stage], assets: set[str]) -> list[str]:
    """All assets that read these, directly or through others, in working order."""
    reached = set(assets)
    for stage in stages.values():
        if reached.intersection(stage.upstream):
            reached.add(stage.asset)
    return [asset for asset in stages if asset in reached and asset not in assets]
