"""Sharing: files that a new version has in common with the one before it take no space twice.

On a local disk they become hard links. A version's layout is the same with and without: whoever removes one leaves the other.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from foundation.settings import file_sha256
from foundation.store.errors import StoreError
from foundation.store.published import PublishedVersion, listed_files, read_manifest


def link_unchanged(staged: Path, before: PublishedVersion) -> int:
    """Replace the files of a completed staging folder that another version holds by links to its own.

    Files are the same by their sha256; those of the other version are read again before, so that damage is never shared.

    Returns:
        How many were replaced; none where the file system has no links.
    """
    try:
        there = {(entry["sha256"], entry["bytes"]): before.path / relative for relative, entry in listed_files(before.manifest, before.pruned)}
    except StoreError:  # a damaged version has nothing to share
        return 0
    linked = 0
    for relative, entry in listed_files(read_manifest(staged)):
        source, target = there.get((entry["sha256"], entry["bytes"])), staged / relative
        if source is None:
            continue
        with contextlib.suppress(OSError):  # gone meanwhile, no links here, or too many of one file
            if not source.samefile(target) and file_sha256(source) == entry["sha256"]:
                link = target.with_name(f".{target.name}.{os.urandom(4).hex()}")
                link.hardlink_to(source)
                link.replace(target)
                linked += 1
    return linked
