"""Inputs of the harvest benchmarks: WARC files of real HTML pages out of Debian packages.

Pages are software manuals: right for throughput, no measure of quality on the web. Sizes vary as on the web, from a
few kB (LibreOffice help) to hundreds (LilyPond manuals).
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from corpus.web.warc.writing import Capture, write_warc
from foundation.sources.debian import DebianPackages

TARGET = {"lilypond-doc-html-it": 66, "libreoffice-help-it": 25, "aptitude-doc-it": 7, "debian-reference-it": 2}
OTHERS = {
    "lilypond-doc-html-de": 22, "lilypond-doc-html-fr": 22, "lilypond-doc-html-es": 22,
    "libreoffice-help-de": 11, "libreoffice-help-es": 11, "libreoffice-help-en-us": 12,
}  # fmt: skip
"""Packages with their weight in percent: pages of some 80 kB on average, which compress to the 17 kB that a record of
Common Crawl has (bytes over captures of CC-MAIN-2024-22's WARC files)."""
AT = datetime.datetime(2026, 1, 10, tzinfo=datetime.UTC)


@dataclass(frozen=True)
class Pages:
    """Paths of pages with the language that their package is in."""

    target: tuple[tuple[str, Path], ...]
    others: tuple[tuple[str, Path], ...]


def load_pages(cache: Path, folder: Path) -> Pages:
    """Unpack the packages and list their pages, in an order drawn by hash; packages in proportion to their weight."""
    packages = DebianPackages(cache)
    found = packages.obtain([*TARGET, *OTHERS])
    for name, package in found.items():
        if not (folder / name).is_dir():
            packages.unpack(package, folder / name)
    return Pages(_mixed(TARGET, folder), _mixed(OTHERS, folder))


def _mixed(weights: Mapping[str, int], folder: Path) -> tuple[tuple[str, Path], ...]:
    rows = []
    for name, weight in weights.items():
        paths = sorted(path for path in (folder / name).rglob("*.html") if path.is_file() and not path.is_symlink())
        paths.sort(key=lambda path: _draw(path.relative_to(folder).as_posix()))
        rows.extend((place / weight, name, path) for place, path in enumerate(paths))
    return tuple((name, path) for _, name, path in sorted(rows, key=lambda row: (row[0], row[1])))


def write_pages(pages: Sequence[tuple[str, Path]], root: Path, warcs: int, crawl: str) -> dict[str, float]:
    """Write pages as a crawl of so many WARC files; returns pages, bytes of HTML and their mean."""
    captures = [
        Capture(f"https://www.{name}.example/{place}/{path.name}", AT, path.read_bytes(), "ita") for place, (name, path) in enumerate(pages)
    ]
    size = -(-len(captures) // warcs)
    for index in range(warcs):
        part = captures[index * size : (index + 1) * size]
        if part:
            write_warc(part, root, f"crawl-data/{crawl}/segments/1/warc/{crawl}-{index:05d}.warc.gz")
    total = sum(len(capture.payload) for capture in captures)
    return {"pages": len(captures), "html_bytes": total, "mean_html_bytes": round(total / len(captures))}


def mix(pages: Pages, count: int, target_share: float) -> list[tuple[str, Path]]:
    """``count`` pages, this share of them in the target language, evenly spread; pages repeat where there are too few."""
    wanted = max(1, round(count * target_share))
    every = count // wanted
    chosen = []
    for index in range(count):
        pool, place = (pages.target, index // every) if index % every == every // 2 and index // every < wanted else (pages.others, index)
        chosen.append(pool[place % len(pool)])
    return chosen


def _draw(text: str) -> str:
    return hashlib.sha256(f"benchmark\x00{text}".encode()).hexdigest()
