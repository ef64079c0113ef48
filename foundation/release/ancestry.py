"""The versions behind a version, followed through the store's build records."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from foundation.store import BuildRecord, PublishedVersion, StoreError
from foundation.store.layout import MANIFEST, asset_folder
from foundation.store.lineage import upstream_of


@dataclass(frozen=True)
class Ancestor:
    """One version, and the build that made it (``None`` where its record is gone)."""

    version: PublishedVersion
    record: BuildRecord | None

    @property
    def name(self) -> str:
        asset, partition = self.version.asset, self.version.partition
        return asset if partition is None else f"{asset}[{partition}]"

    @property
    def code_version(self) -> str:
        return "" if self.record is None else str(self.record.inputs["code_version"])

    @property
    def config(self) -> Mapping[str, Any]:
        """The content settings of the build."""
        return {} if self.record is None else self.record.inputs["config"]

    @property
    def front_matter(self) -> Mapping[str, Any]:
        """The YAML front matter of the version's own card."""
        text = (self.version.path / "README.md").read_text(encoding="utf-8")
        if not text.startswith("---\n"):
            return {}
        return yaml.safe_load(text[4:].split("\n---\n", 1)[0]) or {}

    @property
    def licence(self) -> str:
        """What the version's own card says."""
        return str(self.front_matter.get("license") or "")


def record_of(version: PublishedVersion) -> BuildRecord | None:
    """The first build that made exactly this version."""
    folder = version.path.parent.parent / "builds"
    records = [BuildRecord.read(path) for path in folder.glob("*.json")]
    matching = [record for record in records if (record.version, record.data_version) == (version.version, version.data_version)]
    return min(matching, key=lambda record: (record.started_at, record.fingerprint), default=None)


def ancestry(versions: Iterable[PublishedVersion]) -> list[Ancestor]:
    """The given versions and everything behind them, nearest first, each once.

    Raises:
        StoreError: a build record names a version that the store no longer holds.
    """
    found: dict[tuple[str, str | None, str], Ancestor] = {}
    waiting = list(versions)
    while waiting:
        version = waiting.pop(0)
        key = (version.asset, version.partition, version.version)
        if key in found:
            continue
        ancestor = Ancestor(version, record_of(version))
        found[key] = ancestor
        if ancestor.record is not None:
            waiting += _parents(version, ancestor.record)
    return list(found.values())


def _parents(version: PublishedVersion, record: BuildRecord) -> list[PublishedVersion]:
    root = version.path.parents[2 if version.partition is None else 3]
    parents = []
    upstream = upstream_of(record, lambda asset: not asset_folder(root, asset, None).versions.is_dir())
    for key, data_version in sorted(upstream, key=lambda entry: (entry.key.asset, entry.key.partition or "")):
        path = asset_folder(root, key.asset, key.partition).version(key.version)
        if not (path / MANIFEST).is_file():
            raise StoreError(f"{key}, which {version} was made of, is not in {root}; materialize {key.asset} again")
        parents.append(dataclasses.replace(version, asset=key.asset, partition=key.partition, version=key.version, data_version=data_version, path=path))
    return parents
