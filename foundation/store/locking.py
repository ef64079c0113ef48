"""The store's lock: who publishes or pins holds it together with others, who removes holds it alone.

Under the shared lock a reference, a build record or a pin is written together with the look at what it names. So whoever
holds the lock alone sees every one of them that there is, nothing half-written, and nobody begins to need what is removed.

``flock``, not a POSIX lock: threads of one process must exclude one another, and a process may hold it several times.
It is held for moments and never while a process starts, so that no child inherits it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from foundation.store.errors import StoreError
from foundation.store.layout import LOCK


@contextlib.contextmanager
def shared(root: Path) -> Iterator[None]:
    """While this is open nothing is removed from the store; waits while somebody removes."""
    with _locked(root, fcntl.LOCK_SH):
        yield


@contextlib.contextmanager
def exclusive(root: Path) -> Iterator[None]:
    """While this is open nothing is published, reused, referenced or pinned in the store."""
    with _locked(root, fcntl.LOCK_EX):
        yield


@contextlib.contextmanager
def _locked(root: Path, kind: int) -> Iterator[None]:
    root.mkdir(parents=True, exist_ok=True)
    path = root / LOCK
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except PermissionError:  # another user's file: reading is enough for a lock on a local disk
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, kind)
        except OSError as error:
            raise StoreError(f"{path} cannot be locked ({error.strerror}); put the store on a file system that keeps locks (NFS: version 4)") from error
        yield
    finally:
        os.close(descriptor)
