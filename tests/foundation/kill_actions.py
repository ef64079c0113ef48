"""What ``killing`` does to a store: one function each, by name."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from foundation.stages import run_stage
from foundation.store import Store
from foundation.store.collection import Limits, collect
from foundation.store.erasure import erase
from foundation.store.mirrored import MirroredStore
from tests.foundation.erasable_line import ASSETS, LINE, MIXED, run_line, workplace

_on_request: list[Callable[[], None]] = []


def on_request(change: Callable[[], None]) -> None:
    """Call this before each change that is no change of a local disk."""
    _on_request.append(change)


def _publish(home: str) -> None:
    """The line where it is not published yet; where it is, the same content once more, of a later stage version."""
    if (Path(home) / "store" / "pages" / "refs").is_dir():
        later = {asset: replace(stage, version="2") for asset, stage in LINE.items()}
        for stage in later.values():
            run_stage(stage, later, workplace(Path(home)))
    else:
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


def _on_s3(action: Callable[[Store, Path], None]) -> Callable[[str], None]:
    """An action on the store of a URL; its argument is the URL, a blank, and a folder for the mirror."""

    def run(argument: str) -> None:
        url, _, folder = argument.partition(" ")
        store = MirroredStore(url, Path(folder) / "mirror", grace_s=0.0)
        assert store.objects.conditional in (True, False)  # found out before anything is counted
        store.objects.on_change = _on_request[-1]
        action(store, Path(folder))

    return run


def _tag_remote(store: Store, _folder: Path) -> None:
    for asset in ("pages", "model"):
        store.tag(store.record(asset, ref="demo"), "moved", force=True)
        store.tag(store.record(asset, ref="demo"), "new")
    store.untag("pages", None, "old")


def _publish_remote(store: Store, folder: Path) -> None:
    for asset in ASSETS:
        run_stage(LINE[asset], LINE, replace(workplace(folder), store=store))


ACTIONS: dict[str, Callable[[str], None]] = {
    "publish": _publish,
    "collect": _collect,
    "tag": _tag,
    "erase": _erase,
    "s3-publish": _on_s3(_publish_remote),
    "s3-tag": _on_s3(_tag_remote),
    "s3-collect": _on_s3(lambda store, _: collect(store, Limits(min_age_s=0), now=time.time() + 60) and None),
    "s3-erase": _on_s3(lambda store, _: erase(store, domains=["rossi.example"], mixed=MIXED) and None),
}
