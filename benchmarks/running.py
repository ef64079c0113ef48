"""Running one side of a benchmark as a process of its own."""

from __future__ import annotations

import json
import resource
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def run_side(command: Sequence[str]) -> dict[str, Any]:
    """The JSON object that a side prints as its last line.

    Raises:
        RuntimeError: it failed, with the end of what it said.
    """
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    if run.returncode:
        raise RuntimeError(f"{' '.join(command[:3])} failed:\n{run.stderr[-2000:]}")
    return dict(json.loads(run.stdout.strip().splitlines()[-1]))


def cpu_seconds() -> float:
    """User and system time of this process and of all children that ended."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
