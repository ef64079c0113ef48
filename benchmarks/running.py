"""Running one side of a benchmark as a process of its own."""

from __future__ import annotations

import json
import resource
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def run_side(command: Sequence[str]) -> dict[str, Any]:
    """The JSON object that a side prints as its last line.

    Raises:
        RuntimeError: it failed, with the end of what it said.
    """
    return run_sides([command])[0]


def run_sides(commands: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """The JSON objects of processes that run at the same time.

    Raises:
        RuntimeError: one failed, with the end of what it said.
    """
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) for command in commands]
    with ThreadPoolExecutor(len(runs)) as readers:
        said = list(readers.map(subprocess.Popen.communicate, runs))
    for command, run, (_, complaint) in zip(commands, runs, said, strict=True):
        if run.returncode:
            raise RuntimeError(f"{' '.join(command[:3])} failed:\n{complaint[-2000:]}")
    return [dict(json.loads(output.strip().splitlines()[-1])) for output, _ in said]


def cpu_seconds() -> float:
    """User and system time of this process and of all children that ended."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
