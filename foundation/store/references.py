"""References: a profile's name, or ``tags/<tag>``, says which build counts under it. One line each, replaced atomically."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from foundation.store.builds import BuildRecord, replace_atomically, write_once
from foundation.store.errors import StoreError
from foundation.store.layout import TAGS, AssetFolder, asset_name, entries

_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def read_reference(path: Path) -> tuple[str, str]:
    """Version and fingerprint of a reference.

    Raises:
        FileNotFoundError: there is none.
        StoreError: the file is damaged.
    """
    try:
        version, fingerprint = path.read_text(encoding="utf-8").split()
    except ValueError as error:
        raise StoreError(f"{path} is not a reference (version and fingerprint on one line); delete it and materialize again") from error
    return version, fingerprint


def references_in(folder: AssetFolder) -> dict[str, tuple[str, str]]:
    """Version and fingerprint by reference, profiles first.

    Raises:
        StoreError: one is damaged.
    """
    found = {}
    for prefix, place in (("", folder.references), (f"{TAGS}/", folder.tags)):
        for name in sorted(entry.name for entry in entries(place) if entry.is_file() and not entry.name.startswith(".")):
            with contextlib.suppress(FileNotFoundError):  # a tag that was deleted meanwhile
                found[prefix + name] = read_reference(place / name)
    return found


def write_reference(folder: AssetFolder, name: str, record: BuildRecord) -> None:
    """Point a reference at a build."""
    path = folder.reference(name)
    line = _line(record)
    if not path.is_file() or path.read_text(encoding="utf-8") != line:
        replace_atomically(path, line)


def write_tag(folder: AssetFolder, tag: str, record: BuildRecord, *, force: bool) -> None:
    """Make a tag; one that is there stays, unless ``force`` moves it.

    Raises:
        StoreError: the name cannot be a tag, or the tag names another build.
    """
    path = folder.reference(tag_reference(tag))
    if force:
        replace_atomically(path, _line(record))
    elif not write_once(path, _line(record)) and path.read_text(encoding="utf-8") != _line(record):
        version, fingerprint = read_reference(path)
        raise StoreError(
            f"tag {tag!r} of {asset_name(record.asset, record.partition)} names {version} (build {fingerprint}), not {record.version} "
            f"(build {record.fingerprint}); choose another name, or move it with --force"
        )


def delete_tag(folder: AssetFolder, tag: str) -> None:
    """Remove a tag; the version stays until nothing else needs it and ``gc`` removes it.

    Raises:
        StoreError: there is no such tag.
    """
    try:
        folder.reference(tag_reference(tag)).unlink()
    except FileNotFoundError:
        known = [name.removeprefix(f"{TAGS}/") for name in references_in(folder) if name.startswith(f"{TAGS}/")]
        raise StoreError(f"there is no tag {tag!r} in {folder.path}; its tags are {known}") from None


def tag_reference(tag: str) -> str:
    """The reference of a tag.

    Raises:
        StoreError: the name cannot be a tag.
    """
    if not _TAG.fullmatch(tag):
        raise StoreError(f"{tag!r} cannot be a tag; use at most 100 letters, digits, '.', '_' and '-', beginning with a letter or a digit")
    return f"{TAGS}/{tag}"


def _line(record: BuildRecord) -> str:
    return f"{record.version} {record.fingerprint}\n"
