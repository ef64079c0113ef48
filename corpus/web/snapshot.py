"""Snapshots: the WARC files that everything else is made of, as an immutable version of the store."""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from corpus.web.bundled import bundled_file, load_pages
from corpus.web.errors import WebCorpusError
from corpus.web.sample import first_capture_time, write_sample
from corpus.web.settings import SnapshotSettings
from corpus.web.warc_reading import Damage, Response, read_responses
from foundation.settings import file_sha256
from foundation.sources.data import DataFolder
from foundation.sources.debian import DebianPackage, DebianPackages
from foundation.store import TableSpec

logger = logging.getLogger(__name__)

CAPTURES = TableSpec(
    "captures",
    pa.schema(
        [
            ("warc_path", pa.string()),
            ("records", pa.int64()),
            ("responses", pa.int64()),
            ("damaged", pa.int64()),
            ("bytes", pa.int64()),
            ("sha256", pa.string()),
        ]
    ),
    key=("warc_path",),
    description="The WARC files of the snapshot, by path relative to the crawl's root, with what reading them gave.",
)


def resolved_source(settings: SnapshotSettings, debian: DebianPackages) -> str:
    """Where pages come from: ``auto`` is decided by whether packages can be had on this machine.

    The answer counts in the fingerprint, and is logged where it is not the fuller one.
    """
    return resolve_auto(settings.source, debian, [package.name for package in settings.sample.packages])


def resolve_auto(source: str, debian: DebianPackages, packages: Sequence[str]) -> str:
    """``debian`` or ``bundled`` for ``auto``; any other source as it is."""
    if source != "auto":
        return source
    if not packages:
        return "bundled"
    cached = all((debian.folder / "packages" / f"{name}.json").is_file() for name in packages)
    if cached or (debian.available() and not debian.offline):
        return "debian"
    logger.warning("no apt here and no Debian packages in %s: pages bundled with the project are used instead", debian.folder)
    return "bundled"


def folder_files(settings: SnapshotSettings, data: DataFolder) -> list[Path]:
    """WARC and index files of a user's folder.

    Raises:
        WebCorpusError: there is no WARC file.
    """
    root = folder_root(settings, data)
    files = sorted(path for path in root.rglob("*") if path.is_file() and _wanted(path))
    if not any(".warc" in path.name for path in files):
        raise WebCorpusError(
            f"no *.warc.gz file in {root}; set corpus.web.snapshot.folder to a folder below TRANSUMANZA_DATA or to an absolute path"
        )
    return files


def folder_root(settings: SnapshotSettings, data: DataFolder) -> Path:
    """The folder that ``corpus.web.snapshot.folder`` names."""
    folder = Path(settings.folder)
    return folder if folder.is_absolute() else (data.root or data.samples) / folder


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


def copy_folder(settings: SnapshotSettings, data: DataFolder, target: Path) -> Mapping[str, Any]:
    """Copy a user's WARC and index files: a version holds its own files."""
    root = folder_root(settings, data)
    files = folder_files(settings, data)
    for path in files:
        place = target / path.relative_to(root)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    return {"warc_files": sum(".warc" in path.name for path in files)}


def capture_rows(root: Path) -> list[dict[str, Any]]:
    """One row for each WARC file below a crawl's root, in canonical order."""
    rows = []
    for path in warc_files(root):
        kinds = Counter(type(record) for record in read_responses(path))
        rows.append(
            {
                "warc_path": path.relative_to(root).as_posix(),
                "records": sum(kinds.values()) - kinds[Damage],
                "responses": kinds[Response],
                "damaged": kinds[Damage],
                "bytes": path.stat().st_size,
                "sha256": file_sha256(path),
            }
        )
    return rows


def warc_files(root: Path) -> list[Path]:
    """WARC files below a crawl's root, in WARC order: by path."""
    found = (path for path in root.rglob("*") if path.is_file() and path.name.endswith((".warc.gz", ".warc")))
    return sorted(found, key=lambda path: path.relative_to(root).as_posix())


def _wanted(path: Path) -> bool:
    index = path.suffix == ".parquet" and "cc-index" in path.as_posix()
    return index or (path.name.endswith((".warc.gz", ".warc")) and not path.name.startswith("."))
