"""The GPU part of the training benchmark."""

from __future__ import annotations

from typing import Any


def measure_gpu() -> dict[str, Any] | str:
    """Figures by shape and length, and the table of the speed switches; or what is missing here."""
    import torch

    if not torch.cuda.is_available():
        return "no GPU here: nothing was measured; on a machine with one run `python -m benchmarks.training --only-gpu --json`"
    return {}
