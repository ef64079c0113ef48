"""Ancestry: everything that a build was made of, down to the files of crawls, rule sets and packages, from the store's records alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from foundation.settings import PROFILES_ROOT, file_sha256
from foundation.store.builds import BuildRecord
from foundation.store.layout import VersionKey
from foundation.store.lineage import upstream_of
from foundation.store.store import Store

FILES_TABLE = "files"
"""Table of a version that lists what it is read from, by ``path`` and ``sha256``."""


@dataclass(frozen=True)
class SourceFile:
    """A file that decided what was made. ``kind``: warc, index …, ``user file`` or ``setting``; sha256 is null where the file was not read."""

    kind: str
    path: str
    sha256: str | None


@dataclass(frozen=True)
class Ancestor:
    """One build in the tree of what another one was made of.

    Attributes:
        depth: steps down from the build that was asked about.
        key: its version.
        record: how it was made; None where the record is gone.
        repeated: it stands further up already, with all below it.
        note: what became of it where its record is gone.
        files: what it was read from, the profile's rule sets and the user's files among them.
    """

    depth: int
    key: VersionKey
    record: BuildRecord | None
    repeated: bool = False
    note: str = ""
    files: tuple[SourceFile, ...] = ()


def ancestry(store: Store, record: BuildRecord) -> Iterator[Ancestor]:
    """A build and all that it was made of, depth first; what several read is told once.

    Raises:
        StoreError: a manifest or record is damaged.
    """
    builds: dict[tuple[str, str | None], list[BuildRecord]] = {}
    partitioned = {asset: bool(store.partitions(asset)) for asset in store.assets()}
    told: set[str] = set()

    def below(one: BuildRecord, depth: int) -> Iterator[Ancestor]:
        repeated = one.fingerprint in told
        told.add(one.fingerprint)
        key = VersionKey(one.asset, one.partition, one.version)
        yield Ancestor(depth, key, one, repeated, files=() if repeated else tuple(_files(store, one)))
        if repeated:
            return
        for upstream, data_version in upstream_of(one, lambda asset: partitioned.get(asset, False)):
            place = upstream.asset, upstream.partition
            if place not in builds:
                builds[place] = store.builds(*place)
            made = [build for build in builds[place] if (build.version, build.data_version) == (upstream.version, data_version)]
            if made:
                yield from below(made[-1], depth + 1)
            else:
                yield Ancestor(depth + 1, upstream, None, note=_what_became(store, upstream))

    yield from below(record, 0)


def _what_became(store: Store, key: VersionKey) -> str:
    tombstone = store.tombstones(key.asset, key.partition).get(key.version)
    if tombstone is None:
        return "its build record is gone"
    replaced = tombstone["replaced_by"]
    return f"held rows that were erased on {tombstone['erased_at'][:10]}{', now ' + replaced['version'] if replaced else ', and was withdrawn'}"


def _files(store: Store, record: BuildRecord) -> Iterator[SourceFile]:
    for path, sha256 in record.inputs["user_files"].items():
        yield SourceFile("user file", path, sha256)
    for section, values in record.inputs["config"].items():
        if isinstance(values, Mapping):
            yield from _referenced(values, section)
    version = store.published(record)
    table = version.manifest["tables"].get(FILES_TABLE)
    if table is not None and {"path", "sha256"} <= {column["name"] for column in table["schema"]} and FILES_TABLE not in version.pruned:
        rows = version.read(FILES_TABLE)
        kinds = rows["kind"] if "kind" in rows.columns else [FILES_TABLE] * rows.height
        for kind, path, sha256 in zip(kinds, rows["path"], rows["sha256"], strict=True):
            yield SourceFile(kind, path, sha256)


def _referenced(values: Mapping[str, Any], place: str) -> Iterator[SourceFile]:
    """Settings that name a file, which a record keeps by its sha256; those that come with the project are called by name."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _referenced(value, f"{place}.{name}")
        elif isinstance(value, str) and value.startswith("sha256:"):
            sha256 = value.removeprefix("sha256:")
            called = _files_of_the_project().get(sha256)
            yield SourceFile("setting", f"{place}.{name}{f' ({called})' if called else ''}", sha256)


@lru_cache(maxsize=1)
def _files_of_the_project() -> Mapping[str, str]:
    """Names of the files that come with the project's profiles, by sha256."""
    return {file_sha256(path): path.relative_to(PROFILES_ROOT).as_posix() for path in sorted(PROFILES_ROOT.rglob("*")) if path.is_file()}
