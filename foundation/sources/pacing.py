"""When the next request may begin: the cap on requests per second, and the waits between attempts."""

from __future__ import annotations

import random
import threading
import time

FIRST_BACKOFF_S = 0.5
"""Upper end of the first wait between two attempts; it doubles with each further one."""


class Pace:
    """A token bucket that holds one token: requests begin at least ``1 / per_second`` seconds apart, from all threads together.

    One token only: a burst after a pause is what makes servers refuse.
    """

    def __init__(self, per_second: float) -> None:
        self._interval = 1.0 / per_second
        self._lock = threading.Lock()
        self._next = 0.0

    def reserve(self) -> float:
        """Take the next turn; returns the seconds until it comes."""
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._interval
            return turn - now

    def hold(self, seconds: float) -> None:
        """No turn comes before so many seconds have passed: a server has asked for it."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)


def backoff_s(attempt: int, longest_s: float, asked_s: float = 0.0) -> float:
    """Seconds to wait after the given failed attempt (counted from 1).

    Exponential with full jitter: uniform between 0 and the doubled bound (AWS Architecture Blog, "Exponential Backoff And
    Jitter", 2015), so that workers that failed together do not come back together. Never less than what the server asked
    for, never more than ``longest_s``.
    """
    bound = min(longest_s, FIRST_BACKOFF_S * 2 ** min(attempt - 1, 30))
    return min(longest_s, max(asked_s, random.uniform(0, bound)))
