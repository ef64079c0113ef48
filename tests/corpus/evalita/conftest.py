"""Fixtures of the EVALITA workshop's tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from corpus.evalita.items import locate, read_items
from corpus.evalita.task import Item
from corpus.evalita.tasks import TASKS
from foundation.sources.data import DataFolder


@pytest.fixture(scope="session")
def real_items(shared_data: Path) -> Callable[[str], list[Item]]:
    """Items of a task's distributed files, read once; the test skips where they are absent."""
    found: dict[str, list[Item]] = {}

    def items(name: str) -> list[Item]:
        if name not in found:
            located = locate(TASKS[name], DataFolder(shared_data))
            if not located.present:
                pytest.skip(f"needs the distributed files of {name} in ../shared/data")
            found[name] = read_items(located)
        return found[name]

    return items
