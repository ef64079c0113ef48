"""Staged sets: copies of remote files in the cache, by sha256, with a list of what a set had when it was fetched.

The list is what makes an address without a revision fixed: as long as it is there, the set is what it was. To take a newer one,
delete the list (``<cache>/sources/``).
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from foundation.settings import file_sha256
from foundation.sources.locations import Location

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A file's path below its address, and what it holds."""

    path: str
    sha256: str
    bytes: int

    def copy(self, cache: Path) -> Path:
        """Where the copy lies: beside all other downloads."""
        return cache / "downloads" / self.sha256 / PurePosixPath(self.path).name


@dataclass(frozen=True, slots=True)
class StagedSet:
    """The files of a set, sorted by path."""

    files: tuple[StagedFile, ...]

    def facts(self) -> dict[str, str]:
        """Sha256 by path: what decides the rows."""
        return {file.path: file.sha256 for file in self.files}


def is_pattern(path: str) -> bool:
    """Whether a path has to be looked for, not only read."""
    return re.search(r"[*?\[]", path) is not None


def staged_set(address: str, cache: Path) -> StagedSet | None:
    """What is in the cache of a set; None unless all of it is there."""
    try:
        listed = json.loads(_list_file(address, cache).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    files = tuple(StagedFile(**entry) for entry in listed["files"])
    whole = all((copy := file.copy(cache)).is_file() and copy.stat().st_size == file.bytes for file in files)
    return StagedSet(files) if whole else None


def stage_set(address: str, location: Location, paths: list[str], cache: Path) -> StagedSet:
    """Copy the files of a set into the cache; the list is written last, so that a set is there as a whole or not at all.

    Raises:
        LocationError: a file cannot be read.
        OSError: the cache cannot be written.
    """
    files: list[StagedFile] = []
    target = _list_file(address, cache)
    target.parent.mkdir(parents=True, exist_ok=True)
    for path in sorted(paths):
        logger.info("fetching %s/%s", location.url, path)
        part = target.with_name(f".{target.stem}-{len(files)}.{os.getpid()}.part")
        try:
            location.download(path, part)
            file = StagedFile(path, file_sha256(part), part.stat().st_size)
            copy = file.copy(cache)
            copy.parent.mkdir(parents=True, exist_ok=True)
            part.replace(copy)
        finally:
            part.unlink(missing_ok=True)
        files.append(file)
    entries = [{"path": file.path, "sha256": file.sha256, "bytes": file.bytes} for file in files]
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    part.write_text(json.dumps({"address": address, "files": entries}, indent=1) + "\n", encoding="utf-8")
    part.replace(target)
    return StagedSet(tuple(files))


def _list_file(address: str, cache: Path) -> Path:
    return cache / "sources" / f"{hashlib.sha256(address.encode()).hexdigest()[:32]}.json"
