"""Pins: which versions a running build, or whoever else reads for long, has resolved and still needs.

One file each in ``<store>/.pins``, written under the store's shared lock together with the look at the references, so that
no version is removed between the two; removed at the end. A killed process leaves its pin behind, which counts for nothing
once the process is gone. A build whose work is with a cluster leaves a pin under its fingerprint, which its last run removes.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation.store.builds import replace_atomically
from foundation.store.errors import StoreError
from foundation.store.layout import PINS, VersionKey, entries
from foundation.store.owners import Owner, abandoned
from foundation.store.published import PublishedVersion

_HANDED_OVER = "build."


class Pin:
    """What one process holds; made by ``Store.pin``, which releases it."""

    def __init__(self, root: Path, what: str) -> None:
        self._folder = root / PINS
        self._what = what
        self._path = self._folder / f"{Owner.this_process()}.{os.urandom(6).hex()}.json"
        self._text: str | None = None
        self.on_write: Callable[[Path], None] = _nothing
        self.on_release: Callable[[Path], None] = _nothing

    def hold(self, versions: Iterable[PublishedVersion]) -> None:
        """Pin versions; call it within ``Store.undisturbed``, together with what finds them. Holding none writes nothing."""
        held: list[dict[str, Any]] = [
            {"asset": version.asset, "partition": version.partition, "version": version.version, "data_version": version.data_version}
            for version in versions
        ]
        if held:
            self._text = json.dumps({"for": self._what, "versions": held}, indent=1, ensure_ascii=False) + "\n"
            replace_atomically(self._path, self._text)
            self.on_write(self._path)

    def release(self) -> None:
        """Hold nothing any more."""
        if self._text is not None:
            self._path.unlink(missing_ok=True)
            self.on_release(self._path)

    def hand_over(self, fingerprint: str) -> None:
        """Leave the versions pinned after this process has ended: the build's work goes on elsewhere."""
        if self._text is not None:
            replace_atomically(self._handed_over(fingerprint), self._text)
            self.on_write(self._handed_over(fingerprint))

    def settle(self, fingerprint: str) -> None:
        """The build is done: what an earlier run of it handed over is needed no more."""
        if self._handed_over(fingerprint).exists():
            self._handed_over(fingerprint).unlink(missing_ok=True)
            self.on_release(self._handed_over(fingerprint))

    def _handed_over(self, fingerprint: str) -> Path:
        return self._folder / f"{_HANDED_OVER}{fingerprint}.json"


def _nothing(_path: Path) -> None:
    """A pin of a local store is its file."""


@dataclass(frozen=True)
class HeldVersions:
    """A pin as it is found: the versions with their data versions, and what for."""

    path: Path
    what: str
    versions: tuple[tuple[VersionKey, str], ...]


def read_pins(root: Path, *, now: float, limit_s: float, built: Iterable[str]) -> tuple[list[HeldVersions], list[Path]]:
    """Pins that count, and the files of those that do not any more; to be read while the store's lock is held alone.

    Args:
        root: the store's.
        now: seconds since the epoch.
        limit_s: age from which the pin of another machine, or one that was handed over, counts for nothing.
        built: fingerprints of finished builds, whose handed-over pins count for nothing.

    Raises:
        StoreError: a pin that counts cannot be read.
    """
    counting, dead, finished = [], [], set(built)
    for entry in sorted(entries(root / PINS), key=lambda entry: entry.name):
        path = Path(entry.path)
        try:
            written = entry.stat().st_mtime
            if _is_dead(entry.name, written, now, limit_s, finished):
                dead.append(path)
            else:
                counting.append(_read(path))
        except FileNotFoundError:  # released meanwhile
            continue
    return counting, dead


def _is_dead(name: str, written: float, now: float, limit_s: float, built: set[str]) -> bool:
    if name.startswith("."):  # half-written when its process was killed: pins are written under the lock
        return True
    if name.startswith(_HANDED_OVER):
        return name.removeprefix(_HANDED_OVER).removesuffix(".json") in built or now - written > limit_s
    return abandoned(name, lambda: written, now, limit_s)


def _read(path: Path) -> HeldVersions:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        versions = [(VersionKey(entry["asset"], entry["partition"], entry["version"]), entry["data_version"]) for entry in document["versions"]]
        return HeldVersions(path, document["for"], tuple(versions))
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} is not a pin ({error}); delete it where no build is running") from error


@contextlib.contextmanager
def pin(root: Path, what: str) -> Iterator[Pin]:
    """A pin that is released at the end."""
    made = Pin(root, what)
    try:
        yield made
    finally:
        made.release()
