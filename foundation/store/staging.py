"""Staging: where a version is written before anyone can see it, on the same filesystem as the store.

A staging folder carries the process that owns it in its name, so that what a killed process left is removed by the
next build of the same asset.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from foundation.settings import file_sha256
from foundation.store.errors import StoreError
from foundation.store.layout import CARD, MANIFEST
from foundation.store.owners import Owner
from foundation.store.tables import TableSpec
from foundation.store.writing import TableWriter

MANIFEST_FORMAT = 1


class Staging:
    """The tables, files and card of a version to be. Made by ``Store.stage``; published by ``Store.publish``."""

    def __init__(self, folder: Path, asset: str, partition: str | None) -> None:
        self.asset = asset
        self.partition = partition
        self.path = _made(folder / f"{Owner.this_process()}.{os.urandom(6).hex()}")
        self._tables: dict[str, dict[str, Any]] = {}
        self._card = ""
        self._front_matter: dict[str, Any] = {}

    @property
    def files(self) -> Path:
        """A folder for files of any kind; subfolders are kept, links are refused."""
        folder = self.path / "files"
        folder.mkdir(exist_ok=True)
        return folder

    @contextlib.contextmanager
    def table(self, spec: TableSpec) -> Iterator[TableWriter]:
        """A writer for a table; when the block ends without an error the table is complete."""
        if spec.name in self._tables:
            raise StoreError(f"{self.asset}: table {spec.name} is written twice")
        with TableWriter(spec, self.path / "tables" / spec.name) as writer:
            yield writer
        if writer.document is None:
            raise StoreError(f"{self.asset}: table {spec.name} was not completed")
        self._tables[spec.name] = writer.document

    def adopt_table(self, name: str, document: Mapping[str, Any], folder: Path) -> None:
        """Take a table over from a published version as it is: its files are linked, or copied where links cannot be.

        Args:
            name: of the table.
            document: its entry in that version's manifest.
            folder: where its files lie.
        """
        for split in document["splits"].values():
            for entry in split["files"]:
                link_or_copy(folder / entry["path"], self.path / "tables" / name / entry["path"])
        self._tables[name] = dict(document)

    def card(self, text: str, **front_matter: Any) -> None:
        """Set the text of the version's README.md and YAML front matter beside the generated ``configs``."""
        self._card, self._front_matter = text, front_matter

    def complete(self, statistics: Mapping[str, Any]) -> str:
        """Check and hash all that was written, write card and manifest, flush to disk; returns the version.

        Raises:
            StoreError: nothing was written, or a file is a link.
        """
        files = self._hash_files()
        if not self._tables and not files:
            raise StoreError(f"{self.asset}: nothing was written, neither tables nor files")
        version = _version(self._tables, files)
        manifest = {
            "format": MANIFEST_FORMAT,
            "asset": self.asset,
            "partition": self.partition,
            "version": version,
            "tables": self._tables,
            "files": files,
            "statistics": statistics,
        }
        (self.path / CARD).write_text(self._readme(), encoding="utf-8")
        try:
            text = json.dumps(manifest, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        except (ValueError, TypeError) as error:
            raise StoreError(f"{self.asset}: its statistics have no JSON form ({error}); give finite numbers and plain types") from error
        (self.path / MANIFEST).write_text(text, encoding="utf-8")
        for path in self.path.rglob("*"):
            if path.is_file():
                path.chmod(0o644)  # save_pretrained writes 0600, which other users of a shared store cannot read
                _flush(path)
        _flush(self.path)
        return version

    def remove(self) -> None:
        """Drop everything that was staged."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _hash_files(self) -> list[dict[str, Any]]:
        root = self.path / "files"
        entries = []
        for path in sorted(root.rglob("*")) if root.is_dir() else []:
            if path.is_symlink():
                raise StoreError(f"{self.asset}: {path.relative_to(root)} is a link; a version holds its own files")
            if path.is_file():
                relative = path.relative_to(root).as_posix()
                entries.append({"path": relative, "bytes": path.stat().st_size, "sha256": file_sha256(path)})
        return entries

    def _readme(self) -> str:
        # `datasets` refuses a split without rows, so that the card names only splits that hold some.
        configs = [
            {
                "config_name": name,
                **({"default": True} if index == 0 else {}),
                "data_files": [
                    {"split": split, "path": f"tables/{name}/{split}-*.parquet"}
                    for split, part in table["splits"].items()
                    if part["rows"]
                ],
            }
            for index, (name, table) in enumerate(self._tables.items())
            if table["rows"]
        ]
        front = {**self._front_matter, **({"configs": configs} if configs else {})}
        header = f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---\n\n" if front else ""
        body = self._card or f"# {self.asset}\n\nMade by Transumanza; `manifest.json` lists every file with its sha256."
        return f"{header}{body.rstrip()}\n"


def _version(tables: Mapping[str, Any], files: list[dict[str, Any]]) -> str:
    """The content identity: tables by their declarations and digests, files by path and sha256."""
    identity = {
        "tables": {
            name: {
                "key": table["key"],
                "order": table["order"],
                "splits": {split: [part["rows"], part["digest"]] for split, part in table["splits"].items()},
            }
            for name, table in tables.items()
        },
        "files": [[entry["path"], entry["sha256"]] for entry in files],
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]


def link_or_copy(source: Path, target: Path) -> bool:
    """Bring an immutable file to another place of the store; returns whether it is a link."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.hardlink_to(source)
    except FileNotFoundError:
        raise
    except OSError:  # another file system, one without links, or too many of them
        shutil.copyfile(source, target)
        return False
    return True


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _made(path: Path) -> Path:
    """A new folder; whoever finds the one above it empty may remove it in the same moment."""
    for _ in range(100):
        with contextlib.suppress(FileNotFoundError):
            path.mkdir(parents=True)
            return path
    raise StoreError(f"{path} cannot be made: the folder above it is removed again and again; look for what does that")


def remove_abandoned(folder: Path) -> None:
    """Remove staging folders whose process, on this host, has ended."""
    for path in folder.glob("*") if folder.is_dir() else []:
        owner = Owner.of(path.name)
        if owner is not None and owner.here and not owner.running:
            shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def explained_disk_errors(folder: Path) -> Iterator[None]:
    """Turn a full disk or a forbidden folder into one message that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreError(
                f"no space left under {folder}; free some, or set TRANSUMANZA_HOME to a larger disk; "
                "nothing was published, and finished shards are kept for the next run"
            ) from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise StoreError(
                f"{error.filename or folder} cannot be read or written ({error.strerror}); give yourself access to it, or, where it is "
                "below the home folder, set TRANSUMANZA_HOME"
            ) from error
        raise
