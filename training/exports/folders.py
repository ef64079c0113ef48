"""Folders that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from training.errors import ExportError


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder to write into, beside ``target``; it gets that name when the block ends well, and is removed otherwise.

    Raises:
        ExportError: ``target`` exists.
    """
    if target.exists():
        raise ExportError(f"{target} exists; give a new folder")
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
