"""Where a store keeps what: the one module that spells the names of files and folders below its root.

Names that begin with a dot are the store's own: nobody reads a version through them, and no asset, partition, version or
reference is called so.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from foundation.store.errors import StoreError

LOCK = ".lock"
PINS = ".pins"
ERASED = ".erased.json"
TAGS = "tags"
MANIFEST = "manifest.json"
CARD = "README.md"
PRUNED = "pruned.json"
_RESERVED = {"v", "builds", "refs"}


class VersionKey(NamedTuple):
    """Names one version in a store."""

    asset: str
    partition: str | None
    version: str

    def __str__(self) -> str:
        return f"{asset_name(self.asset, self.partition)}@{self.version}"


class BuildKey(NamedTuple):
    """Names one build record in a store."""

    asset: str
    partition: str | None
    fingerprint: str


@dataclass(frozen=True)
class AssetFolder:
    """The folder of one asset, or of one partition of it."""

    path: Path

    @property
    def versions(self) -> Path:
        return self.path / "v"

    @property
    def builds(self) -> Path:
        return self.path / "builds"

    @property
    def shown(self) -> Path:
        """Previews and plots of builds."""
        return self.builds / "shown"

    @property
    def tombstones(self) -> Path:
        """Versions that were erased: what may never be published or reused again."""
        return self.builds / "erased"

    @property
    def references(self) -> Path:
        return self.path / "refs"

    @property
    def tags(self) -> Path:
        return self.references / TAGS

    @property
    def staging(self) -> Path:
        return self.path / ".staging"

    @property
    def trash(self) -> Path:
        """Versions on their way out: on the file system of the asset's versions, so that a rename moves them there."""
        return self.path / ".trash"

    def version(self, version: str) -> Path:
        return self.versions / version

    def record(self, fingerprint: str) -> Path:
        return self.builds / f"{fingerprint}.json"

    def preview(self, fingerprint: str) -> Path:
        return self.shown / f"{fingerprint}.json"

    def tombstone(self, version: str) -> Path:
        return self.tombstones / f"{version}.json"

    def reference(self, name: str) -> Path:
        return self.references / name


def asset_folder(root: Path, asset: str, partition: str | None) -> AssetFolder:
    """Where an asset, or one partition of it, lives.

    Raises:
        StoreError: a name that none can have.
    """
    for part in (asset, partition if partition is not None else "x"):
        if not part or part.startswith(".") or "/" in part or part in _RESERVED:
            raise StoreError(f"{part!r} cannot name an asset or a partition")
    return AssetFolder(root / asset if partition is None else root / asset / partition)


def folders_in(folder: Path) -> list[str]:
    """Names of the folders in a folder that are not the store's own, sorted; none where there is no such folder."""
    return sorted(entry.name for entry in entries(folder) if entry.is_dir() and entry.name not in _RESERVED and not entry.name.startswith("."))


def entries(folder: Path) -> Iterable[os.DirEntry[str]]:
    """What a folder holds, in no order; nothing where there is no such folder."""
    try:
        with os.scandir(folder) as found:
            return list(found)
    except (FileNotFoundError, NotADirectoryError):
        return []


def asset_name(asset: str, partition: str | None) -> str:
    """An asset, or one partition of it, as a person reads it."""
    return asset if partition is None else f"{asset}[{partition}]"


def how_to_make(asset: str, partition: str | None) -> str:
    """The command that makes an asset, for messages."""
    return f"`dagster asset materialize -m dagster_project.definitions --select {asset}{f' --partition {partition}' if partition else ''}`"
