"""What a run tells while it goes: one line of JSON per step, followed by who started it, and what trackers are told.

A file and not a pipe (dagster-pipes): it outlives both sides, so that a run on a cluster, or one whose starter was killed, is
followed by the next one; and the workshop needs no orchestrator.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from training.fitting import Watch
from training.running.trackers import TrackedRun, tracked


@contextmanager
def told(path: Path | None, run: TrackedRun | None) -> Iterator[Watch]:
    """A function that writes every step into the progress file and reports it to the run's trackers, where either is wanted."""
    with ExitStack() as stack:
        watches: list[Watch] = []
        if path is not None:
            stream = stack.enter_context(path.open("a", encoding="utf-8", buffering=1))

            def line(entry: Mapping[str, Any]) -> None:
                stream.write(json.dumps(dict(entry)) + "\n")

            watches.append(line)
        if run is not None:
            watches.extend(stack.enter_context(tracked(run, name)) for name in run.to)

        def watch(entry: Mapping[str, Any]) -> None:
            for one in watches:
                one(entry)

        yield watch


class Follower:
    """Reads a progress file while it grows, and keeps a bar at the step it tells of."""

    def __init__(self, path: Path, progress: Callable[[int | None, str, str], tqdm]) -> None:
        self._path = path
        self._progress = progress
        self._offset = path.stat().st_size if path.is_file() else 0
        self._bar: tqdm | None = None

    def look(self) -> Sequence[Mapping[str, Any]]:
        """The steps told since the last look."""
        if not self._path.is_file():
            return []
        with self._path.open("rb") as stream:
            stream.seek(self._offset)
            text = stream.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        entries = [json.loads(line) for line in whole.splitlines()]
        if entries:
            self._show(entries[-1])
        return entries

    def _show(self, entry: Mapping[str, Any]) -> None:
        if self._bar is None:
            self._bar = self._progress(entry["steps"], "fitting", "step")
        self._bar.set_postfix_str(f"loss {entry['loss']:.3f}, {entry['tokens_per_second']:,.0f} tokens/s, MFU {entry['mfu']:.0%}", refresh=False)
        self._bar.update(entry["step"] - self._bar.n)

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()
