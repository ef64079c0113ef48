"""A real PostgreSQL on 127.0.0.1, in a folder of its own, stopped afterwards."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

_PLACES = "/usr/lib/postgresql"
"""Where Debian puts the server's programs, by version."""


@dataclass(frozen=True)
class PostgresServer:
    """A running server with an empty database."""

    port: int
    user: str
    password: str
    database: str


@contextlib.contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Start a server; the test skips where none is installed."""
    found = sorted(Path(_PLACES).glob("*/bin/initdb"))
    if not found:
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    programs = found[-1].parent
    user = _as_whom()
    if user is None and os.geteuid() == 0:
        pytest.skip("PostgreSQL refuses to run as root, and there is no user postgres")
    # Not below pytest's folders, which are their owner's alone.
    with tempfile.TemporaryDirectory(prefix="transumanza-postgres-") as folder, _started(Path(folder), programs, user) as server:
        yield server


@contextlib.contextmanager
def _started(folder: Path, programs: Path, user: str | None) -> Iterator[PostgresServer]:
    data, password_file = folder / "data", folder / "password"
    password_file.write_text("secret of the tests\n")
    if user is not None:
        shutil.chown(folder, user)
        shutil.chown(password_file, user)
    port = _free_port()
    _run(user, [str(programs / "initdb"), "-D", str(data), "-U", "dagster", "--auth=scram-sha-256", f"--pwfile={password_file}", "-E", "UTF8", "--no-sync"])
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    _run(user, [str(programs / "pg_ctl"), "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start"])
    try:
        yield PostgresServer(port, "dagster", "secret of the tests", "postgres")
    finally:
        _run(user, [str(programs / "pg_ctl"), "-D", str(data), "-w", "-m", "fast", "stop"])


def _as_whom() -> str | None:
    """The user that runs the server where this process is root's; else None: the present one."""
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(KeyError):
        return pwd.getpwnam("postgres").pw_name
    return None


def _run(user: str | None, command: list[str]) -> None:
    run = subprocess.run(command, user=user, cwd="/", capture_output=True, text=True, check=False, timeout=120, env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"})
    if run.returncode:
        raise RuntimeError(f"{' '.join(command[:2])} ended with {run.returncode}: {run.stderr[-2000:]}{run.stdout[-500:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
