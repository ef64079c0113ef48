"""Compiled loops, and where numba keeps what it compiled, so that it compiles once and not in every process.

numba looks for a place that it can write: NUMBA_CACHE_DIR, beside the modules, the user's cache. Where an installation and the home
folder are read-only there is none, and numba refuses to compile at all; then the state folder is the place (``keep_below``).
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

logger = logging.getLogger(__name__)

VARIABLE = "NUMBA_CACHE_DIR"
BESIDE = Path(__file__).with_name("__pycache__")
"""Beside the modules: where this folder can be written, so can those of the modules with loops."""

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """A loop that numba compiles on its first call, or reads where it was kept; the interpreter is free for other threads meanwhile.

    Where nothing can be kept every process compiles anew (some 8 s for the signals), and says so once.
    """
    import numba

    loop: Any
    try:
        loop = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # no place to keep it
        _say_that_nothing_is_kept()
        loop = numba.njit(nogil=True)(function)
    return loop  # type: ignore[no-any-return]


def keep_below(home: Path) -> None:
    """Let this process and those that it starts keep compiled loops in the state folder, where none of numba's own places will do."""
    if kept_in() is None:
        place = home.absolute() / "cache" / "numba"
        os.environ[VARIABLE] = str(place)
        if "numba" in sys.modules:
            sys.modules["numba"].config.CACHE_DIR = str(place)


def kept_in() -> Path | None:
    """The folder in which numba keeps what it compiled, without making it; None where it can write none of its places."""
    return next((place for place in _places() if _can_be_written(place)), None)


def _places() -> Iterator[Path]:
    """numba's places, in its order (numba.core.caching)."""
    if os.environ.get(VARIABLE):
        yield Path(os.environ[VARIABLE])
    yield BESIDE
    user = Path("~/Library/Caches") if sys.platform == "darwin" else Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    yield user.expanduser() / "numba"


def _can_be_written(place: Path) -> bool:
    existing = next(path for path in (place, *place.absolute().parents) if os.path.lexists(path))
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)


@lru_cache(maxsize=1)
def _say_that_nothing_is_kept() -> None:
    logger.warning("numba can keep what it compiles nowhere, so that every process compiles anew; set %s to a folder of yours", VARIABLE)
