"""One process at a time: a lock on a file that a second process waits for."""

from __future__ import annotations

import contextlib
import fcntl
import logging
from collections.abc import Iterator
from pathlib import Path

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Only one process at a time works on a fingerprint; a second one waits and then finds the work done.

    A POSIX lock, not ``flock``: a child that outlives its killed parent inherits the latter and would hold it for good.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        try:
            fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.info("another process builds this; waiting for %s", path)
            fcntl.lockf(stream, fcntl.LOCK_EX)
        yield
