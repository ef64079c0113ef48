"""Objects under an fsspec URL (S3 first of all), as a remote store uses them: whole objects, one listing, puts that never replace.

An object appears whole or not at all. Nothing is renamed: what makes a version visible is written last.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from foundation.store.errors import StoreError

logger = logging.getLogger(__name__)

PROBE = ".probe"
"""Object by which is found out what the server can do."""
_BATCH = 64
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class RemoteObject:
    """An object in a listing: bytes, seconds since the epoch, and what changes when it does."""

    size: int
    written: float
    tag: str


class Objects:
    """The objects below a URL, by path relative to it."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        try:
            import fsspec

            # Other processes write too: no listing is kept.
            options: dict[str, Any] = {"use_listings_cache": False} if url.startswith(("s3://", "s3a://")) else {}
            options |= {"auto_mkdir": True} if url.startswith("file://") else {}
            self._files, path = fsspec.core.url_to_fs(self.url, **options)
        except (ImportError, ValueError) as error:
            raise StoreError(f"the store {url} cannot be reached ({error}); name a folder or an fsspec URL such as s3://bucket/prefix") from error
        self._root = str(path).rstrip("/")
        self.on_change: Callable[[], None] = lambda: None

    def listing(self, prefix: str = "") -> dict[str, RemoteObject]:
        """All objects below a prefix."""
        place = f"{self._root}/{prefix}".rstrip("/")
        self._files.invalidate_cache()
        try:
            found = self._ask(lambda: self._files.find(place, detail=True))
        except FileNotFoundError:
            return {}
        return {path[len(self._root) + 1 :]: _object(entry) for path, entry in found.items() if entry["type"] == "file"}

    def read(self, paths: Collection[str]) -> dict[str, bytes]:
        """Small objects, many at once; those that are gone are left out."""
        content: dict[str, bytes] = {}
        names = sorted(paths)
        for start in range(0, len(names), _BATCH):
            batch = [f"{self._root}/{path}" for path in names[start : start + _BATCH]]
            found = self._ask(lambda batch=batch: self._files.cat(batch, on_error="return"))  # type: ignore[misc]
            for path, value in (found if isinstance(found, Mapping) else {batch[0]: found}).items():
                if isinstance(value, bytes):
                    content[path[len(self._root) + 1 :]] = value
                elif not isinstance(value, FileNotFoundError):
                    raise StoreError(f"{path} cannot be read: {value}") from value
        return content

    def fetch(self, path: str, target: Path) -> None:
        """Bring an object to a local file, whole or not at all."""
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.{os.getpid()}.{os.urandom(4).hex()}")
        try:
            self._ask(lambda: self._files.get_file(f"{self._root}/{path}", str(part)))
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    def upload(self, source: Path, path: str) -> None:
        """Put a local file, replacing what is there."""
        self.on_change()
        self._ask(lambda: self._files.put_file(str(source), f"{self._root}/{path}"))

    def put(self, path: str, content: bytes) -> None:
        """Put a small object, replacing what is there."""
        self.on_change()
        self._ask(lambda: self._files.pipe_file(f"{self._root}/{path}", content))

    def put_new(self, path: str, content: bytes) -> bool:
        """Put a small object unless there is one; returns whether it was put.

        Where the server keeps no conditions on a put (``conditional``), two who put at the same moment may both be told so.
        """
        self.on_change()
        if self.conditional:
            return self._create(path, content)
        if self._ask(lambda: self._files.exists(f"{self._root}/{path}")):
            return False
        self.put(path, content)
        return True

    def copy(self, source: str, target: str) -> None:
        """Copy an object where it lies: no byte of it passes this machine."""
        self.on_change()
        self._ask(lambda: self._files.cp_file(f"{self._root}/{source}", f"{self._root}/{target}"))

    def remove(self, paths: Iterable[str]) -> None:
        """Remove objects one after the other; those that are gone already are no error."""
        for path in paths:
            self.on_change()
            try:
                self._ask(lambda path=path: self._files.rm_file(f"{self._root}/{path}"))  # type: ignore[misc]
            except FileNotFoundError:
                continue

    @cached_property
    def conditional(self) -> bool:
        """Whether the server keeps ``If-None-Match`` on a put (S3 since August 2024); found out by trying."""
        self.put(PROBE, b"")
        try:
            kept = not self._create(PROBE, b"")
        except (OSError, NotImplementedError, TypeError):
            kept = False
        if not kept:
            logger.warning("%s keeps no conditional put: of two builds with one fingerprint that end in the same moment the later record counts", self.url)
        return kept

    def _create(self, path: str, content: bytes) -> bool:
        try:
            self._ask(lambda: self._files.pipe_file(f"{self._root}/{path}", content, mode="create"))
        except FileExistsError:
            return False
        except OSError as error:
            if "PreconditionFailed" in str(error) or "At least one of the pre-conditions" in str(error):
                return False
            raise
        return True

    def _ask(self, request: Callable[[], Answer]) -> Answer:
        try:
            return request()
        except PermissionError as error:
            raise StoreError(f"{self.url} refuses this ({error}); look at the credentials in the environment (AWS_ACCESS_KEY_ID …) and at what they permit") from error


def _object(entry: Mapping[str, Any]) -> RemoteObject:
    written = entry.get("LastModified") or entry.get("created") or entry.get("mtime") or 0.0
    moment = written.timestamp() if isinstance(written, datetime) else float(written)
    return RemoteObject(int(entry["size"] or 0), moment, str(entry.get("ETag") or f"{moment}-{entry['size']}"))
