"""A store under an fsspec URL, by way of a local mirror: what is small is kept in step, what is large is fetched when it is resolved.

Readers get local paths, as of any store, so that nothing else knows where a store lies. Publishing completes and checks a version
locally, then puts it straight to ``v/<version>``: files first (those that the version before holds too are copied by the
server), its manifest last, then the build record, which is never replaced, then the reference. Whoever is killed in between leaves
objects that nobody sees, which the next build of the same content completes and ``gc`` removes.

There is no lock on an object store. Whoever removes puts ``.removing`` there, on the condition that there is none, and waits
longer than anybody takes between looking at it and writing a record or a reference; whoever writes waits while it is there.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from foundation.execution.turns import one_at_a_time
from foundation.store.builds import BuildRecord, now
from foundation.store.erased import ErasureList
from foundation.store.errors import StoreError
from foundation.store.fetching import RemoteVersion
from foundation.store.layout import CARD, ERASED, MANIFEST, PINS, PRUNED, TAGS, VersionKey, asset_folder
from foundation.store.owners import Owner
from foundation.store.pins import Pin
from foundation.store.published import PublishedVersion, listed_files
from foundation.store.references import delete_tag, write_reference
from foundation.store.remote import PROBE, Objects, RemoteObject
from foundation.store.staging import Staging
from foundation.store.store import Store

REMOVING = ".removing"
GRACE_S = 5.0
"""Longer than a record and a reference take to be written after the look at ``.removing``."""
UNFINISHED_S = 86_400.0
"""Age from which the files of a version without a manifest count as left by a publisher that was killed."""
LONGEST_REMOVAL_S = 6 * 3600.0


class MirroredStore(Store):
    """Versioned Parquet and files under a URL; ``root`` is the mirror, on a local disk, which may be deleted at any time but while something runs."""

    def __init__(self, url: str, mirror: Path, *, grace_s: float = GRACE_S) -> None:
        super().__init__(mirror)
        self.objects = Objects(url)
        self._grace_s = grace_s
        self._removing = False
        self._turn = threading.RLock()
        self._depth = 0
        self._stack = contextlib.ExitStack()

    def __str__(self) -> str:
        return self.objects.url

    # -- the mirror ------------------------------------------------------------------------------------------------

    def pull(self, prefix: str = "") -> dict[str, RemoteObject]:
        """Bring what is small into step: records, references, manifests, pins, lists. Returns the listing of all."""
        with self._in_step():
            listing = {path: found for path, found in self.objects.listing(prefix).items() if path not in (REMOVING, PROBE)}
            known = self._known()
            small = {path: found for path, found in listing.items() if _is_small(path)}
            wanted = [path for path, found in small.items() if known.get(path) != found.tag or not (self.root / path).is_file()]
            for path, content in self.objects.read(wanted).items():
                _write(self.root / path, content, small[path].written)
                known[path] = small[path].tag
            for path in [path for path in self._small_here() if path.startswith(prefix) and path not in small]:
                (self.root / path).unlink(missing_ok=True)
                known.pop(path, None)
                if _is_manifest(path):  # the version was removed elsewhere, perhaps since it was erased
                    shutil.rmtree((self.root / path).parent, ignore_errors=True)
            _write(self.root / ".listing", json.dumps(known).encode(), None)
            return listing

    @contextlib.contextmanager
    def _in_step(self) -> Iterator[None]:
        """While this is open no other process or thread changes what is small in the mirror."""
        with self._turn:
            if self._depth == 0:
                self.root.mkdir(parents=True, exist_ok=True)
                self._stack.enter_context(one_at_a_time(self.root / ".mirror.lock"))
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self._stack.close()

    def _small_here(self) -> Iterator[str]:
        """What the mirror holds of records, references, pins and lists."""
        known = self._known()
        for pattern in ("builds/**/*", "refs/**/*"):
            for depth in ("*/", "*/*/"):
                for path in self.root.glob(depth + pattern):
                    if path.is_file() and not path.name.startswith("."):
                        yield self._path(path)
        for path in (*self.root.glob(f"{PINS}/*.json"), self.root / ERASED):
            if path.is_file() and not path.name.startswith(".build"):
                yield self._path(path)
        for place in self._versions(""):
            for name in (PRUNED, MANIFEST):  # one that was placed and is not uploaded yet is this machine's own
                if (place / name).is_file() and self._path(place / name) in known:
                    yield self._path(place / name)

    def _known(self) -> dict[str, str]:
        try:
            return dict(json.loads((self.root / ".listing").read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError):
            return {}

    def _versions(self, prefix: str) -> Iterator[Path]:
        for pattern in ("*/v/*", "*/*/v/*"):
            for place in self.root.glob(pattern):
                if place.relative_to(self.root).as_posix().startswith(prefix) and not place.name.startswith("."):
                    yield place

    def _pull_asset(self, asset: str, partition: str | None) -> dict[str, RemoteObject]:
        return self.pull(f"{self._relative(asset, partition)}/") if not self._removing else {}

    @property
    def erasure_list(self) -> ErasureList:
        if not self._removing:
            self.pull(ERASED)
        return super().erasure_list

    def _relative(self, asset: str, partition: str | None) -> str:
        return asset_folder(self.root, asset, partition).path.relative_to(self.root).as_posix()

    def _path(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    # -- reading ---------------------------------------------------------------------------------------------------

    def version(self, key: VersionKey, data_version: str | None = None) -> RemoteVersion:
        return RemoteVersion(*key, data_version or key.version, super().version(key).path, self.objects, self.root)

    def record(self, asset: str, partition: str | None = None, *, ref: str) -> BuildRecord:
        self._pull_asset(asset, partition)
        return super().record(asset, partition, ref=ref)

    def find(self, asset: str, partition: str | None, name: str) -> BuildRecord:
        self._pull_asset(asset, partition)
        return super().find(asset, partition, name)

    def partitions(self, asset: str) -> list[str]:
        if not self._removing:
            self.pull(f"{asset}/")
        return super().partitions(asset)

    def assets(self) -> list[str]:
        if not self._removing:
            self.pull()
        return super().assets()

    # -- holding ---------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def undisturbed(self) -> Iterator[None]:
        deadline = time.monotonic() + LONGEST_REMOVAL_S
        while not self._removing and (found := self.objects.read([REMOVING])):
            if time.monotonic() > deadline:
                raise StoreError(f"{self.objects.url}/{REMOVING} says that something is being removed ({found[REMOVING].decode()}); delete it where nothing is")
            self._take_over_dead(found[REMOVING].decode())
            time.sleep(min(self._grace_s, 1.0))
        with super().undisturbed():
            yield

    @contextlib.contextmanager
    def pin(self, what: str) -> Iterator[Pin]:
        if not self._removing:
            self.pull()  # whoever pins looks at lineage too: at records and manifests of other assets than those it reads
        with super().pin(what) as made:
            made.on_write = lambda path: self.objects.put(f"{PINS}/{path.name}", path.read_bytes())
            made.on_release = lambda path: self.objects.remove([f"{PINS}/{path.name}"])
            yield made

    @contextlib.contextmanager
    def maintained(self, *, reading: bool) -> Iterator[None]:
        """As of any store; nobody publishes meanwhile. What is done to a mirror of its own is then done to the objects."""
        owner = f"{Owner.this_process()}. since {now()}"
        while not self.objects.put_new(REMOVING, owner.encode()):
            found = self.objects.read([REMOVING]).get(REMOVING, b"").decode()
            if not self._take_over_dead(found):
                raise StoreError(f"{self.objects.url}: something is being removed already ({found}); wait, or delete {REMOVING} where nothing is")
        mirror = self.root
        try:
            time.sleep(self._grace_s)
            self.root = mirror.with_name(f"{mirror.name}.maintenance")
            shutil.rmtree(self.root, ignore_errors=True)
            before = self.pull()
            for version in self._whole() if reading else ():
                version.fetch()
            self._removing = True
            yield
            self._push(before)
        finally:
            shutil.rmtree(self.root, ignore_errors=True)
            self._removing, self.root = False, mirror
            self.objects.remove([REMOVING])

    def _whole(self) -> Iterator[RemoteVersion]:
        for place in self._versions(""):
            if not (place / MANIFEST).is_file():  # one that was not finished: its card alone
                continue
            parts = place.relative_to(self.root).parts
            yield self.version(VersionKey(parts[0], parts[1] if len(parts) == 4 else None, parts[-1]))

    def _take_over_dead(self, found: str) -> bool:
        """Remove the mark of a process of this machine that is gone."""
        owner = Owner.of(found)
        if found and owner is not None and owner.here and not owner.running:
            self.objects.remove([REMOVING])
            return True
        return not found

    def _push(self, before: Mapping[str, RemoteObject]) -> None:
        """Make the objects what the mirror is: what is new first, in the order of publishing; then what is gone, records before versions."""
        here = {self._path(path): path for path in self.root.rglob("*") if path.is_file()}
        here = {path: place for path, place in here.items() if not any(part.startswith(".") and part not in (PINS, ERASED) for part in path.split("/"))}
        known = self._known()
        new = [path for path, place in here.items() if path not in before or (_is_small(path) and self._differs(place, known.get(path), before[path]))]
        for path in sorted(new, key=_order):
            self.objects.upload(here[path], path)
        pruned = tuple(f"{self._path(version.table_folder(table))}/" for version in self._whole() for table in version.pruned)
        gone = [
            path
            for path, found in before.items()
            if path not in here and (_is_small(path) or path.startswith(pruned) or self._is_left(path, found, before, here))
        ]
        self.objects.remove(sorted(gone, key=_order, reverse=True))

    def _is_left(self, path: str, found: RemoteObject, before: Mapping[str, RemoteObject], here: Mapping[str, Path]) -> bool:
        """Whether a version's file belongs to one that was removed, or to one that nobody is finishing."""
        manifest = _manifest_of(path)
        return manifest not in here and (manifest in before or time.time() - found.written > UNFINISHED_S)

    def _differs(self, place: Path, known: str | None, found: RemoteObject) -> bool:
        """Whether a small file of the mirror is another one than the object."""
        same = known == found.tag and place.stat().st_mtime == found.written and place.stat().st_size == found.size
        return not same and self.objects.read([self._path(place)]).get(self._path(place)) != place.read_bytes()

    # -- writing ---------------------------------------------------------------------------------------------------

    def reuse(self, asset: str, partition: str | None, fingerprint: str, *, ref: str) -> BuildRecord | None:
        with self.undisturbed():
            listing = self._pull_asset(asset, partition)
            record = self.build(asset, partition, fingerprint)
            if record is None or self._is_erased(record) or self._lacks(self.published(record), listing):
                return None
            self._refer(asset, partition, ref, record)
            return record

    def publish(
        self,
        staging: Staging,
        record: BuildRecord,
        *,
        ref: str,
        previews: Mapping[str, str] | None = None,
        plots: Mapping[str, bytes] | None = None,
        erased: str | None = None,
    ) -> BuildRecord:
        listing = self._pull_asset(staging.asset, staging.partition)
        self.place(staging, record.version)
        self._upload(self.published(record), ref, listing)
        with self.undisturbed():
            self._refuse_erased(record, erased)
            listing = self._pull_asset(staging.asset, staging.partition)
            if lacking := self._lacks(self.published(record), listing):  # removed meanwhile: it was old, and named by nothing
                raise StoreError(f"{lacking} was removed while it was published; run it again")
            with self._in_step():
                self.show(record, previews or {}, plots or {})
                if self._preview(record).is_file():
                    self.objects.upload(self._preview(record), self._path(self._preview(record)))
            record = self._record_once(record, listing)
            self._refer(record.asset, record.partition, ref, record)
        return record

    def _upload(self, version: PublishedVersion, ref: str, listing: Mapping[str, RemoteObject]) -> None:
        """Put a version's files, the manifest last; what an earlier version holds under the same sha256 is copied by the server."""
        mark = self._path(version.path / PRUNED)
        if not self._lacks(version, listing) and mark not in listing:
            return
        shared = self._shared(version, ref, listing)
        for relative, entry in listed_files(version.manifest):
            path = self._path(version.path / relative)
            if listing.get(path, RemoteObject(-1, 0, "")).size == entry["bytes"]:
                continue  # of an earlier try; content and path are the same
            if entry["sha256"] in shared:
                self.objects.copy(shared[entry["sha256"]], path)
            else:
                self.objects.upload(version.path / relative, path)
        for name in (CARD, MANIFEST):
            self.objects.upload(version.path / name, self._path(version.path / name))
        if mark in listing:  # its rows are there again
            self.objects.remove([mark])

    def _shared(self, version: PublishedVersion, ref: str, listing: Mapping[str, RemoteObject]) -> dict[str, str]:
        """Objects by sha256 of the version that the reference names now."""
        try:
            before = self.published(Store.record(self, version.asset, version.partition, ref=ref))
            files = listed_files(before.manifest, before.pruned)
        except StoreError:
            return {}
        return {entry["sha256"]: path for relative, entry in files if (path := self._path(before.path / relative)) in listing}

    def _lacks(self, version: PublishedVersion, listing: Mapping[str, RemoteObject]) -> str | None:
        """What a version lacks among the objects; nothing where it can be read whole."""
        if self._path(version.path / MANIFEST) not in listing or version.pruned:
            return str(version)
        for relative, entry in listed_files(version.manifest):
            found = listing.get(self._path(version.path / relative))
            if found is None or found.size != entry["bytes"]:
                return f"{version}: {relative}"
        return None

    def _record_once(self, record: BuildRecord, listing: Mapping[str, RemoteObject]) -> BuildRecord:
        path = asset_folder(self.root, record.asset, record.partition).record(record.fingerprint)
        content = record.to_json().encode()
        if not self.objects.put_new(self._path(path), content):
            self._pull_asset(record.asset, record.partition)
            earlier = BuildRecord.read(path)
            if self._lacks(self.published(earlier), listing) is None:
                return earlier
            self.objects.put(self._path(path), content)
        _write(path, content, None)
        return record

    def point(self, asset: str, partition: str | None, ref: str, record: BuildRecord) -> None:
        self._pull_asset(record.asset, record.partition)
        with self._still_there(record):
            self._refer(asset, partition, ref, record)

    def tag(self, record: BuildRecord, name: str, *, force: bool = False) -> None:
        with self._in_step():
            self._pull_asset(record.asset, record.partition)
            super().tag(record, name, force=force)
            path = asset_folder(self.root, record.asset, record.partition).reference(f"{TAGS}/{name}")
            if force:
                self.objects.upload(path, self._path(path))
            elif not self.objects.put_new(self._path(path), path.read_bytes()):
                self._pull_asset(record.asset, record.partition)
                super().tag(record, name)  # an error where it names another build

    def untag(self, asset: str, partition: str | None, name: str) -> None:
        self._pull_asset(asset, partition)
        folder = asset_folder(self.root, asset, partition)
        delete_tag(folder, name)
        self.objects.remove([self._path(folder.reference(f"{TAGS}/{name}"))])

    def _refer(self, asset: str, partition: str | None, ref: str, record: BuildRecord) -> None:
        folder = asset_folder(self.root, asset, partition)
        with self._in_step():
            write_reference(folder, ref, record)
            self.objects.upload(folder.reference(ref), self._path(folder.reference(ref)))


def _is_small(path: str) -> bool:
    """Whether the mirror keeps an object in step: all but the files of versions."""
    parts = path.split("/")
    return "v" not in parts[:-1] or _is_manifest(path) or (parts[-1] in (CARD, PRUNED) and parts[-3:-2] == ["v"])


def _is_manifest(path: str) -> bool:
    return path.endswith(f"/{MANIFEST}") and path.split("/")[-3:-2] == ["v"]


def _order(path: str) -> tuple[int, str]:
    """The order in which objects are put; the reverse is that in which they go."""
    parts = path.split("/")
    if path == ERASED:
        return 0, path
    if "v" in parts[:-1]:
        return (2 if _is_manifest(path) else 1), path
    if "erased" in parts:
        return 3, path
    if "builds" in parts:
        return 4, path
    return 5, path


def _manifest_of(path: str) -> str:
    """The manifest of the version that an object of its files belongs to."""
    parts = path.split("/")
    return "/".join([*parts[: parts.index("v", 1) + 2], MANIFEST])


def _write(path: Path, content: bytes, written: float | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    part.write_bytes(content)
    if written is not None:
        os.utime(part, (written, written))
    part.replace(path)
