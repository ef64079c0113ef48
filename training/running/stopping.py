"""When a run has to end early: asked by a signal, left by who started it, or close to the end of its Slurm job."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable
from types import FrameType

FOLLOWED = "TRANSUMANZA_FOLLOWED"
"""Set where standard input is a pipe from the starter: its end says that the starter is gone."""
GRACE_S = 120.0
"""Seconds before the end of a Slurm job at which a run saves its state: several steps, and the writing of a checkpoint."""


def stop_requests() -> Callable[[], bool]:
    """A function that says whether this process has to end; SIGTERM is caught from here on, and SIGINT left to the starter."""
    asked: list[int] = []

    def remember(number: int, _frame: FrameType | None) -> None:
        asked.append(number)

    signal.signal(signal.SIGTERM, remember)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    followed = os.environ.get(FOLLOWED) == "1"
    end = os.environ.get("SLURM_JOB_END_TIME", "")
    deadline = float(end) - GRACE_S if end.isdigit() else float("inf")

    def stop() -> bool:
        return bool(asked) or (followed and _alone()) or time.time() > deadline

    return stop


def _alone() -> bool:
    """Whether the other end of standard input is closed; nothing is ever written to it."""
    poll = select.poll()
    poll.register(0, select.POLLIN | select.POLLHUP)
    return any(event & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, event in poll.poll(0))
