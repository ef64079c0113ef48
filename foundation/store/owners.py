"""Who owns something half-made: the process that a staging folder or a pin carries in its name, and whether it still runs."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_FIRST_NAMESPACE = "pid:[4026531836]"
"""PID namespace of a machine's own processes (``PROC_PID_INIT_INO`` in Linux's proc_ns.h)."""


@dataclass(frozen=True)
class Owner:
    """A process: where its id means something, the id, and when it began (ids are given again; "" where it is not known)."""

    host: str
    pid: int
    started: str

    @classmethod
    def this_process(cls) -> Owner:
        """The calling process."""
        return cls(_host(), os.getpid(), _started(os.getpid()))

    @classmethod
    def of(cls, name: str) -> Owner | None:
        """The owner in the name of a folder or file, ``<host>.<pid>-<started>.…``; ``None`` where it names none."""
        found = re.match(r"([A-Za-z0-9-]+)\.(\d+)(?:-(\d*))?\.", name)
        return cls(found[1], int(found[2]), found[3] or "") if found else None

    @property
    def here(self) -> bool:
        """Whether it belongs to this machine, so that it can be seen from here."""
        return self.host == _host()

    @property
    def running(self) -> bool:
        """Whether it runs; only for one that is ``here``."""
        started = _started(self.pid)
        if started and self.started:
            return started == self.started
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    def __str__(self) -> str:
        return f"{self.host}.{self.pid}-{self.started}"


def abandoned(name: str, written: Callable[[], float], now: float, limit_s: float) -> bool:
    """Whether what carries an owner in its name has none left.

    Args:
        name: of the file or folder.
        written: tells when it was last written, seconds since the epoch; asked only where the owner cannot be.
        now: the present, likewise.
        limit_s: age from which an owner on another machine, which cannot be asked, is taken for dead.
    """
    owner = Owner.of(name)
    return not owner.running if owner is not None and owner.here else now - written() > limit_s


def _host() -> str:
    """The machine's name; of a container, whose process ids are its own, also its PID namespace."""
    host = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname()) or "host"
    try:
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return host
    return host if namespace == _FIRST_NAMESPACE else f"{host}-{re.sub('[^0-9]', '', namespace)}"


def _started(pid: int) -> str:
    """Clock ticks from the machine's start to the process's, field 22 of ``/proc/<pid>/stat``; "" where there is no such file."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[19]
