"""The curve of a training run on held-out text: bits per byte before training and after every so many steps.

Looking changes no weight and draws nothing at random, so that a run with looks ends as one without. The points are kept beside the
checkpoint, and a run that goes on keeps those up to where it goes on.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.packing import Row

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CURVE = "curve.json"
"""Where the points are kept in the work folder."""
LOOKS = 10
"""Looks of a run where the settings name no interval."""
MAX_ROWS = 8
"""Packed rows of the held-out slice: enough to see a curve, few beside the steps between two looks."""


def target_bytes(rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> int:
    """UTF-8 bytes of the text that is predicted: all of each document but its first token; an end token has no bytes."""
    total = 0
    for row in rows:
        start = 0
        for length in row.document_lengths:
            text = str(tokenizer.decode(list(row.input_ids[start + 1 : start + length]), skip_special_tokens=True))
            total += len(text.encode())
            start += length
    return total


class HeldOutCurve:
    """Points of one run; call it with the number of steps done."""

    def __init__(self, nats: Callable[[], float], size: int, steps: int, every: int | None, path: Path, *, writes: bool = True) -> None:
        """
        Args:
            nats: negative log-likelihood of the held-out slice under the model as it is now.
            size: bytes of its targets.
            steps: of the run.
            every: steps between looks; None: ten looks.
            path: where the points are kept; a file there is gone on with.
            writes: whether this process keeps them: one of several does.
        """
        self._nats, self._size, self._steps, self._path, self._writes = nats, size, steps, path, writes
        self._every = every or max(1, math.ceil(steps / LOOKS))
        self._points: dict[int, float] = {}
        if path.is_file():
            self._points = {int(point["step"]): float(point["bits_per_byte"]) for point in json.loads(path.read_text(encoding="utf-8"))}

    @property
    def points(self) -> list[dict[str, Any]]:
        """Steps done and bits per byte, in order."""
        return [{"step": step, "bits_per_byte": value} for step, value in sorted(self._points.items())]

    def __call__(self, done: int) -> None:
        """Look, where it is time: before the first step, every so many steps, and after the last."""
        if done and done % self._every and done != self._steps:
            return
        self._points = {step: value for step, value in self._points.items() if step < done}  # a run that goes on takes these steps again
        self._points[done] = round(self._nats() / math.log(2) / self._size, 4)
        if self._writes:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            part = self._path.with_suffix(".part")
            part.write_text(json.dumps(self.points), encoding="utf-8")
            part.replace(self._path)
