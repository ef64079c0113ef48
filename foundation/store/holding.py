"""What a store holds, and what holds it: which versions and build records somebody needs, and why.

A version is needed where a reference or a tag names it, a running build has pinned it, or it is young; and wherever what is
needed was made of it. Everything else may go; ``collection`` removes it.
"""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from foundation.store.builds import BuildRecord
from foundation.store.layout import MANIFEST, TAGS, BuildKey, VersionKey, asset_folder, entries
from foundation.store.lineage import UpstreamVersion, upstream_of
from foundation.store.pins import HeldVersions, read_pins
from foundation.store.store import Store

DAY_S = 86_400.0


class Hold(enum.StrEnum):
    """Why something is needed; the first one that holds is the one that is told."""

    REFERENCE = "a profile names it"
    TAG = "a tag names it"
    PIN = "a running build reads it"
    YOUNG = "it is young"
    LINEAGE = "something that stays was made of it"


@dataclass(frozen=True)
class Limits:
    """Ages in seconds: what is younger than ``min_age_s`` stays; what another machine has not touched for ``absent_s`` is abandoned."""

    min_age_s: float = DAY_S
    absent_s: float = 30 * DAY_S


@dataclass(frozen=True, slots=True)
class Build:
    """A build record, as far as it says what is needed. ``written``: seconds since the epoch."""

    key: BuildKey
    version: VersionKey
    data_version: str
    upstream: tuple[UpstreamVersion, ...]
    written: float


@dataclass(frozen=True)
class Holdings:
    """All that a store holds at one moment.

    ``versions`` by the time their manifest was written, seconds since the epoch; ``references`` by asset, partition and name.
    """

    builds: Mapping[BuildKey, Build]
    versions: Mapping[VersionKey, float]
    references: Mapping[tuple[str, str | None, str], tuple[VersionKey, BuildKey]]
    pins: tuple[HeldVersions, ...]
    dead_pins: tuple[Path, ...]
    _makers: dict[VersionKey, list[Build]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        makers = defaultdict(list)
        for build in self.builds.values():
            makers[build.version].append(build)
        object.__setattr__(self, "_makers", dict(makers))

    def makers(self, version: VersionKey, data_version: str | None = None) -> list[Build]:
        """The builds that made a version, those with a data version alone where it is given."""
        return [build for build in self._makers.get(version, []) if data_version in (None, build.data_version)]

    def parents(self, build: Build) -> Iterator[Build]:
        """The builds that a build's lineage names: of each version it read all with that data version."""
        for key, data_version in build.upstream:
            yield from self.makers(key, data_version)


def read_holdings(store: Store, *, now: float, limits: Limits, known: Holdings | None = None) -> Holdings:
    """Look at a whole store.

    Args:
        store: which one.
        now: seconds since the epoch.
        limits: tells which pins count.
        known: an earlier look, whose build records are not read again where their files are the same: they never change.

    Raises:
        StoreError: a reference, a build record or a pin is damaged; without it nobody can tell what is needed.
    """
    partitioned = {asset for asset in store.assets() if store.partitions(asset)}
    builds: dict[BuildKey, Build] = {}
    versions: dict[VersionKey, float] = {}
    references = {}
    for asset, partition in store.places():
        folder = asset_folder(store.root, asset, partition)
        for entry in entries(folder.builds):
            if entry.name.endswith(".json") and not entry.name.startswith("."):
                key = BuildKey(asset, partition, entry.name.removesuffix(".json"))
                earlier = known.builds.get(key) if known else None
                written = entry.stat().st_mtime
                builds[key] = earlier if earlier and earlier.written == written else _build(key, Path(entry.path), written, partitioned)
        for entry in entries(folder.versions):
            if entry.is_dir() and not entry.name.startswith("."):
                versions[VersionKey(asset, partition, entry.name)] = _written(Path(entry.path))
        for name, (version, fingerprint) in store.refs(asset, partition).items():
            references[asset, partition, name] = VersionKey(asset, partition, version), BuildKey(asset, partition, fingerprint)
    pins, dead = read_pins(store.root, now=now, limit_s=limits.absent_s, built={key.fingerprint for key in builds})
    return Holdings(builds, versions, references, tuple(pins), tuple(dead))


def _build(key: BuildKey, path: Path, written: float, partitioned: set[str]) -> Build:
    record = BuildRecord.read(path)
    upstream = tuple(upstream_of(record, partitioned.__contains__))
    return Build(key, VersionKey(key.asset, key.partition, record.version), record.data_version, upstream, written)


def _written(folder: Path) -> float:
    try:
        return (folder / MANIFEST).stat().st_mtime
    except FileNotFoundError:  # a version without a manifest is none, and its folder goes when it is old
        return folder.stat().st_mtime


@dataclass(frozen=True)
class Needed:
    """What is needed, by the first reason; and of each version all reasons but lineage."""

    builds: Mapping[BuildKey, Hold]
    versions: Mapping[VersionKey, Hold]
    directly: Mapping[VersionKey, frozenset[Hold]]


def needed(holdings: Holdings, *, now: float, limits: Limits) -> Needed:
    """What somebody needs, closed under lineage: of what stays, everything that it was made of stays, with its records."""
    builds: dict[BuildKey, Hold] = {}
    versions: dict[VersionKey, Hold] = {}
    directly: dict[VersionKey, set[Hold]] = defaultdict(set)
    for hold, version, makers in _roots(holdings, now, limits):
        directly[version].add(hold)
        versions.setdefault(version, hold)
        for build in makers:
            builds.setdefault(build.key, hold)
    waiting = [holdings.builds[key] for key in builds]
    while waiting:
        build = waiting.pop()
        versions.setdefault(build.version, Hold.LINEAGE)
        for key, _ in build.upstream:
            versions.setdefault(key, Hold.LINEAGE)
        for parent in holdings.parents(build):
            if parent.key not in builds:
                builds[parent.key] = Hold.LINEAGE
                waiting.append(parent)
    return Needed(builds, versions, {version: frozenset(holds) for version, holds in directly.items()})


def _roots(holdings: Holdings, now: float, limits: Limits) -> Iterator[tuple[Hold, VersionKey, Iterable[Build]]]:
    """What is needed for itself, in the order of ``Hold``: reason, version, its builds."""
    for hold in (Hold.REFERENCE, Hold.TAG):
        for (_, _, name), (version, key) in holdings.references.items():
            if name.startswith(f"{TAGS}/") == (hold is Hold.TAG):
                build = holdings.builds.get(key)
                yield hold, version, [build] if build else []
    for pin in holdings.pins:
        for version, data_version in pin.versions:
            yield Hold.PIN, version, holdings.makers(version, data_version)
    young = now - limits.min_age_s
    for version, written in holdings.versions.items():
        if written > young:
            yield Hold.YOUNG, version, holdings.makers(version)
    for build in holdings.builds.values():
        if build.written > young:
            yield Hold.YOUNG, build.version, [build]
