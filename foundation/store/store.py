"""The warehouse: publish, reuse and resolve versions of assets on local disk.

Layout (an asset without partition has no partition folder)::

    <root>/<asset>/[<partition>/] v/<version>/…      immutable, visible once a build record names it
                                  builds/<fingerprint>.json
                                  refs/<profile>     "<version> <fingerprint>"
                                  .staging/…         what is being written

Order of publishing: staged files complete and flushed, manifest last, rename to ``v/<version>``, build record, reference.
A process killed between any two of these leaves the previous version readable and the next run finishes the work.
"""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from foundation.store.builds import BuildRecord, replace_atomically, write_once
from foundation.store.errors import GateFailed, NotPublished, StoreError
from foundation.store.published import MANIFEST, PublishedVersion
from foundation.store.staging import Staging, explained_disk_errors, remove_abandoned

logger = logging.getLogger(__name__)


class Store:
    """Versioned Parquet and files under one local root folder."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root).expanduser().resolve()

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
        failed = [gate for gate in record.gates if not gate.passed]
        if failed and asset not in allow_failed_gates:
            verdicts = "; ".join(gate.verdict for gate in failed)
            raise GateFailed(
                f"{_name(asset, partition)}@{record.version} failed its gates: {verdicts}. Mend its inputs or settings "
                f"and materialize it again, or allow it by name with `--set allow_failed_gates='[{asset}]'`"
            )
        published = self._published(record)
        faults = published.damage()
        if faults:
            raise StoreError(
                f"{published} is damaged: {faults[0]} ({len(faults)} in all); materialize {asset} again to restore it"
            )
        return published

    def record(self, asset: str, partition: str | None = None, *, ref: str) -> BuildRecord:
        """The build record behind a reference.

        Raises:
            NotPublished: there is none.
        """
        path = self.folder(asset, partition) / "refs" / ref
        try:
            _, fingerprint = _read_ref(path)
        except FileNotFoundError:
            partitions = self.partitions(asset) if partition is None else []
            if partitions:
                raise NotPublished(f"{asset} is made per snapshot; name one with --partition: {', '.join(partitions)}") from None
            raise NotPublished(
                f"{_name(asset, partition)} is not published under {ref!r} in {self.root}; materialize it first "
                f"(`dagster asset materialize -m dagster_project.definitions --select {asset}"
                f"{f' --partition {partition}' if partition else ''}`)"
            ) from None
        record = self.build(asset, partition, fingerprint)
        if record is None:
            raise NotPublished(f"{path} names build {fingerprint}, which has no record; materialize {asset} again")
        return record

    def build(self, asset: str, partition: str | None, fingerprint: str) -> BuildRecord | None:
        """The record of a build, or ``None`` if there is none."""
        path = self.folder(asset, partition) / "builds" / f"{fingerprint}.json"
        return BuildRecord.read(path) if path.is_file() else None

    def builds(self, asset: str, partition: str | None = None) -> list[BuildRecord]:
        """All build records of an asset, oldest first."""
        paths = (self.folder(asset, partition) / "builds").glob("*.json")
        return sorted((BuildRecord.read(path) for path in paths), key=lambda record: (record.started_at, record.fingerprint))

    def partitions(self, asset: str) -> list[str]:
        """Partitions of an asset that hold anything, sorted."""
        folder = self.root / asset
        reserved = {"v", "builds", "refs", ".staging"}
        return sorted(path.name for path in folder.glob("*") if path.is_dir() and path.name not in reserved)

    def assets(self) -> list[str]:
        """Assets that hold anything, sorted."""
        return sorted(path.name for path in self.root.glob("*") if path.is_dir() and not path.name.startswith("."))

    def refs(self, asset: str, partition: str | None = None) -> dict[str, tuple[str, str]]:
        """Version and fingerprint by reference (profiles, ``tags/<tag>``)."""
        folder = self.folder(asset, partition) / "refs"
        found = {}
        for path in sorted(folder.rglob("*")) if folder.is_dir() else []:
            if path.is_file() and not path.name.startswith("."):
                version, fingerprint = _read_ref(path)
                found[path.relative_to(folder).as_posix()] = (version, fingerprint)
        return found

    def folder(self, asset: str, partition: str | None = None) -> Path:
        """Where an asset, or one partition of it, lives."""
        for part in (asset, partition or "x"):
            if not part or part.startswith(".") or "/" in part or part in {"v", "builds", "refs"}:
                raise StoreError(f"{part!r} cannot name an asset or a partition")
        return self.root / asset if partition is None else self.root / asset / partition

    # -- writing ---------------------------------------------------------------------------------------------------

    def reuse(self, asset: str, partition: str | None, fingerprint: str, *, ref: str) -> BuildRecord | None:
        """The record of an earlier build with this fingerprint, its version whole; the reference then points at it.

        ``None`` means that the work has to be done, also when the version was damaged since (said in the log).
        """
        record = self.build(asset, partition, fingerprint)
        if record is None:
            return None
        published = self._published(record)
        faults = published.damage()
        if faults:
            logger.warning("%s is damaged (%s) and is built again", published, faults[0])
            return None
        self.point(asset, partition, ref, record)
        return record

    @contextlib.contextmanager
    def stage(self, asset: str, partition: str | None = None) -> Iterator[Staging]:
        """A staging folder, removed at the end whatever happens; what was published from it has moved away."""
        folder = self.folder(asset, partition) / ".staging"
        with explained_disk_errors(self.root):
            remove_abandoned(folder)
            staging = Staging(folder, asset, partition)
            try:
                yield staging
            finally:
                staging.remove()
                with contextlib.suppress(OSError):
                    folder.rmdir()  # only when no other build is staging

    def place(self, staging: Staging, version: str) -> Path:
        """Move a completed staging folder to ``v/<version>``; identical content that is already there stays."""
        target = self.folder(staging.asset, staging.partition) / "v" / version
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            if not PublishedVersion(staging.asset, staging.partition, version, version, target).damage():
                return target
            target.rename(target.with_name(f".damaged-{version}-{os.urandom(4).hex()}"))
        try:
            staging.path.rename(target)
        except OSError:
            if not (target / MANIFEST).is_file():  # otherwise another build of the same content was faster
                raise
        return target

    def commit(self, record: BuildRecord, *, ref: str) -> BuildRecord:
        """Write the build record, which makes the version visible, and move the reference.

        Returns the record that counts: that of an earlier build with the same fingerprint where there was one and its
        version is whole.
        """
        path = self.folder(record.asset, record.partition) / "builds" / f"{record.fingerprint}.json"
        if not write_once(path, record.to_json()):
            earlier = BuildRecord.read(path)
            if self._is_whole(earlier):
                record = earlier
            else:  # the version it names was damaged since, so that the work was done again
                replace_atomically(path, record.to_json())
        self.point(record.asset, record.partition, ref, record)
        return record

    def show(self, record: BuildRecord, previews: Mapping[str, str], plots: Mapping[str, bytes]) -> None:
        """Keep what a person may look at beside the build, so that a reuse shows it again."""
        if previews or plots:
            pictures = {title: base64.b64encode(content).decode() for title, content in plots.items()}
            text = json.dumps({"previews": dict(previews), "plots": pictures}, ensure_ascii=False)
            replace_atomically(self._shown_path(record), text)

    def shown(self, record: BuildRecord) -> tuple[dict[str, str], dict[str, bytes]]:
        """Previews and PNG plots of a build, by title; empty where it left none."""
        path = self._shown_path(record)
        if not path.is_file():
            return {}, {}
        values = json.loads(path.read_text(encoding="utf-8"))
        return values["previews"], {title: base64.b64decode(text) for title, text in values["plots"].items()}

    def _shown_path(self, record: BuildRecord) -> Path:
        return self.folder(record.asset, record.partition) / "builds" / "shown" / f"{record.fingerprint}.json"

    def point(self, asset: str, partition: str | None, ref: str, record: BuildRecord) -> None:
        """Move a reference to a build."""
        path = self.folder(asset, partition) / "refs" / ref
        line = f"{record.version} {record.fingerprint}\n"
        if not path.is_file() or path.read_text(encoding="utf-8") != line:
            replace_atomically(path, line)

    def published(self, record: BuildRecord) -> PublishedVersion:
        """The version that a build made."""
        return self._published(record)

    def _published(self, record: BuildRecord) -> PublishedVersion:
        path = self.folder(record.asset, record.partition) / "v" / record.version
        return PublishedVersion(record.asset, record.partition, record.version, record.data_version, path)

    def _is_whole(self, record: BuildRecord) -> bool:
        return not self._published(record).damage()


def _name(asset: str, partition: str | None) -> str:
    return asset if partition is None else f"{asset}[{partition}]"


def _read_ref(path: Path) -> tuple[str, str]:
    """Version and fingerprint of a reference.

    Raises:
        FileNotFoundError: there is none.
        StoreError: the file is damaged.
    """
    try:
        version, fingerprint = path.read_text(encoding="utf-8").split()
    except ValueError as error:
        raise StoreError(f"{path} is not a reference (version and fingerprint on one line); delete it and materialize again") from error
    return version, fingerprint
