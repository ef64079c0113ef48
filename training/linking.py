"""The same files in another place: hard links, so that weights lie on the disk once."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Collection
from pathlib import Path

from training.errors import TrainingError

_NO_LINKS = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP)
"""Another filesystem, or one without links; everything else is an error."""


def link_tree(source: Path, target: Path, *, without: Collection[str] = ()) -> int:
    """Make the files of a folder appear in another by hard links, copied where a link cannot be; returns their bytes.

    Args:
        source: a folder.
        target: another; made where it is not there.
        without: paths below ``source`` that are left behind.

    Raises:
        TrainingError: the source folder is missing or empty, or a name is there already.
    """
    files = sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else []
    if not files:
        raise TrainingError(f"{source} holds no files; materialize the model again")
    size = 0
    for path in files:
        name = path.relative_to(source)
        if name.as_posix() in without:
            continue
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists():
            raise TrainingError(f"{place} is there already, and {source} brings another; two folders of one model hold one name")
        try:
            os.link(path, place)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            shutil.copy2(path, place)
        size += path.stat().st_size
    return size
