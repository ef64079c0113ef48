"""Stages: what makes an asset, and how one is run with or without an orchestrator.

A workshop declares its stages as data (asset, version, settings sections, upstream assets, build function). Running a
stage resolves its inputs once, computes the fingerprint, reuses an earlier build where nothing changed, and otherwise
builds into a staging folder, publishes, records and moves the profile's reference.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from tqdm import tqdm

from foundation.errors import TransumanzaError
from foundation.execution import Engine, JobSubmitted
from foundation.execution.compiled import keep_below
from foundation.execution.turns import one_at_a_time
from foundation.settings import content_of, file_sha256
from foundation.sources.debian import DebianPackages
from foundation.sources.downloads import Downloads
from foundation.store import (
    BuildRecord,
    Fingerprint,
    GateResult,
    NotPublished,
    PublishedVersion,
    Staging,
    Store,
    TableSpec,
)
from foundation.store.builds import environment, now
from foundation.store.erased import NOTHING_ERASED, ErasedAddresses
from foundation.store.history import History
from foundation.store.layout import asset_name
from foundation.store.lineage import Inputs, upstream_document, versions_of
from foundation.store.staging import explained_disk_errors

if TYPE_CHECKING:
    from foundation.sources.data import DataFolder
    from foundation.store.rewriting import FileEraser

logger = logging.getLogger(__name__)


class StageError(TransumanzaError):
    """A stage cannot run with the inputs or settings it got."""


@dataclass(frozen=True)
class StageSetup:
    """What a stage knows before it runs: its settings sections by dotted path, the user's data, downloads, the seed."""

    settings: Mapping[str, BaseModel]
    data: DataFolder
    downloads: Downloads
    partition: str | None
    seed: int
    erased: ErasedAddresses = field(default=NOTHING_ERASED, kw_only=True)

    @property
    def cache(self) -> Path:
        """Downloads by sha256 and engine caches; safe to delete."""
        return self.downloads.cache

    @property
    def debian(self) -> DebianPackages:
        """Debian packages, under the same rule of offline work as all downloads."""
        return DebianPackages(self.downloads.cache, self.downloads.offline)


@dataclass(frozen=True)
class StageReport:
    """What a build function returns.

    ``statistics`` are deterministic and enter the manifest; ``observations`` (seconds, tokens per second, cache hits)
    enter the build record only. ``previews`` are Markdown, ``plots`` PNG bytes, both by title.
    """

    statistics: Mapping[str, Any] = field(default_factory=dict)
    gates: Sequence[GateResult] = ()
    observations: Mapping[str, Any] = field(default_factory=dict)
    previews: Mapping[str, str] = field(default_factory=dict)
    plots: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class StageContext(StageSetup):
    """What a build function gets: the setup, pinned inputs, a staging folder and a work folder that survives a kill."""

    asset: str
    inputs: Inputs
    staging: Staging
    work: Path
    engine: Engine
    snapshots: tuple[str, ...]
    history: History

    @property
    def workers(self) -> int:
        """Processes of this machine that a build may use."""
        return self.engine.workers

    def input(self, asset: str) -> PublishedVersion:
        """The one version of an upstream asset."""
        value = self.inputs[asset]
        if not isinstance(value, PublishedVersion):
            raise StageError(f"{self.asset}: upstream {asset} is partitioned; ask for its partitions")
        return value

    def partitions(self, asset: str) -> Mapping[str, PublishedVersion]:
        """The published versions of a partitioned upstream asset, by snapshot, in the profile's order."""
        value = self.inputs[asset]
        if isinstance(value, PublishedVersion):
            raise StageError(f"{self.asset}: upstream {asset} is not partitioned; ask for its one version")
        return value

    def progress(self, total: int | None, label: str, unit: str = "") -> tqdm:
        """A progress bar for work a person waits for; none where nobody watches (no terminal)."""
        return tqdm(total=total, desc=f"{self.asset}: {label}", unit=unit or "item", mininterval=1.0, dynamic_ncols=True, disable=None)


@dataclass(frozen=True)
class Stage:
    """The declaration of one asset; see the module docstring.

    ``sections`` decide what comes out, and count in the fingerprint. ``reads`` are sections that say where inputs are found and
    how they are reached; what of them decides rows is in the upstream version that was made with them. ``user_files`` and
    ``facts`` name what else decides the content before anything runs (files of the user, hashes of packages); ``secrets`` are keyed
    hashes of secrets that shape rows, by name. A stage ``from_outside`` reads pages or rows that no version holds: what was erased from the
    store is left out there, and counts; ``erase_files`` takes it out of files that such a version holds.
    ``fetch`` brings into the cache everything that the build would download.
    Of the first table's columns, ``carried`` are those of an upstream asset's first table, values unchanged; ``derived`` are
    computed of the named ``asset.column``s. ``gates`` are the names of the verdicts that the build reports, each with what it holds the version to.
    ``all_snapshots`` where the build reads a partitioned asset whole: which snapshots the profile lists counts then, in any order.
    """

    asset: str
    version: str
    group: str
    build: Callable[[StageContext], StageReport]
    sections: tuple[str, ...] = ()
    upstream: tuple[str, ...] = ()
    tables: tuple[TableSpec, ...] = ()
    partitioned: bool = False
    all_snapshots: bool = False
    carried: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    derived: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    reproducible: bool | Callable[[StageSetup], bool] = True
    kinds: tuple[str, ...] = ()
    description: str = ""
    owners: tuple[str, ...] = ("team:transumanza",)
    gates: Mapping[str, str] = field(default_factory=dict)
    reads: tuple[str, ...] = ()
    user_files: Callable[[StageSetup], Sequence[Path]] | None = None
    facts: Callable[[StageSetup], Mapping[str, Any]] | None = None
    secrets: Callable[[StageSetup], Mapping[str, str]] | None = None
    fetch: Callable[[StageSetup], object] | None = None
    from_outside: bool = False
    erase_files: FileEraser | None = None


@dataclass(frozen=True)
class Workplace:
    """Where stages run: the store, the state folders, the user's data, and one profile's settings sections."""

    store: Store
    home: Path
    profile: str
    sections: Mapping[str, BaseModel]
    snapshots: tuple[str, ...]
    data: DataFolder
    seed: int
    engine: Engine = field(default_factory=Engine)
    offline: bool = False
    allow_failed_gates: tuple[str, ...] = ()
    recorded_profile: Mapping[str, Any] = field(default_factory=dict)

    @property
    def workers(self) -> int:
        """Processes of this machine that a build may use."""
        return self.engine.workers

    @property
    def cache(self) -> Path:
        """Downloads by sha256 and engine caches; safe to delete."""
        return self.home / "cache"


@dataclass(frozen=True)
class StageResult:
    """The outcome of running a stage: its build record, the version, and whether anything was done."""

    record: BuildRecord
    published: PublishedVersion
    reused: bool
    previews: Mapping[str, str] = field(default_factory=dict)
    plots: Mapping[str, bytes] = field(default_factory=dict)


def config_of(stage: Stage, sections: Mapping[str, BaseModel], snapshots: Sequence[str]) -> dict[str, Any]:
    """The content settings of a stage, by dotted section path, and the listed snapshots where it reads all of them."""
    listed = {"snapshots": sorted(snapshots)} if stage.all_snapshots else {}
    try:
        return {**{path: content_of(sections[path]) for path in stage.sections}, **listed}
    except KeyError as error:
        raise StageError(f"stage {stage.asset} reads profile section {error}, which the profile does not have") from error


def code_version(stage: Stage, sections: Mapping[str, BaseModel], seed: int, snapshots: Sequence[str]) -> str:
    """The stage's version constant and a hash of its content settings and the seed: known before anything runs.

    User files and facts are not in it, since they may be large or need a download; the fingerprint has them.
    """
    text = json.dumps([config_of(stage, sections, snapshots), seed], sort_keys=True, ensure_ascii=False)
    return f"{stage.version}+{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def resolve_inputs(stage: Stage, graph: Mapping[str, Stage], workplace: Workplace, partition: str | None) -> Inputs:
    """The pinned versions of a stage's upstream assets under the profile's references.

    A partitioned upstream of an unpartitioned stage gives the listed snapshots that are published; at least one must be.

    Raises:
        NotPublished: an input is missing.
        GateFailed: an input's build failed a gate and is not allowed by name.
    """

    def resolve(asset: str, part: str | None) -> PublishedVersion:
        return workplace.store.resolve(
            asset, part, ref=workplace.profile, allow_failed_gates=workplace.allow_failed_gates
        )

    inputs: dict[str, PublishedVersion | Mapping[str, PublishedVersion]] = {}
    for asset in stage.upstream:
        if not graph[asset].partitioned:
            inputs[asset] = resolve(asset, None)
        elif stage.partitioned:
            inputs[asset] = resolve(asset, partition)
        else:
            found = {}
            for snapshot in workplace.snapshots:
                with contextlib.suppress(NotPublished):
                    found[snapshot] = resolve(asset, snapshot)
            if not found:
                raise NotPublished(
                    f"{stage.asset} needs {asset} of at least one snapshot of {list(workplace.snapshots)}, and none is "
                    f"published under profile {workplace.profile!r}; materialize {asset} first"
                )
            inputs[asset] = found
    return inputs


def fingerprint_of(stage: Stage, workplace: Workplace, partition: str | None, inputs: Inputs) -> Fingerprint:
    """What decides the content of a build; see ``Fingerprint``."""
    setup = setup_of(stage, workplace, partition)
    files: dict[str, list[str]] = {}
    for path in (stage.user_files or _no_files)(setup):
        files.setdefault(workplace.data.relative(path), []).append(file_sha256(path))
    upstream: dict[str, Any] = {}
    for asset, value in inputs.items():
        if isinstance(value, PublishedVersion):
            upstream[asset] = value.data_version
        else:
            upstream[asset] = {snapshot: version.data_version for snapshot, version in value.items()}
    return Fingerprint(
        asset=stage.asset,
        code_version=stage.version,
        config={**config_of(stage, workplace.sections, workplace.snapshots), "partition": partition},
        upstream=upstream,
        seed=workplace.seed,
        user_files={name: "+".join(sorted(hashes)) for name, hashes in sorted(files.items())},
        facts={**(stage.facts or _no_facts)(setup), **({"erased": setup.erased.digest} if setup.erased else {})},
        secrets=dict((stage.secrets or _no_facts)(setup)),
    )


def setup_of(stage: Stage, workplace: Workplace, partition: str | None) -> StageSetup:
    """The part of a workplace that a stage may read before it runs."""
    return StageSetup(
        settings={path: workplace.sections[path] for path in (*stage.sections, *stage.reads)},
        data=workplace.data,
        downloads=Downloads(workplace.cache, workplace.offline),
        partition=partition,
        seed=workplace.seed,
        erased=workplace.store.erased if stage.from_outside else NOTHING_ERASED,
    )


def run_stage(
    stage: Stage, graph: Mapping[str, Stage], workplace: Workplace, partition: str | None = None, *, run: str = "manual"
) -> StageResult:
    """Make an asset, or find that nothing changed.

    Args:
        stage: the declaration to run.
        graph: all stages by asset name, to know which upstream assets are partitioned.
        workplace: store, folders and settings.
        partition: the snapshot, for a partitioned stage.
        run: the id of the orchestrator's run, for the build record.

    Raises:
        StageError: a partition is missing or not wanted.
        JobSubmitted: the work is with a cluster; the same call goes on with it.
        TransumanzaError: inputs, settings or files cannot be used; nothing is published then.
    """
    if stage.partitioned and partition not in workplace.snapshots:
        got = f" ({partition!r} is none of them; it goes into the profile's `snapshots` first)" if partition is not None else ""
        raise StageError(f"{stage.asset} is made per snapshot; name one with --partition: {', '.join(workplace.snapshots)}{got}")
    if not stage.partitioned and partition is not None:
        raise StageError(f"{stage.asset} takes no partition; got {partition!r}")
    keep_below(workplace.home)
    store = workplace.store
    with explained_disk_errors(workplace.home), store.pin(asset_name(stage.asset, partition)) as pin:
        with store.undisturbed():  # what is resolved is not removed before it is pinned
            inputs = resolve_inputs(stage, graph, workplace, partition)
            pin.hold(versions_of(inputs))
        fingerprint = fingerprint_of(stage, workplace, partition, inputs)
        digest = fingerprint.hexdigest()
        work = workplace.home / "work" / stage.asset / (partition or "all") / digest
        with one_at_a_time(work.with_suffix(".lock")):
            record = store.reuse(stage.asset, partition, digest, ref=workplace.profile)
            if record is not None:
                previews, plots = store.shown(record)
                result = StageResult(record, store.published(record), True, previews, plots)
            else:
                try:
                    result = _build(stage, workplace, partition, inputs, fingerprint, work, run)
                except JobSubmitted:
                    pin.hand_over(digest)
                    raise
            pin.settle(digest)
            shutil.rmtree(work, ignore_errors=True)
            return result


def _build(
    stage: Stage,
    workplace: Workplace,
    partition: str | None,
    inputs: Inputs,
    fingerprint: Fingerprint,
    work: Path,
    run: str,
) -> StageResult:
    work.mkdir(parents=True, exist_ok=True)
    setup = setup_of(stage, workplace, partition)
    started_at, clock = now(), time.monotonic()
    digest = fingerprint.hexdigest()
    with workplace.store.stage(stage.asset, partition) as staging:
        report = stage.build(
            StageContext(
                settings=setup.settings,
                data=setup.data,
                downloads=setup.downloads,
                partition=partition,
                seed=setup.seed,
                erased=setup.erased,
                asset=stage.asset,
                inputs=inputs,
                staging=staging,
                work=work,
                engine=workplace.engine,
                snapshots=workplace.snapshots,
                history=History(workplace.store, workplace.profile),
            )
        )
        version = staging.complete(report.statistics)
        reproducible = stage.reproducible(setup) if callable(stage.reproducible) else stage.reproducible
        record = BuildRecord(
            fingerprint=digest,
            asset=stage.asset,
            partition=partition,
            version=version,
            data_version=version if reproducible else digest,
            inputs={**_inputs_document(fingerprint, inputs), "profile": dict(workplace.recorded_profile)},
            gates=tuple(report.gates),
            statistics=dict(report.statistics),
            observations=dict(report.observations),
            profile=workplace.profile,
            run=run,
            started_at=started_at,
            seconds=round(time.monotonic() - clock, 2),
            environment=environment(),
        )
        left_out = fingerprint.facts.get("erased", "") if stage.from_outside else None
        record = workplace.store.publish(staging, record, ref=workplace.profile, previews=report.previews, plots=report.plots, erased=left_out)
    for gate in record.gates:
        if not gate.passed:
            logger.warning("%s: a gate failed: %s", stage.asset, gate.verdict)
    return StageResult(record, workplace.store.published(record), reused=False, previews=report.previews, plots=report.plots)


def _inputs_document(fingerprint: Fingerprint, inputs: Inputs) -> dict[str, Any]:
    return {
        "code_version": fingerprint.code_version,
        "config": fingerprint.config,
        "seed": fingerprint.seed,
        "upstream": upstream_document(inputs),
        "user_files": fingerprint.user_files,
        "facts": fingerprint.facts,
        "secrets": fingerprint.secrets,
    }


def _no_files(_setup: StageSetup) -> Sequence[Path]:
    return ()


def _no_facts(_setup: StageSetup) -> Mapping[str, Any]:
    return {}
