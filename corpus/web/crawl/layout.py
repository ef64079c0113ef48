"""The layout of a Common Crawl crawl: its name, its lists of files, and which of the files are read."""

from __future__ import annotations

import gzip
import hashlib
import re
import zlib
from collections.abc import Sequence
from typing import Literal, TypeAlias

from corpus.web.errors import WebCorpusError
from foundation.sources.locations import Location, LocationError

FileKind: TypeAlias = Literal["warc", "wet", "robotstxt", "index"]
Subset: TypeAlias = Literal["warc", "robotstxt"]

_CRAWL_NAME = re.compile(r"CC-MAIN-\d{4}-(\d{2})")
_LISTS: dict[FileKind, str] = {
    "warc": "warc.paths.gz",
    "wet": "wet.paths.gz",
    "robotstxt": "robotstxt.paths.gz",
    "index": "cc-index-table.paths.gz",
}
_PATTERNS: dict[FileKind, str] = {
    "warc": "crawl-data/{crawl}/segments/*/warc/*.warc.gz",
    "wet": "crawl-data/{crawl}/segments/*/wet/*.warc.wet.gz",
    "robotstxt": "crawl-data/{crawl}/segments/*/robotstxt/*.warc.gz",
    "index": "cc-index/table/cc-main/warc/crawl={crawl}/subset=*/*.parquet",
}


def is_crawl_name(name: str) -> bool:
    """Whether a snapshot's name is that of a Common Crawl crawl with WARC files: ``CC-MAIN-<year>-<week>``."""
    match = _CRAWL_NAME.fullmatch(name)
    return match is not None and 1 <= int(match[1]) <= 53


def list_path(crawl: str, kind: FileKind) -> str:
    """Where a crawl's list of files of a kind lies, relative to the location."""
    return f"crawl-data/{crawl}/{_LISTS[kind]}"


def crawl_files(location: Location, crawl: str, kind: FileKind) -> list[str]:
    """Paths of a crawl's files of one kind, relative to the location, sorted.

    The crawl's own list is read where there is one; a mirror without lists is searched. Lists stand first: a file that a
    list names and a mirror lacks is an error when it is read, never a smaller crawl.

    Raises:
        WebCorpusError: the name is no crawl's, the list is damaged, or there are no such files.
    """
    if not is_crawl_name(crawl):
        raise WebCorpusError(f"{crawl!r} is no Common Crawl crawl: names are CC-MAIN-YYYY-WW, for instance CC-MAIN-2024-22")
    path = list_path(crawl, kind)
    if location.exists(path):
        paths = _listed(location, path)
    else:
        paths = _found(location, crawl, kind, path)
    if not paths:
        raise WebCorpusError(f"{location.url}: no {kind} files of {crawl}: {path} is empty or lacking, and so is {_pattern(crawl, kind)}")
    return sorted(set(paths))


def index_files(location: Location, crawl: str, subset: Subset) -> list[str]:
    """Paths of the columnar index files of a subset: ``warc`` (successful captures) or ``robotstxt``; none is no error
    for ``robotstxt``, which mirrors often leave out.

    Raises:
        WebCorpusError: as ``crawl_files``, or there is no file of the subset ``warc``.
    """
    paths = [path for path in crawl_files(location, crawl, "index") if f"subset={subset}/" in path]
    if not paths and subset == "warc":
        raise WebCorpusError(f"{location.url}: the columnar index of {crawl} holds no file of subset=warc; read the crawl with selection.way: scan")
    return paths


def robots_files(location: Location, crawl: str) -> list[str]:
    """Paths of a crawl's files of robots.txt captures, sorted; none where a mirror leaves them out."""
    if location.exists(list_path(crawl, "robotstxt")):
        return crawl_files(location, crawl, "robotstxt")
    return location.find(_pattern(crawl, "robotstxt")) if location.is_local else []


def drawn_files(paths: Sequence[str], share: float = 1.0, max_files: int | None = None) -> list[str]:
    """The files that are read: those whose draw is below ``share``, of them the ``max_files`` with the smallest; sorted.

    A smaller share or number is always a part of a larger one.

    Raises:
        WebCorpusError: the share leaves no file.
    """
    draws = sorted((draw(path), path) for path in paths)
    kept = [path for number, path in draws if number < share][:max_files]
    if not kept:
        raise WebCorpusError(
            f"selection.share {share} leaves none of {len(paths)} files; raise it, or name a number of files with selection.max_files"
        )
    return sorted(kept)


def draw(subject: str) -> float:
    """A number in [0, 1) that depends on the subject alone: the first 8 bytes of its sha256."""
    return int.from_bytes(hashlib.sha256(subject.encode()).digest()[:8]) / 2**64


def _pattern(crawl: str, kind: FileKind) -> str:
    return _PATTERNS[kind].format(crawl=crawl)


def _listed(location: Location, path: str) -> list[str]:
    try:
        lines = gzip.decompress(location.read(path)).decode().split("\n")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise WebCorpusError(f"{location.url}: {path} is no list of paths (gzip text, one a line): {error}; fetch it again") from error
    return [line.strip() for line in lines if line.strip()]


def _found(location: Location, crawl: str, kind: FileKind, missing: str) -> list[str]:
    try:
        return location.find(_pattern(crawl, kind))
    except LocationError as error:
        raise WebCorpusError(
            f"{location.url}: {missing} is not there, and files cannot be searched for at this location ({error}); check the name of the "
            "crawl (https://data.commoncrawl.org/cc-index/collections/index.html lists them) and corpus.web.access.location"
        ) from error
