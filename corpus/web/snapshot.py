"""Snapshots whose WARC files lie in the store: made crawls, and folders of the user's.

Which source a snapshot has, and the table that all of them publish, are here too; crawls and ready corpora that stay where
they are belong to ``crawl_snapshot``.
"""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from corpus.web.crawl.layout import is_crawl_name
from corpus.web.errors import WebCorpusError
from corpus.web.made.bundled import bundled_file, load_pages
from corpus.web.made.sample import SAMPLE_NAME, first_capture_time, write_sample
from corpus.web.settings import SnapshotSettings
from foundation.settings import file_sha256
from foundation.sources.data import DataFolder
from foundation.sources.debian import DebianPackage, DebianPackages
from foundation.store import TableSpec

logger = logging.getLogger(__name__)

FILES = TableSpec(
    "files",
    pa.schema([("path", pa.string()), ("kind", pa.string()), ("bytes", pa.int64()), ("sha256", pa.string())]),
    key=("path",),
    description="The files that the snapshot is read from, by path relative to the crawl's or corpus's root: `kind` is warc, wet, "
    "robotstxt, index (which names the records of the table `selection`), parquet or jsonl. Size and sha256 are null where a file "
    "was not read.",
)

Source = Literal["debian", "bundled", "folder", "common_crawl", "corpus"]
IN_STORE: tuple[Source, ...] = ("debian", "bundled", "folder")
"""Sources whose files the version holds."""


def source_of(settings: SnapshotSettings, snapshot: str, debian: DebianPackages) -> Source:
    """Where a snapshot comes from, by its name and the settings.

    Raises:
        WebCorpusError: the name says nothing.
    """
    if snapshot in settings.corpora:
        return "corpus"
    if settings.source == "folder":
        return "folder"
    if is_crawl_name(snapshot):
        return "common_crawl"
    if SAMPLE_NAME.fullmatch(snapshot):
        return resolved_source(settings, debian)
    raise WebCorpusError(
        f"snapshot {snapshot!r}: no source goes by this name; name a crawl of Common Crawl (CC-MAIN-2024-22), a made sample (SAMPLE-2026-01) "
        f"or a key of corpus.web.snapshot.corpora (there are {sorted(settings.corpora) or 'none'}), or set source: folder for WARC files of your own"
    )


def resolved_source(settings: SnapshotSettings, debian: DebianPackages) -> Source:
    """Where pages of a made crawl come from: ``auto`` is decided by whether packages can be had on this machine.

    The answer counts in the fingerprint, and is logged where it is not the fuller one.
    """
    return resolve_auto(settings.source, debian, [package.name for package in settings.sample.packages])


def resolve_auto(source: str, debian: DebianPackages, packages: Sequence[str]) -> Literal["debian", "bundled"]:
    """``debian`` or ``bundled``; for ``auto`` by what this machine has."""
    if source != "auto":
        return "bundled" if source == "bundled" else "debian"
    if not packages:
        return "bundled"
    cached = all((debian.folder / "packages" / f"{name}.json").is_file() for name in packages)
    if cached or debian.available():  # offline with an empty cache is an error of `obtain`, not another crawl
        return "debian"
    logger.warning("no apt here and no Debian packages in %s: pages bundled with the project are used instead", debian.folder)
    return "bundled"


def folder_files(settings: SnapshotSettings, data: DataFolder, partition: str | None) -> list[Path]:
    """WARC and index files of a user's folder.

    Raises:
        WebCorpusError: there is no WARC file.
    """
    root = folder_root(settings, data, partition)
    files = sorted(path for path in root.rglob("*") if path.is_file() and _wanted(path))
    if not any(".warc" in path.name for path in files):
        raise WebCorpusError(
            f"no *.warc.gz file in {root}; set corpus.web.snapshot.folder to a folder below TRANSUMANZA_DATA or to an absolute path"
        )
    return files


def folder_root(settings: SnapshotSettings, data: DataFolder, partition: str | None) -> Path:
    """The folder of a snapshot below the one that ``corpus.web.snapshot.folder`` names, or that one where it has none."""
    folder = Path(settings.folder)
    base = folder if folder.is_absolute() else (data.root or data.samples) / folder
    own = base / partition if partition else base
    return own if own.is_dir() else base


def see_own_folder(root: Path, partition: str, snapshots: Sequence[str]) -> None:
    """See that a snapshot does not take the files that belong to several.

    Raises:
        WebCorpusError: several snapshots are listed, and this one has no folder of its own.
    """
    if len(snapshots) > 1 and root.name != partition:
        raise WebCorpusError(
            f"{root} has no folder {partition}, and the profile lists the snapshots {list(snapshots)}, which would all be the "
            f"same files; put the files of each snapshot into a folder of its name, or list one snapshot"
        )


def write_made_crawl(
    snapshot: str,
    settings: SnapshotSettings,
    debian: DebianPackages,
    data: DataFolder,
    work: Path,
    target: Path,
    seed: int,
) -> Mapping[str, Any]:
    """Write a sample crawl below ``target``; returns statistics of what it holds."""
    first_capture_time(snapshot)
    packages = obtained(settings, debian)
    folders = {}
    for name, package in packages.items():
        folders[name] = work / "packages" / name
        debian.unpack(package, folders[name])
    bundled = load_pages(bundled_file(data), "crawl")
    warcs, captures = write_sample(snapshot, settings.sample, folders, bundled, target, seed)
    shutil.rmtree(work / "packages", ignore_errors=True)
    return {
        "captures": len(captures),
        "warc_files": len(warcs),
        "languages": dict(sorted(Counter(capture.language for capture in captures).items())),
        "kinds": dict(sorted(Counter(capture.kind for capture in captures).items())),
        "registered_domains": len({row["url_host_registered_domain"] for warc in warcs for row in warc.index}),
    }


def obtained(settings: SnapshotSettings, debian: DebianPackages) -> Mapping[str, DebianPackage]:
    """The packages of a sample crawl; none where it is made of bundled pages."""
    if resolved_source(settings, debian) != "debian":
        return {}
    if not settings.sample.packages:
        raise WebCorpusError("corpus.web.snapshot.source is debian and sample.packages names none; name packages, or use source: bundled")
    return debian.obtain([package.name for package in settings.sample.packages])


def copy_folder(settings: SnapshotSettings, data: DataFolder, partition: str, target: Path) -> Mapping[str, Any]:
    """Copy a user's WARC and index files: a version holds its own files."""
    root = folder_root(settings, data, partition)
    files = folder_files(settings, data, partition)
    for path in files:
        place = target / path.relative_to(root)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    return {"warc_files": sum(".warc" in path.name for path in files)}


def file_rows(root: Path) -> list[dict[str, Any]]:
    """One row for each file of pages or robots.txt below a crawl's root, in canonical order."""
    return [
        {"path": path.relative_to(root).as_posix(), "kind": kind_of(path.as_posix()), "bytes": path.stat().st_size, "sha256": file_sha256(path)}
        for path in warc_files(root)
    ]


def kind_of(path: str) -> Literal["warc", "wet", "robotstxt"]:
    """What a WARC file holds, by its path in Common Crawl's layout."""
    if "/robotstxt/" in path:
        return "robotstxt"
    return "wet" if path.endswith((".warc.wet.gz", ".warc.wet")) else "warc"


def warc_files(root: Path) -> list[Path]:
    """WARC files below a crawl's root, in WARC order: by path."""
    found = (path for path in root.rglob("*") if path.is_file() and path.name.endswith(_ENDINGS))
    return sorted(found, key=lambda path: path.relative_to(root).as_posix())


def page_files(root: Path) -> list[Path]:
    """Those of pages: without robots.txt captures."""
    return [path for path in warc_files(root) if kind_of(path.as_posix()) == "warc"]


def _wanted(path: Path) -> bool:
    index = path.suffix == ".parquet" and "cc-index" in path.as_posix()
    return index or (path.name.endswith(_ENDINGS) and not path.name.startswith("."))


_ENDINGS = (".warc.gz", ".warc", ".warc.wet.gz", ".warc.wet")
