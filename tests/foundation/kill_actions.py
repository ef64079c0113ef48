"""What ``killing`` does to a store: one function each, by name."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from foundation.store import Store
from foundation.store.collection import Limits, collect
from foundation.store.erasure import erase
from tests.foundation.erasable_line import MIXED, run_line

_on_request: list[Callable[[], None]] = []


def on_request(change: Callable[[], None]) -> None:
    """Call this before each change that is no change of a local disk."""
    _on_request.append(change)


def _publish(home: str) -> None:
    run_line(Path(home))


def _collect(home: str) -> None:
    collect(Store(Path(home) / "store"), Limits(min_age_s=0), now=time.time() + 60)


def _tag(home: str) -> None:
    store = Store(Path(home) / "store")
    for asset in ("pages", "model"):
        record = store.record(asset, ref="demo")
        store.tag(record, "moved", force=True)
        store.tag(record, f"new-{record.version}")
    store.untag("pages", None, "old")


def _erase(home: str) -> None:
    erase(Store(Path(home) / "store"), domains=["rossi.example"], mixed=MIXED)


ACTIONS: dict[str, Callable[[str], None]] = {"publish": _publish, "collect": _collect, "tag": _tag, "erase": _erase}
