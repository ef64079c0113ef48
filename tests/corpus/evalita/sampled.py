"""Items of the samples, and damaged copies of their files, for the tests of this folder."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

from corpus.evalita.items import locate, read_items
from corpus.evalita.task import Item
from corpus.evalita.tasks import TASKS
from foundation.sources.data import SAMPLES_ROOT, DataFolder

REAL = (
    "clinkart", "discotex_1", "discotex_2", "erte3", "nermud", "sentipolc_polarity", "sentipolc_subjectivity", "sentipolc_irony",
    "wic_ita", "wic_ita_ranking", "xcopa",
)  # fmt: skip
"""Tasks whose distributed files are in ../shared/data."""


@cache
def sample_items(name: str) -> tuple[Item, ...]:
    """Items of a task's samples."""
    return tuple(read_items(locate(TASKS[name], DataFolder(None))))


def copied_samples(folder: Path, *names: str) -> Path:
    """A user's folder that holds the sample files of some tasks."""
    for name in names:
        for file in TASKS[name].files:
            if (SAMPLES_ROOT / file.path).is_file():
                (folder / file.path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(SAMPLES_ROOT / file.path, folder / file.path)
    return folder


def items_in(folder: Path, name: str) -> list[Item]:
    """Items of a user's folder, whatever their sha256."""
    return read_items(locate(TASKS[name], DataFolder(folder)), accept_changed=True)
