"""Sample crawls: real pages of Debian packages and the bundled pages, captured as a crawler would have met them.

A snapshot named ``SAMPLE-YYYY-MM`` is made from its name, the seed and the settings alone: which pages, at which made
hosts, in which order, what is copied and what is broken, are all drawn by hashes.
"""

from __future__ import annotations

import datetime
import hashlib
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from corpus.web.errors import WebCorpusError
from corpus.web.made.bundled import LICENCE, BundledPage, html_of
from corpus.web.made.opt_outs import host_captures, opt_outs
from corpus.web.settings import SamplePackage, SampleSettings
from corpus.web.warc.writing import Capture, WrittenWarc, write_index, write_path_list, write_warc

logger = logging.getLogger(__name__)

SAMPLE_NAME = re.compile(r"SAMPLE-(\d{4})-(\d{2})")

_HOST_WORDS = (
    "alpeggio", "baita", "cascina", "dogana", "erba", "fontana", "gregge", "isola", "lago", "malga", "neve", "orto",
    "pascolo", "quercia", "radura", "sentiero", "tratturo", "uliveto", "valle", "zolla", "borgo", "campo", "fienile", "mulino",
)  # fmt: skip
_BROKEN = ("truncated_html", "empty_body", "wrong_charset", "not_found", "binary", "damaged_member")


@dataclass(frozen=True, slots=True)
class Draw:
    """Reproducible chance: numbers in [0, 1) from the snapshot's name, the seed and what is drawn for."""

    snapshot: str
    seed: int

    def of(self, purpose: str, subject: str) -> float:
        """The number of a subject for one purpose; independent between purposes."""
        digest = hashlib.sha256(f"{self.snapshot}\x00{self.seed}\x00{purpose}\x00{subject}".encode()).digest()
        return int.from_bytes(digest[:8]) / 2**64


def first_capture_time(snapshot: str) -> datetime.datetime:
    """When a sample crawl begins: the tenth of its month.

    Raises:
        WebCorpusError: the name is no sample's.
    """
    match = SAMPLE_NAME.fullmatch(snapshot)
    if match is None or not 1 <= int(match[2]) <= 12:
        raise WebCorpusError(
            f"snapshot {snapshot!r} cannot be made: only samples named SAMPLE-YYYY-MM can (for instance SAMPLE-2026-01); "
            "Common Crawl's own crawls come with a later release of this code. WARC files at hand are read with "
            "`corpus.web.snapshot.source: folder`"
        )
    return datetime.datetime(int(match[1]), int(match[2]), 10, tzinfo=datetime.UTC)


def write_sample(
    snapshot: str,
    settings: SampleSettings,
    packages: Mapping[str, Path],
    bundled: Sequence[BundledPage],
    root: Path,
    seed: int,
) -> tuple[list[WrittenWarc], list[Capture]]:
    """Write a sample crawl below ``root``: WARC files, robots.txt captures, index and path lists.

    Returns the WARC files of pages and their captures.

    Args:
        snapshot: ``SAMPLE-YYYY-MM``.
        settings: sizes and shares.
        packages: unpacked folder of each package of the settings; empty for a crawl of bundled pages alone.
        bundled: pages written for this project.
        root: the crawl's root.
        seed: the profile's seed.
    """
    draw = Draw(snapshot, seed)
    begin = first_capture_time(snapshot)
    pages = [_bundled_capture(page, begin) for page in bundled]
    for package in settings.packages if packages else ():
        pages.extend(_package_captures(package, packages[package.name], draw, begin))
    captures = list(_met(pages, settings, draw))
    captures.sort(key=lambda capture: (draw.of("order", capture.url), capture.kind))
    captures = _timed(captures, begin)
    size = -(-len(captures) // settings.warc_files)
    segment = f"crawl-data/{snapshot}/segments/{int(begin.timestamp())}"
    warcs = [
        write_warc(captures[start : start + size], root, f"{segment}/warc/{snapshot}-{index:05d}.warc.gz")
        for index, start in enumerate(range(0, len(captures), size))
    ]
    refusals = opt_outs(captures, settings.opt_out_share, draw.of)
    said = host_captures(captures, refusals, begin, draw.of)
    robots = write_warc(said, root, f"{segment}/robotstxt/{snapshot}-00000.warc.gz", index_failures=True)
    tables = [write_index(warcs, root, snapshot), write_index([robots], root, snapshot, subset="robotstxt")]
    write_path_list([warc.path for warc in warcs], root, snapshot, "warc")
    write_path_list([robots.path], root, snapshot, "robotstxt")
    write_path_list(sorted(path.relative_to(root).as_posix() for path in tables), root, snapshot, "cc-index-table")
    return warcs, captures


def _package_captures(package: SamplePackage, folder: Path, draw: Draw, begin: datetime.datetime) -> list[Capture]:
    """The pages of a package that a snapshot holds, at made addresses."""
    files = sorted(path for path in folder.rglob("*.html") if path.is_file() and not path.is_symlink())
    names = {path: path.relative_to(folder).as_posix() for path in files if path.stat().st_size >= package.min_bytes}
    if not names:
        raise WebCorpusError(f"package {package.name} holds no HTML page of {package.min_bytes} bytes; check corpus.web.snapshot.sample.packages")
    chosen = sorted(names, key=lambda path: draw.of("page", f"{package.name}/{names[path]}"))[: package.pages]
    captures = []
    for path in sorted(chosen):
        place = re.sub(r"^usr/share/(doc/)?", "", names[path])
        word = _HOST_WORDS[int(draw.of("host", place) * package.hosts)]
        url = f"https://www.{word}-{package.language}.example/{place}"
        captures.append(Capture(url, begin, path.read_bytes(), package.language, package.licence))
    return captures


def _bundled_capture(page: BundledPage, begin: datetime.datetime) -> Capture:
    return Capture(page.url, begin, html_of(page), page.language, LICENCE)


def _met(pages: Sequence[Capture], settings: SampleSettings, draw: Draw) -> Iterator[Capture]:
    """Pages with what happens to pages in a crawl: some twice, some at two places, some broken."""
    for page in pages:
        chance = draw.of("fate", page.url)
        if chance < settings.broken_share:
            kind = _BROKEN[int(chance / settings.broken_share * len(_BROKEN))]
            yield _broken(page, kind)
            continue
        yield page
        if chance < settings.broken_share + settings.copy_share:
            yield replace(page, kind="repeat")
        elif chance < settings.broken_share + settings.copy_share + settings.mirror_share:
            word = _HOST_WORDS[int(draw.of("mirror", page.url) * len(_HOST_WORDS))]
            path = page.url.split("/", 3)[3]
            yield replace(page, url=f"https://specchio.{word}-mirror.example/{path}", kind="mirror")


def _broken(page: Capture, kind: str) -> Capture:
    """A page with one fault; the payload stays as real as the fault allows."""
    if kind == "truncated_html":
        return replace(page, kind=kind, payload=page.payload[: len(page.payload) // 2])
    if kind == "empty_body":
        return replace(page, kind=kind, payload=b"")
    if kind == "wrong_charset":  # bytes of one charset under the name of another
        text = page.payload.decode("utf-8", errors="replace")
        return replace(page, kind=kind, payload=text.encode("cp1252", errors="replace"))
    if kind == "not_found":
        return replace(page, kind=kind, status=404, payload=b"<html><body><h1>404</h1></body></html>")
    if kind == "binary":  # an image behind the content type of a page
        noise = hashlib.sha256(page.url.encode()).digest() * 64
        return replace(page, kind=kind, payload=b"\x89PNG\r\n\x1a\n" + noise)
    return replace(page, kind=kind, damaged=True)


def _timed(captures: Sequence[Capture], begin: datetime.datetime) -> list[Capture]:
    """Capture times in crawl order, seven seconds apart; a repeated record keeps the time of the first."""
    times: dict[str, datetime.datetime] = {}
    for index, capture in enumerate(captures):
        times.setdefault(capture.url, begin + datetime.timedelta(seconds=7 * index))
    return [replace(capture, fetched_at=times[capture.url]) for capture in captures]
