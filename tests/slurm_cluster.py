"""A real Slurm of one node on 127.0.0.1, started for the tests and stopped after them.

Debian's packages: ``slurmctld slurmd slurm-client munge``. The daemons start jobs as other users, so they want root. All state
lies in a folder of its own: a Slurm that this machine may have is not touched.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

COMMANDS = ("munged", "mungekey", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol")
START_S = 30
"""Seconds within which the node must be ready."""

CONFIGURATION = """\
ClusterName=local
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0
KillWait=2
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def why_not() -> str | None:
    """What keeps this machine from running the cluster; ``None``: nothing."""
    missing = [name for name in COMMANDS if shutil.which(name, path=_path()) is None]
    if missing:
        return f"no Slurm here ({', '.join(missing)}): apt-get install slurmctld slurmd slurm-client munge"
    return None if os.geteuid() == 0 else "Slurm's daemons want root"


@contextlib.contextmanager
def slurm_cluster() -> Iterator[Path]:
    """Start the cluster; its folder. ``SLURM_CONF`` names it to Slurm's commands as long as it runs."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    started: list[subprocess.Popen[bytes]] = []
    earlier = os.environ.get("SLURM_CONF")
    try:
        for name in ("state", "spool"):
            (folder / name).mkdir()
        configuration = folder / "slurm.conf"
        ports = _free_ports(2)
        host = socket.gethostname().partition(".")[0]
        configuration.write_text(CONFIGURATION.format(host=host, folder=folder, controller=ports[0], node=ports[1]))
        os.environ["SLURM_CONF"] = str(configuration)
        subprocess.run(["mungekey", "--create", f"--keyfile={folder}/munge.key"], check=True, env=_environment())
        files = [f"--{name}={folder}/munge.{ending}" for name, ending in (("key-file", "key"), ("socket", "socket"), ("pid-file", "pid"), ("log-file", "log"), ("seed-file", "seed"))]
        started.append(_start(["munged", "--foreground", "--force", *files], folder))
        _wait_for((folder / "munge.socket").exists, started, folder)
        started.append(_start(["slurmctld", "-D"], folder))
        started.append(_start(["slurmd", "-D"], folder))
        _wait_for(_node_is_idle, started, folder)
        yield folder
    finally:
        _stop(started)
        if earlier is None:
            os.environ.pop("SLURM_CONF", None)
        else:
            os.environ["SLURM_CONF"] = earlier
        shutil.rmtree(folder, ignore_errors=True)


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def _environment() -> dict[str, str]:
    return {**os.environ, "PATH": _path()}


def _start(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    with (folder / f"{command[0]}.out").open("wb") as out:
        return subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=_environment(), start_new_session=True)


def _node_is_idle() -> bool:
    found = subprocess.run(["sinfo", "--noheader", "--format=%T"], capture_output=True, text=True, check=False, env=_environment())
    return found.stdout.strip() == "idle"


def _squeue() -> str:
    found = subprocess.run(["squeue", "--noheader"], capture_output=True, text=True, check=False, env=_environment(), timeout=20)
    return found.stdout.strip()


def _wait_for(condition: Callable[[], bool], started: list[subprocess.Popen[bytes]], folder: Path) -> None:
    deadline = time.monotonic() + START_S
    while not condition():
        if time.monotonic() > deadline or any(process.poll() is not None for process in started):
            logs = "\n".join(f"{path.name}:\n{path.read_text(errors='replace')[-800:]}" for path in sorted(folder.glob("*.out")))
            pytest.skip(f"Slurm does not start on this machine\n{logs}")
        time.sleep(0.1)


def _stop(started: list[subprocess.Popen[bytes]]) -> None:
    if len(started) > 1:
        subprocess.run(["scancel", "--user=root"], check=False, env=_environment(), capture_output=True, timeout=20)
        deadline = time.monotonic() + 10  # a step that ends after its daemons would stay for good
        while _squeue() and time.monotonic() < deadline:
            time.sleep(0.2)
    for process in reversed(started):
        process.terminate()
    for process in reversed(started):
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for free in sockets:
            free.bind(("127.0.0.1", 0))
        return [free.getsockname()[1] for free in sockets]
