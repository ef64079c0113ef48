"""Starting the processes that train, on this machine: one, or several by torchrun; following them, and telling how they ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from training import errors
from training.errors import TrainingError
from training.running.orders import Order
from training.running.stopping import FOLLOWED

ROOT = Path(__file__).resolve().parents[2]
POLL_S = 0.2
ENDING_S = 120.0
"""Seconds that a process which was asked to end has for its step and its checkpoint."""
LOG = "worker.log"
LOG_CHARACTERS = 1_500


def carry_out(order: Order, processes: int, look: Callable[[], object] = lambda: None, *, followed: bool = True) -> None:
    """Start the processes of an order and stay with them; its outcome is written when this returns.

    Args:
        processes: more than one: by torchrun.
        look: called several times a second.
        followed: they end, with a checkpoint, when this process does.

    Raises:
        Stopped, LossDiverged, TrainingError, MergeError, CheckpointError: as it was raised there.
        TrainingError: they were killed, or failed in another way.
    """
    order.failure.unlink(missing_ok=True)
    with (order.work / LOG).open("ab") as log:
        child = subprocess.Popen(
            _command(order, processes),
            stdin=subprocess.PIPE if followed else subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=_environment(processes, followed),
            start_new_session=True,  # a terminal's Ctrl-C reaches this process alone, which asks the others to end
        )
    try:
        while child.poll() is None:
            look()
            time.sleep(POLL_S)
    except BaseException:
        end(child)
        raise
    finally:
        if child.stdin is not None:
            child.stdin.close()
    look()
    if child.returncode or not order.outcome.is_file():
        _fail(order, child.returncode)


def end(child: subprocess.Popen[bytes]) -> None:
    """Ask the processes to end with a checkpoint, and kill those that do not."""
    child.terminate()
    try:
        child.wait(ENDING_S)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _command(order: Order, processes: int) -> list[str]:
    worker = ["training.running.worker", str(order.work.absolute())]
    if processes == 1:
        return [sys.executable, "-m", *worker]
    torchrun = ["torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1", f"--nproc-per-node={processes}", f"--shutdown-timeout={int(ENDING_S)}"]
    return [sys.executable, "-m", *torchrun, "--module", *worker]


def _environment(processes: int, followed: bool) -> dict[str, str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))), FOLLOWED: str(int(followed))}
    if processes > 1:
        environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
        environment.setdefault("GLOO_SOCKET_IFNAME", "lo")  # all of them are on this machine
    return environment


def _fail(order: Order, status: int) -> None:
    log = order.work / LOG
    if order.failure.is_file():
        said = json.loads(order.failure.read_text(encoding="utf-8"))
        kind = getattr(errors, said["kind"], None)
        if kind is not None:
            raise kind(said["message"])
        raise TrainingError(f"the training process failed: {said['message']} (its log: {log})")
    tail = log.read_text(encoding="utf-8", errors="replace")[-LOG_CHARACTERS:].strip()
    how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
    why = "; most likely memory did not suffice: lower micro_rows, or set gradient_checkpointing" if status == -signal.SIGKILL else ""
    raise TrainingError(f"the training process {how}{why}; the same build goes on from its last checkpoint. Its log, {log}, ends:\n{tail}")
