"""Places: which files a set has and how each is opened: the user's folder, any folder, the Hub at a commit, other addresses.

Files are only read: a dataset's loading script is never run. Behind an address, files are either in the cache (``staged``), or are read
where they lie: the Hub's at a commit never change, while other addresses are always staged, since only their sha256 says what was read.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from foundation.settings import file_sha256
from foundation.sources.data import DataFolder
from foundation.sources.downloads import Downloads, NotStaged
from foundation.sources.locations import Location, LocationError, RequestSettings
from translation.errors import SourceError
from translation.settings import SourceFiles, SourcesSettings
from translation.sources.files import ENDINGS, holds_rows
from translation.sources.staging import StagedSet, is_pattern, stage_set, staged_set

logger = logging.getLogger(__name__)

Kind = Literal["chats", "instructions"]
REVISION_DIGITS = 16


@dataclass(frozen=True)
class RowFile:
    """One file of a set.

    Attributes:
        set_name: the set's name, in every row.
        licence: of the set.
        name: the file in messages.
        local: its path on this machine; None where it is read from an address.
        url, path: the address of its folder and its path there; empty where it is local.
        revision: what the rows say of their origin; None: the file's sha256.
        sha256: of a file in the cache, which is looked at before it is used; None elsewhere.
    """

    set_name: str
    licence: str
    name: str
    local: str | None = None
    url: str = ""
    path: str = ""
    revision: str | None = None
    sha256: str | None = None

    def document(self) -> dict[str, Any]:
        """The file as JSON values, for a shard of a run."""
        return asdict(self)

    def open(self, access: RequestSettings, sharers: int = 1) -> BinaryIO:
        """The file to read and seek in.

        Raises:
            SourceError: a file in the cache is damaged.
            LocationError: an address cannot be read.
        """
        if self.local is None:
            return Location(self.url, access, sharers).open(self.path)
        if self.sha256 is not None and file_sha256(Path(self.local)) != self.sha256:
            raise SourceError(f"{self.name}: its copy {self.local} is damaged; delete it and run `transumanza fetch`")
        return Path(self.local).open("rb")

    def origin(self) -> str:
        """The revision of its rows."""
        if self.revision is not None:
            return self.revision
        if self.sha256 is not None:
            return self.sha256[:REVISION_DIGITS]
        assert self.local is not None  # an address is pinned, or staged
        return file_sha256(Path(self.local))[:REVISION_DIGITS]


def sets_of(settings: SourcesSettings, kind: Kind) -> Sequence[SourceFiles]:
    """The sets that the settings name."""
    return settings.chats if kind == "chats" else settings.instructions


def local_files(settings: SourcesSettings, data: DataFolder, kind: Kind) -> list[tuple[SourceFiles, Path]]:
    """The files of this machine with their sets: those that the settings name, or the bundled sample where they name none that is there.

    Raises:
        SourceError: a folder that the settings name has no such files, or nothing at all is there.
    """
    wanted = sets_of(settings, kind)
    found = [(entry, path) for entry in wanted if not entry.is_remote for path in _files_of(entry, data)]
    if found or any(entry.is_remote for entry in wanted):
        return found
    if data.root is not None:
        logger.warning("%s holds none of %s; the bundled samples are read", data.root, [entry.files for entry in wanted])
    sample = settings.sample_chats if kind == "chats" else settings.sample_instructions
    paths = sorted(path for path in data.samples.glob(sample.files) if path.is_file())
    if not paths:
        raise SourceError(f"no {kind}: neither {[entry.files for entry in wanted]} in the data folder nor samples/{sample.files}")
    return [(sample, path) for path in paths]


def row_files(settings: SourcesSettings, data: DataFolder, downloads: Downloads, kind: Kind) -> list[RowFile]:
    """All files of a kind, in the order of the settings and of their names.

    Raises:
        SourceError: a set has no files.
        NotStaged: a set is neither in the cache nor to be reached, since the network is not allowed.
        LocationError: an address cannot be read.
    """
    found = local_files(settings, data, kind)
    files: list[RowFile] = []
    for entry in dict.fromkeys((*sets_of(settings, kind), *(entry for entry, _ in found))):
        if entry.is_remote:
            files += _remote_files(entry, settings.access, downloads)
        for path in (path for owner, path in found if owner == entry):
            name = str(path) if entry.place[0] else data.relative(path)
            files.append(RowFile(entry.name, entry.licence, name, local=str(path), revision=entry.revision))
    return files


def staged_sets(settings: SourcesSettings, downloads: Downloads, kind: Kind) -> dict[str, StagedSet]:
    """Sets whose content only their files' sha256 tells, by address; brought into the cache where they are not in it.

    Raises:
        NotStaged: one is not in the cache, and the network is not allowed.
        LocationError: an address cannot be read.
    """
    unpinned = [entry for entry in sets_of(settings, kind) if entry.is_remote and entry.commit is None]
    return {entry.files: _staged(entry, settings.access, downloads) for entry in unpinned}


def fetch_sets(settings: SourcesSettings, downloads: Downloads, kind: Kind) -> None:
    """Bring sets behind addresses into the cache; of the Hub's those up to ``staged_gb``, and say which are left.

    Raises:
        NotStaged, LocationError, SourceError: as ``row_files``.
    """
    staged_sets(settings, downloads, kind)
    for entry in sets_of(settings, kind):
        if entry.commit is None or staged_set(entry.files, downloads.cache) is not None:
            continue
        location, paths = _listed(entry, settings.access, downloads)
        size = sum(location.size(path) for path in paths) / 1e9
        if size <= settings.staged_gb:
            stage_set(entry.files, location, paths, downloads.cache)
        else:
            logger.warning(
                "%s: %.1f GB are not fetched, since translation.sources.staged_gb is %g; they are read from the Hub when %s are built",
                entry.files, size, settings.staged_gb, kind,
            )  # fmt: skip


def _files_of(entry: SourceFiles, data: DataFolder) -> list[Path]:
    """The files of rows of a set on this machine; in the user's folder there may be none."""
    root, pattern = entry.place
    folder = data.root if root == "" else Path(root).expanduser()
    found = sorted(path for path in folder.glob(pattern) if path.is_file()) if folder is not None and folder.is_dir() else []
    usable = [path for path in found if folder is not None and holds_rows(path.relative_to(folder).as_posix())]
    if not usable and (found or root):
        raise SourceError(_no_files(entry, [path.name for path in found]))
    return usable


def _remote_files(entry: SourceFiles, access: RequestSettings, downloads: Downloads) -> list[RowFile]:
    staged = staged_set(entry.files, downloads.cache)
    if staged is None and entry.commit is None:
        staged = _staged(entry, access, downloads)
    revision = entry.revision or entry.commit
    root = entry.place[0]
    if staged is not None:
        return [
            RowFile(entry.name, entry.licence, f"{root}/{file.path}", local=str(file.copy(downloads.cache)), revision=revision, sha256=file.sha256)
            for file in staged.files
        ]
    _, paths = _listed(entry, access, downloads)
    return [RowFile(entry.name, entry.licence, f"{root}/{path}", url=root, path=path, revision=revision) for path in paths]


def _staged(entry: SourceFiles, access: RequestSettings, downloads: Downloads) -> StagedSet:
    staged = staged_set(entry.files, downloads.cache)
    return staged or stage_set(entry.files, *_listed(entry, access, downloads), downloads.cache)


def _listed(entry: SourceFiles, access: RequestSettings, downloads: Downloads) -> tuple[Location, list[str]]:
    """The place of a set and its files of rows there."""
    if downloads.offline:
        raise NotStaged(f"{entry.files} is not in {downloads.cache}; run `transumanza fetch` where there is a network")
    root, pattern = entry.place
    location = Location(root, access)
    found = location.find(pattern) if is_pattern(pattern) else [pattern]
    usable = [path for path in found if holds_rows(path)]
    if not usable:
        others = found
        if not found:
            try:
                others = location.find("**")
            except LocationError:
                others = []
        raise SourceError(_no_files(entry, others))
    return location, usable


def _no_files(entry: SourceFiles, others: Sequence[str]) -> str:
    """What to say where a set has no files of rows."""
    shown = f"{', '.join(others[:5])}{', …' if len(others) > 5 else ''}"
    text = f"translation.sources: the set {entry.name!r} has no file of rows at {entry.files}"
    if not others:
        return f"{text}; there are no files at all: look at its `files`"
    if any(other.endswith(".py") for other in others) and not any(holds_rows(other) for other in others):
        return (
            f"{text}; there is a loading script ({shown}), and scripts are never run: download the files that it names, and give their folder in `files`"
        )
    return f"{text}; there are {shown}, and names must end in {', '.join(ENDINGS)}"
