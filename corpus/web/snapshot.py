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
