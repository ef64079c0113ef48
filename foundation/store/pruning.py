"""Pruning: removing the rows of an asset's main table once everything that reads them is built, and keeping all else.

Manifest, build records, card and other tables stay, so that lineage, fingerprints, statistics and the reuse of everything
made of the version work as before: none of them opens the rows. The mark ``pruned.json`` beside the manifest is written
first; from then on whoever asks for the rows gets an error that says how to bring them back, and the missing files are no
damage. Only materializing the asset itself counts a pruned version as not built: that makes the rows, and the version, again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from foundation.store.builds import now, replace_atomically
from foundation.store.errors import StoreError
from foundation.store.holding import Hold, Holdings, Needed
from foundation.store.layout import PRUNED, TAGS, VersionKey, asset_folder, asset_name
from foundation.store.published import PublishedVersion
from foundation.store.store import Store


@dataclass(frozen=True)
class Reader:
    """An asset that reads the one to be pruned."""

    asset: str
    partitioned: bool


@dataclass(frozen=True)
class Pruning:
    """The rows of one table of one version: they go, or stay for a reason. ``bytes`` on disk."""

    version: PublishedVersion
    table: str
    bytes: int
    reason: str | None

    @property
    def folder(self) -> Path:
        """Where the rows are."""
        return self.version.table_folder(self.table)


def plan_pruning(store: Store, holdings: Holdings, needed: Needed, asset: str, readers: Sequence[Reader]) -> Iterator[Pruning]:
    """The versions of an asset that have rows, with why they keep them.

    Rows stay in a version that a tag names, a running build reads or that is young, and under every profile until each
    reader is built of exactly this version; what only lineage still names loses them.

    Raises:
        StoreError: a version holds no table.
    """
    for key in sorted((version for version in holdings.versions if version.asset == asset and version in needed.versions), key=str):
        version = store.version(key)
        if version.pruned:
            continue
        if not version.tables:
            raise StoreError(f"{version} holds files only, which nothing makes again cheaply; prune assets with tables")
        table = version.tables[0]
        size = sum(entry["bytes"] for split in version.manifest["tables"][table]["splits"].values() for entry in split["files"])
        yield Pruning(version, table, size, _reason(key, holdings, needed, readers))


def interrupted(store: Store, holdings: Holdings, needed: Needed) -> Iterator[Pruning]:
    """Versions that stay, whose mark was written and whose rows are still there: their pruning was killed in between."""
    for key in holdings.versions:
        if key in needed.versions and (asset_folder(store.root, key.asset, key.partition).version(key.version) / PRUNED).is_file():
            version = store.version(key)
            for table in version.pruned:
                files = [path for path in version.table_folder(table).glob("*") if path.is_file()]
                if version.table_folder(table).is_dir():
                    yield Pruning(version, table, sum(path.stat().st_size for path in files), None)


def mark_pruned(pruning: Pruning) -> None:
    """Say in the version that the table has no rows any more; to be done before they are removed."""
    version = pruning.version
    document = {"tables": [pruning.table], "rows": version.manifest["tables"][pruning.table]["rows"], "bytes": pruning.bytes, "pruned_at": now()}
    if not version.pruned:
        for unfinished in version.path.glob(f".{PRUNED}.*"):
            unfinished.unlink()
        replace_atomically(version.path / PRUNED, json.dumps(document, indent=1) + "\n")


def _reason(version: VersionKey, holdings: Holdings, needed: Needed, readers: Sequence[Reader]) -> str | None:
    direct = needed.directly.get(version, frozenset())
    for hold in (Hold.TAG, Hold.PIN, Hold.YOUNG):
        if hold in direct:
            return hold.value
    for (asset, partition, profile), (named, _) in holdings.references.items():
        if named != version or asset != version.asset or partition != version.partition or profile.startswith(f"{TAGS}/"):
            continue
        for reader in readers:
            place = (reader.asset, partition if reader.partitioned else None)
            _, key = holdings.references.get((*place, profile), (None, None))
            build = holdings.builds.get(key) if key else None
            if build is None or version not in {upstream.key for upstream in build.upstream}:
                return f"{asset_name(*place)} of profile {profile} is not made of it yet"
    return None
