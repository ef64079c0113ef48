"""The warehouse: publish, reuse and resolve versions of assets on local disk.

Layout (an asset without partition has no partition folder; ``layout`` spells it)::

    <root>/<asset>/[<partition>/] v/<version>/…      immutable, visible once a build record names it
                                  builds/<fingerprint>.json
                                  refs/<profile>     "<version> <fingerprint>"
                                  refs/tags/<tag>    likewise
                                  .staging/…         what is being written
                                  .trash/…           what is being removed
           .pins/…                                   what running builds need

Order of publishing: staged files complete and flushed, manifest last, rename to ``v/<version>``, build record, reference.
A process killed between any two of these leaves the previous version readable and the next run finishes the work.
Whatever looks at what is there and then names it (publish, reuse, point, tag, pin) does both under the store's shared lock.
"""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from foundation.store.builds import BuildRecord, check_gates, read_builds_of, replace_atomically, write_once
from foundation.store.erased import ErasedAddresses, ErasureList, read_erased
from foundation.store.errors import NotPublished, StoreError
from foundation.store.layout import (
    MANIFEST,
    PRUNED,
    TAGS,
    AssetFolder,
    VersionKey,
    asset_folder,
    asset_name,
    entries,
    folders_in,
    how_to_make,
)
from foundation.store.locking import shared
from foundation.store.pins import Pin, pin
from foundation.store.published import PublishedVersion
from foundation.store.references import delete_tag, read_reference, references_in, write_reference, write_tag
from foundation.store.sharing import link_unchanged
from foundation.store.staging import Staging, explained_disk_errors, remove_abandoned

logger = logging.getLogger(__name__)


class Store:
    """Versioned Parquet and files under one local root folder."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root).expanduser().resolve()

    def __str__(self) -> str:
        return str(self.root)

    # -- reading ---------------------------------------------------------------------------------------------------

    def resolve(
        self, asset: str, partition: str | None = None, *, ref: str, allow_failed_gates: Collection[str] = ()
    ) -> PublishedVersion:
        """The version that a reference (a profile's name, or ``tags/<tag>``) names.

        Raises:
            NotPublished: nothing is published under that reference.
            GateFailed: the build behind it failed a gate, and the asset is not in ``allow_failed_gates``.
            StoreError: files of the version are missing or have another size.
        """
        record = self.record(asset, partition, ref=ref)
        check_gates(record, allow_failed_gates)
        published = self.published(record)
        faults = published.damage()
        if faults:
            if self.record(asset, partition, ref=ref) != record:  # it moved meanwhile, and what it named was removed
                return self.resolve(asset, partition, ref=ref, allow_failed_gates=allow_failed_gates)
            raise StoreError(
                f"{published} is damaged: {faults[0]} ({len(faults)} in all); materialize {asset} again to restore it"
            )
        return published

    def record(self, asset: str, partition: str | None = None, *, ref: str) -> BuildRecord:
        """The build record behind a reference.

        Raises:
            NotPublished: there is none.
        """
        path = self._at(asset, partition).reference(ref)
        try:
            named = read_reference(path)
            while (record := self.build(asset, partition, named[1])) is None:
                if read_reference(path) == named:  # otherwise it moved meanwhile, and what it named was removed
                    raise NotPublished(f"{path} names build {named[1]}, which has no record; materialize {asset} again")
                named = read_reference(path)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            partitions = self.partitions(asset) if partition is None else []
            if partitions:
                raise NotPublished(f"{asset} is made per snapshot; name one with --partition: {', '.join(partitions)}") from None
            if self.tombstones(asset, partition):
                raise NotPublished(
                    f"{asset_name(asset, partition)} is not published under {ref!r} in {self}: versions of it held rows that were erased, and were "
                    f"withdrawn; materialize it again ({how_to_make(asset, partition)})"
                ) from None
            raise NotPublished(
                f"{asset_name(asset, partition)} is not published under {ref!r} in {self}; materialize it first ({how_to_make(asset, partition)})"
            ) from None
        return record

    def find(self, asset: str, partition: str | None, name: str) -> BuildRecord:
        """The build that a reference, a tag or the beginning of a version names; of several of one version the last.

        Raises:
            NotPublished: it names none.
            StoreError: several versions begin so.
        """
        references = self.refs(asset, partition)
        for ref in (name, f"{TAGS}/{name}"):
            if ref in references:
                return self.record(asset, partition, ref=ref)
        found = {record.version: record for record in self.builds(asset, partition, version=name)} if name else {}
        if len(found) == 1:
            return found.popitem()[1]
        if found:
            raise StoreError(f"several versions of {asset_name(asset, partition)} begin with {name!r}: {', '.join(sorted(found))}; give more of one")
        builds = self.builds(asset, partition)
        if not builds:
            return self.record(asset, partition, ref=name)  # nothing is there: the error says what to do
        versions = list(dict.fromkeys(record.version for record in reversed(builds)))
        raise NotPublished(
            f"{name!r} is no reference, tag or version of {asset_name(asset, partition)}; it has {', '.join(references) or 'no reference'} "
            f"and the versions {', '.join(versions[:10])}{' …' if len(versions) > 10 else ''}"
        )

    def build(self, asset: str, partition: str | None, fingerprint: str) -> BuildRecord | None:
        """The record of a build, or ``None`` if there is none."""
        try:
            return BuildRecord.read(self._at(asset, partition).record(fingerprint))
        except FileNotFoundError:
            return None

    def builds(self, asset: str, partition: str | None = None, *, version: str = "") -> list[BuildRecord]:
        """The build records of an asset, or of its versions that begin so; oldest first."""
        found = []
        for entry in entries(self._at(asset, partition).builds):
            if entry.name.endswith(".json") and not entry.name.startswith("."):
                with contextlib.suppress(FileNotFoundError):  # removed since
                    found += read_builds_of(Path(entry.path), version)
        return sorted(found, key=lambda record: (record.started_at, record.fingerprint))

    def partitions(self, asset: str) -> list[str]:
        """Partitions of an asset that hold anything, sorted."""
        return folders_in(self.root / asset)

    def assets(self) -> list[str]:
        """Assets that hold anything, sorted."""
        return folders_in(self.root)

    def places(self) -> Iterator[tuple[str, str | None]]:
        """Every asset with every partition of it, and with none."""
        for asset in self.assets():
            for partition in [*self.partitions(asset), None]:
                yield asset, partition

    def refs(self, asset: str, partition: str | None = None) -> dict[str, tuple[str, str]]:
        """Version and fingerprint by reference (profiles, ``tags/<tag>``)."""
        return references_in(self._at(asset, partition))

    def folder(self, asset: str, partition: str | None = None) -> Path:
        """Where an asset, or one partition of it, lives.

        Raises:
            StoreError: a name that none can have.
        """
        return self._at(asset, partition).path

    def published(self, record: BuildRecord) -> PublishedVersion:
        """The version that a build made."""
        return self.version(VersionKey(record.asset, record.partition, record.version), record.data_version)

    def version(self, key: VersionKey, data_version: str | None = None) -> PublishedVersion:
        """A version by its name, whether it is there or not; ``data_version`` is what it counts as in lineage, default its own name."""
        return PublishedVersion(*key, data_version or key.version, self._at(key.asset, key.partition).version(key.version))

    @property
    def erased(self) -> ErasedAddresses:
        """The addresses that were erased from this store: whatever reads pages or rows from outside leaves them out.

        Raises:
            StoreError: the list is damaged.
        """
        return self.erasure_list.addresses

    @property
    def erasure_list(self) -> ErasureList:
        """The list of what was erased, as it is kept; errors as of ``erased``."""
        return read_erased(self.root)

    def tombstones(self, asset: str, partition: str | None = None) -> dict[str, Mapping[str, Any]]:
        """By version, what is left of those that held erased rows: when they went and what took their place."""
        folder = self._at(asset, partition).tombstones
        return {name.removesuffix(".json"): json.loads((folder / name).read_text(encoding="utf-8")) for name in sorted(entry.name for entry in entries(folder)) if not name.startswith(".")}

    # -- holding ---------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def undisturbed(self) -> Iterator[None]:
        """While this is open nothing is removed from the store. For moments: what is needed for longer is pinned."""
        with shared(self.root):
            yield

    @contextlib.contextmanager
    def maintained(self, *, reading: bool) -> Iterator[None]:
        """Around everything that removes versions or rewrites them; ``reading``: it reads their rows."""
        yield

    @contextlib.contextmanager
    def pin(self, what: str) -> Iterator[Pin]:
        """A pin for versions that are needed while this is open; ``what`` says for what."""
        with pin(self.root, what) as made:
            yield made

    # -- writing ---------------------------------------------------------------------------------------------------

    def reuse(self, asset: str, partition: str | None, fingerprint: str, *, ref: str) -> BuildRecord | None:
        """The record of an earlier build with this fingerprint, its version whole; the reference then points at it.

        ``None`` means that the work has to be done, also when the version was damaged or pruned since (said in the log).
        """
        with self.undisturbed():
            record = self.build(asset, partition, fingerprint)
            if record is None or self._is_erased(record):
                return None
            fault = self._fault(self.published(record))
            if fault:
                logger.warning("%s is built again: %s", self.published(record), fault)
                return None
            write_reference(self._at(asset, partition), ref, record)
            return record

    @contextlib.contextmanager
    def stage(self, asset: str, partition: str | None = None) -> Iterator[Staging]:
        """A staging folder, removed at the end whatever happens; what was published from it has moved away."""
        folder = self._at(asset, partition).staging
        with explained_disk_errors(self.root):
            remove_abandoned(folder)
            staging = Staging(folder, asset, partition)
            try:
                yield staging
            finally:
                staging.remove()
                with contextlib.suppress(OSError):
                    folder.rmdir()  # only when no other build is staging

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
        """Put a completed staging folder in its place, write its build record and move the reference.

        One hold of the lock for all of it: a version that is there already, and that nothing has needed for long, must not be
        removed between the look at it and the record that names it.

        Args:
            staging: completed.
            record: of the build.
            ref: the reference that moves.
            previews: Markdown by title.
            plots: PNG by title.
            erased: of a build that read from outside, the digest of the erased addresses that it left out.

        Returns:
            The record that counts, as ``commit`` says.

        Raises:
            StoreError: addresses were erased from the store while this was made, or the version held some that were.
        """
        self._share(staging, record, ref)
        with self.undisturbed():
            self._refuse_erased(record, erased)
            self.place(staging, record.version)
            self.show(record, previews or {}, plots or {})
            return self.commit(record, ref=ref)

    def _share(self, staging: Staging, record: BuildRecord, ref: str) -> None:
        """Let what the version that a reference names holds too take no space twice."""
        with contextlib.suppress(FileNotFoundError, StoreError):  # there is none yet, or it is damaged: then every file is the version's own
            version, _ = read_reference(self._at(record.asset, record.partition).reference(ref))
            if version != record.version:
                link_unchanged(staging.path, self.version(VersionKey(record.asset, record.partition, version)))

    def place(self, staging: Staging, version: str) -> Path:
        """Move a completed staging folder to ``v/<version>``; identical content that is already there stays."""
        target = self._at(staging.asset, staging.partition).version(version)
        aside = None
        with self.undisturbed():
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():
                if not self._fault(self.version(VersionKey(staging.asset, staging.partition, version))):
                    return target
                aside = target.rename(target.with_name(f".damaged-{version}-{os.urandom(4).hex()}"))
            try:
                staging.path.rename(target)
            except OSError:
                if not (target / MANIFEST).is_file():  # otherwise another build of the same content was faster
                    raise
        if aside is not None and (aside / PRUNED).is_file():
            shutil.rmtree(aside, ignore_errors=True)  # damage is kept for whoever wants to look at it; here there is none
        return target

    def commit(self, record: BuildRecord, *, ref: str) -> BuildRecord:
        """Write the build record, which makes the version visible, and move the reference.

        Returns the record that counts: that of an earlier build with the same fingerprint where there was one and its
        version is whole.
        """
        folder = self._at(record.asset, record.partition)
        with self.undisturbed():
            if not write_once(folder.record(record.fingerprint), record.to_json()):
                earlier = BuildRecord.read(folder.record(record.fingerprint))
                if not self._fault(self.published(earlier)):
                    record = earlier
                else:  # the version it names was damaged or pruned since, so that the work was done again
                    replace_atomically(folder.record(record.fingerprint), record.to_json())
            write_reference(folder, ref, record)
        return record

    def show(self, record: BuildRecord, previews: Mapping[str, str], plots: Mapping[str, bytes]) -> None:
        """Keep what a person may look at beside the build, so that a reuse shows it again."""
        if previews or plots:
            pictures = {title: base64.b64encode(content).decode() for title, content in plots.items()}
            text = json.dumps({"previews": dict(previews), "plots": pictures}, ensure_ascii=False)
            with self.undisturbed():
                replace_atomically(self._preview(record), text)

    def shown(self, record: BuildRecord) -> tuple[dict[str, str], dict[str, bytes]]:
        """Previews and PNG plots of a build, by title; empty where it left none."""
        path = self._preview(record)
        if not path.is_file():
            return {}, {}
        values = json.loads(path.read_text(encoding="utf-8"))
        return values["previews"], {title: base64.b64decode(text) for title, text in values["plots"].items()}

    def point(self, asset: str, partition: str | None, ref: str, record: BuildRecord) -> None:
        """Move a reference to a build.

        Raises:
            NotPublished: the build was removed meanwhile.
        """
        with self._still_there(record):
            write_reference(self._at(asset, partition), ref, record)

    def tag(self, record: BuildRecord, name: str, *, force: bool = False) -> None:
        """Give a build a tag, which keeps it and all that it was made of; a tag that is there moves by ``force`` alone.

        Raises:
            NotPublished: the build was removed meanwhile.
            StoreError: the name cannot be a tag, or the tag names another build.
        """
        with self._still_there(record):
            write_tag(self._at(record.asset, record.partition), name, record, force=force)

    def untag(self, asset: str, partition: str | None, name: str) -> None:
        """Remove a tag.

        Raises:
            StoreError: there is no such tag.
        """
        delete_tag(self._at(asset, partition), name)

    @contextlib.contextmanager
    def _still_there(self, record: BuildRecord) -> Iterator[None]:
        """While this is open a build that was found before it is there, and stays."""
        with self.undisturbed():
            if self.build(record.asset, record.partition, record.fingerprint) is None:
                raise NotPublished(f"build {record.fingerprint} of {self.published(record)} was removed meanwhile; materialize {record.asset} again")
            yield

    def _at(self, asset: str, partition: str | None) -> AssetFolder:
        return asset_folder(self.root, asset, partition)

    def _preview(self, record: BuildRecord) -> Path:
        return self._at(record.asset, record.partition).preview(record.fingerprint)

    def _is_erased(self, record: BuildRecord) -> bool:
        return self._at(record.asset, record.partition).tombstone(record.version).is_file()

    def _refuse_erased(self, record: BuildRecord, left_out: str | None) -> None:
        if left_out is not None and left_out != self.erased.digest:
            raise StoreError(f"addresses were erased from {self} while {asset_name(record.asset, record.partition)} was made; run it again, which leaves them out")
        if self._is_erased(record):
            raise StoreError(f"{self.published(record)} held rows that were erased and cannot be published again; look whether its inputs still hold them")

    def _fault(self, published: PublishedVersion) -> str | None:
        """Why a version cannot stand for a new build of the same content."""
        faults = published.damage()
        if faults:
            return f"it is damaged ({faults[0]})"
        return f"the rows of {', '.join(published.pruned)} were pruned" if published.pruned else None
