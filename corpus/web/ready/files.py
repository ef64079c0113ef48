"""Ready corpora: text that others extracted, as files of JSON lines or Parquet in a folder or behind a URL.

A column map (``ReadyCorpus``) says which columns hold the text, its address and the time of its capture; a name with dots
leads into nested objects. mC4, C4 and what was made of them have ``text``, ``url`` and ``timestamp``, FineWeb and FineWeb-2
``text``, ``url`` and ``date``, OSCAR 23.01 ``content``, ``warc_headers.warc-target-uri`` and ``warc_headers.warc-date``.

Files are only read: a dataset's loading script is never run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import Literal

from corpus.web.errors import WebCorpusError
from corpus.web.ready.rows import BadReason, BadRow, ReadyRow, json_rows, parquet_rows
from corpus.web.settings import ReadyCorpus
from foundation.sources.data import DataFolder
from foundation.sources.lines import Compression, SourceFile
from foundation.sources.locations import AccessSettings, Location

__all__ = ["BadReason", "BadRow", "ReadyRow", "check_location", "corpus_files", "file_kind", "read_rows", "ready_location"]

JSON_LINES: dict[str, Compression] = {
    ".json": "none",
    ".jsonl": "none",
    ".json.gz": "gzip",
    ".jsonl.gz": "gzip",
    ".json.zst": "zstd",
    ".jsonl.zst": "zstd",
}
"""Endings of names of JSON lines, with their compression."""
PARQUET = ".parquet"
METADATA = frozenset({"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"})
"""Files that the ``datasets`` library writes beside rows; they hold none."""
AHEAD_BYTES = 8 << 20
"""Bytes that one request takes of a file that is read from its start to its end."""
_GIT_LFS = b"version https://git-lfs.github.com/spec/"
_LARGEST_POINTER = 1024  # bytes: git-lfs/docs/spec.md
_HUB = re.compile(r"hf://datasets/[^/@]+/[^/@]+@[0-9a-f]{40}(/.*)?")
_KEY = "corpus.web.snapshot.corpora"


def check_location(corpus: ReadyCorpus, key: str = _KEY) -> None:
    """See that a corpus lies where its files can be listed, and will not change unseen.

    Raises:
        WebCorpusError: an HTTP server, which cannot be listed; or the Hub without a commit.
    """
    location = corpus.location
    if location.startswith(("http://", "https://")):
        raise WebCorpusError(
            f"{key}: the location {location} is an HTTP address, whose files cannot be listed; download the files and name their "
            f"folder, or for the Hugging Face Hub write hf://datasets/OWNER/NAME@REVISION/FOLDER"
        )
    if location.startswith("hf://") and not _HUB.fullmatch(location):
        raise WebCorpusError(
            f"{key}: the location {location} does not have the form hf://datasets/OWNER/NAME@REVISION/FOLDER, with the 40 hex digits of "
            f"a commit as REVISION (a branch moves, and rows with it); the dataset's page on the Hub shows commits under "
            f"'Files and versions', History"
        )


def ready_location(corpus: ReadyCorpus, data: DataFolder, access: AccessSettings, sharers: int = 1, key: str = _KEY) -> Location:
    """Where a corpus lies: a folder below TRANSUMANZA_DATA or an absolute one, or an fsspec URL.

    Raises:
        WebCorpusError: there is no such folder, or the location cannot be used (``check_location``).
    """
    if "://" in corpus.location:
        check_location(corpus, key)
        return Location(corpus.location, access, sharers)
    folder = (data.root or data.samples) / Path(corpus.location).expanduser()
    if folder.is_file():
        raise WebCorpusError(f"{key}: the location {folder} is a file; name its folder, and {folder.name} as `files`")
    if not folder.is_dir():
        raise WebCorpusError(
            f"{key}: no folder {folder}; name one below TRANSUMANZA_DATA ({data.root or 'not set'}), an absolute path, or a URL "
            f"such as hf://datasets/OWNER/NAME@REVISION/FOLDER"
        )
    return Location(str(folder), access, sharers)


def corpus_files(corpus: ReadyCorpus, location: Location, key: str = _KEY) -> list[str]:
    """Files of rows below the location that match ``corpus.files``, sorted; hidden files and metadata are left out.

    Raises:
        WebCorpusError: there is none.
    """
    found = sorted(path for path in location.find(corpus.files) if _visible(path))
    files = [path for path in found if file_kind(path) is not None]
    if files:
        return files
    raise WebCorpusError(f"{key}: no file of rows at {location.url} matches {corpus.files!r}; {_advice(corpus, location, found)}")


def _advice(corpus: ReadyCorpus, location: Location, found: list[str]) -> str:
    endings = ", ".join((PARQUET, *JSON_LINES))
    others = found or [path for path in location.find("**") if _visible(path)]
    if not others:
        return "there are no files at all"
    if all(path.endswith((".py", ".md", ".txt", ".json", ".yaml")) for path in others) and any(path.endswith(".py") for path in others):
        return (
            f"there is only a loading script ({', '.join(others[:5])}), and scripts are never run: download the files that it names, and "
            f"give their folder as `location`"
        )
    shown = f"{', '.join(others[:5])}{', …' if len(others) > 5 else ''}"
    if any(file_kind(path) for path in others):
        return f"there are {shown}; change `files`"
    return f"there are {shown}, and names must end in {endings}"


def file_kind(path: str) -> Literal["parquet", "jsonl"] | None:
    """What a file's name says that it holds; None where it holds no rows."""
    name = PurePosixPath(path).name
    if name in METADATA:
        return None
    if name.endswith(PARQUET):
        return "parquet"
    return "jsonl" if name.endswith(tuple(JSON_LINES)) else None


def _visible(path: str) -> bool:
    return not any(part.startswith(".") for part in PurePosixPath(path).parts)


def read_rows(path: str, corpus: ReadyCorpus, location: Location) -> Iterator[ReadyRow | BadRow]:
    """Rows of one file in its order, in bounded memory, the bad ones among them; a file is never given up for its content.

    Raises:
        WebCorpusError: a column is missing or of a wrong type, the name says no known format, or the file holds something
            else altogether (one JSON array, a Git LFS pointer).
        LocationError: the file cannot be reached.
    """
    kind = file_kind(path)
    if kind is None:
        raise WebCorpusError(f"{path}: expected a name that ends in {', '.join((PARQUET, *JSON_LINES))}")
    with closing(location.open(path)) as file:
        source = SourceFile(file, AHEAD_BYTES if kind == "jsonl" else 0)
        if source.seek(0, 2) <= _LARGEST_POINTER:
            source.seek(0)
            if source.read(len(_GIT_LFS)) == _GIT_LFS:
                raise WebCorpusError(f"{path} at {location.url} is a Git LFS pointer, not the file itself; run `git lfs pull` in its folder")
        source.seek(0)
        if kind == "parquet":
            yield from parquet_rows(source, path, corpus, ahead=0 if location.is_local else AHEAD_BYTES)
        else:
            compression = next(JSON_LINES[ending] for ending in JSON_LINES if path.endswith(ending))
            yield from json_rows(source, compression, path, corpus)
