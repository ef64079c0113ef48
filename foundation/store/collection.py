"""Garbage collection: removing what nobody needs, so that whoever reads, publishes or kills at any moment meets a whole store.

Order of removal, all but the last under the store's lock held alone and after a second look at everything:

1. build records of what goes, downstream first: whatever record is left names a whole version and a whole ancestry;
2. versions, which no record names any more, by one rename each into ``.trash``: a reader finds all of one or nothing;
3. what killed processes left behind, and rows that are pruned: first the mark, then the rename of their folder into ``.trash``;
4. without the lock: what lies in ``.trash`` is deleted.

A collection killed between any two steps leaves what the next one removes. No reference can be left dangling: what it names is
needed, and whoever makes one looks at the build and writes the reference within one hold of the lock.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import stat
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from foundation.store.holding import Build, Holdings, Limits, Needed, needed, read_holdings
from foundation.store.layout import AssetFolder, BuildKey, VersionKey, asset_folder, entries
from foundation.store.locking import exclusive
from foundation.store.owners import abandoned
from foundation.store.pruning import Pruning, Reader, interrupted, mark_pruned, plan_pruning
from foundation.store.store import Store


@dataclass(frozen=True)
class Collection:
    """What one collection removes, and what it looked at.

    ``builds``: records, downstream first. ``versions``: their folders, those that no record names among them. ``leftovers``: what
    killed processes left. ``prunings``: versions that lose rows, and those that keep them with the reason.
    """

    holdings: Holdings
    needed: Needed
    builds: tuple[Build, ...]
    versions: tuple[VersionKey, ...]
    leftovers: tuple[Path, ...]
    prunings: tuple[Pruning, ...]

    @property
    def kept(self) -> Counter[str]:
        """How many versions stay, by the first reason."""
        return Counter(self.needed.versions[version].value for version in self.holdings.versions if version in self.needed.versions)

    @property
    def dangling(self) -> list[str]:
        """References whose build record or version is gone; not by a collection, which keeps both."""
        holdings = self.holdings
        return sorted(
            f"{name} of {version}"
            for (_, _, name), (version, build) in holdings.references.items()
            if build not in holdings.builds or version not in holdings.versions
        )


def plan_collection(
    store: Store,
    limits: Limits | None = None,
    *,
    prunes: Mapping[str, Sequence[Reader]] | None = None,
    now: float | None = None,
) -> Collection:
    """What a collection would remove now; nothing is changed.

    Args:
        store: which one.
        limits: ages; default a day and thirty days.
        prunes: assets that lose the rows of their main table, each with the assets that read them.
        now: seconds since the epoch; default the present.

    Raises:
        StoreError: something is damaged without which nobody can tell what is needed.
    """
    with store.undisturbed():
        return _plan(store, limits or Limits(), prunes or {}, time.time() if now is None else now, None)


def collect(
    store: Store,
    limits: Limits | None = None,
    *,
    prunes: Mapping[str, Sequence[Reader]] | None = None,
    now: float | None = None,
) -> Collection:
    """Remove what nobody needs; arguments and errors as of ``plan_collection``. Returns what was removed."""
    limits, prunes = limits or Limits(), prunes or {}
    moment = time.time() if now is None else now
    with store.maintained(reading=False):
        return _collect(store, limits, prunes, moment)


def _collect(store: Store, limits: Limits, prunes: Mapping[str, Sequence[Reader]], moment: float) -> Collection:
    with store.undisturbed():  # a first look while others work: the second one reads again only what is new
        known = _plan(store, limits, {}, moment, None).holdings
    with exclusive(store.root):
        collection = _plan(store, limits, prunes, moment, known)
        for build in collection.builds:
            folder = _folder(store, build.version)
            folder.record(build.key.fingerprint).unlink(missing_ok=True)
            folder.preview(build.key.fingerprint).unlink(missing_ok=True)
        thrown = [throw_away(_folder(store, version), _folder(store, version).version(version.version)) for version in collection.versions]
        for path in collection.leftovers:
            if not path.is_dir():
                path.unlink(missing_ok=True)
        for pruning in collection.prunings:
            if pruning.reason is None:
                mark_pruned(pruning)
                if pruning.folder.is_dir():  # a mirror has not fetched the rows
                    thrown.append(throw_away(_folder(store, pruning.version.key), pruning.folder))
    for path in (*thrown, *(path for path in collection.leftovers if path.is_dir())):
        shutil.rmtree(path, ignore_errors=True)
    with exclusive(store.root):
        _remove_empty_folders(store)
    return collection


def _plan(store: Store, limits: Limits, prunes: Mapping[str, Sequence[Reader]], now: float, known: Holdings | None) -> Collection:
    holdings = read_holdings(store, now=now, limits=limits, known=known)
    keeps = needed(holdings, now=now, limits=limits)
    return Collection(
        holdings=holdings,
        needed=keeps,
        builds=tuple(downstream_first([build for key, build in holdings.builds.items() if key not in keeps.builds], holdings)),
        versions=tuple(version for version in holdings.versions if version not in keeps.versions),
        leftovers=(*holdings.dead_pins, *_leftovers(store, holdings, now, limits)),
        prunings=(
            *interrupted(store, holdings, keeps),
            *(pruning for asset, readers in prunes.items() for pruning in plan_pruning(store, holdings, keeps, asset, readers)),
        ),
    )


def downstream_first(builds: Iterable[Build], holdings: Holdings) -> list[Build]:
    """Builds, each before those that its lineage names: depth first, the reverse of the order in which they are left."""
    left: list[Build] = []
    chosen = {build.key: build for build in builds}
    seen = set()
    for first in chosen.values():
        if first.key in seen:
            continue
        seen.add(first.key)
        path = [(first, holdings.parents(first))]
        while path:
            build, parents = path[-1]
            for parent in parents:
                if parent.key in chosen and parent.key not in seen:
                    seen.add(parent.key)
                    path.append((parent, holdings.parents(parent)))
                    break
            else:
                left.append(build)
                path.pop()
    return left[::-1]


def _folder(store: Store, version: VersionKey) -> AssetFolder:
    return asset_folder(store.root, version.asset, version.partition)


def throw_away(folder: AssetFolder, path: Path) -> Path:
    """Move a version, or a table of one, out of every reader's sight; returns where it is now."""
    folder.trash.mkdir(exist_ok=True)
    return path.rename(folder.trash / f"{path.name}.{os.urandom(6).hex()}")


def _leftovers(store: Store, holdings: Holdings, now: float, limits: Limits) -> Iterator[Path]:
    """What killed processes left in the folders of assets.

    Temporary files are written and renamed under the lock: whoever holds it alone sees abandoned ones only.
    """
    for asset, partition in store.places():
        folder = asset_folder(store.root, asset, partition)
        for entry in entries(folder.staging):
            path = Path(entry.path)
            if abandoned(entry.name, functools.partial(_last_written, path), now, limits.absent_s):
                yield path
        yield from (Path(entry.path) for entry in entries(folder.trash))
        for place in (folder.versions, folder.builds, folder.shown, folder.references, folder.tags):
            yield from (Path(entry.path) for entry in entries(place) if entry.name.startswith("."))
        for entry in entries(folder.shown):
            if not entry.name.startswith(".") and BuildKey(asset, partition, entry.name.removesuffix(".json")) not in holdings.builds:
                yield Path(entry.path)


def _last_written(folder: Path) -> float:
    """When anything in a folder was last written: the owner of a staging folder may write into one file for days."""
    return max((found.st_mtime for _, found in _walk(folder)), default=0.0)


def _walk(root: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """A file or folder and all that is below it; what vanishes meanwhile is left out, for its owner may be at work."""
    waiting = [root]
    while waiting:
        path = waiting.pop()
        try:
            found = path.lstat()
        except FileNotFoundError:
            continue
        yield path, found
        if stat.S_ISDIR(found.st_mode):
            waiting += [Path(entry.path) for entry in entries(path)]


def _remove_empty_folders(store: Store) -> None:
    """Remove folders that hold nothing any more, so that an asset or a partition without any version is not listed."""
    for asset, partition in list(store.places()):
        folder = asset_folder(store.root, asset, partition)
        for path in (folder.trash, folder.staging, folder.shown, folder.builds, folder.versions, folder.tags, folder.references, folder.path):
            with contextlib.suppress(OSError):  # it holds something, or there is none
                path.rmdir()


@dataclass(frozen=True)
class Space:
    """Bytes of each path, and those that come free in all: files that are linked from elsewhere free nothing."""

    by_path: Mapping[Path, int]
    freed: int


def space_of(paths: Iterable[Path]) -> Space:
    """What removing these files and folders would bring."""
    sizes: dict[Path, int] = {}
    links: dict[tuple[int, int], list[int]] = {}
    for root in paths:
        sizes[root] = 0
        for _, found in _walk(root):
            if not stat.S_ISDIR(found.st_mode):
                sizes[root] += found.st_size
                links.setdefault((found.st_dev, found.st_ino), [0, found.st_nlink, found.st_size])[0] += 1
    return Space(sizes, sum(size for seen, count, size in links.values() if seen == count))


def finished_work(work: Path, holdings: Holdings) -> list[Path]:
    """Work folders of builds that are published: killed between the record and the removal of their work.

    They are not the store's and are only told of: the next run of the same asset with the same settings removes them.
    """
    made = {(key.asset, key.partition or "all", key.fingerprint) for key in holdings.builds}
    found = [path for path in work.glob("*/*/*") if path.is_dir()]
    return sorted(path for path in found if (path.parts[-3], path.parts[-2], path.parts[-1]) in made)

