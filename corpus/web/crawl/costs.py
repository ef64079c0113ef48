"""What reading a crawl costs, by its index and by a scan, before it is read: requests, bytes and days.

Sizes are published ones (``sizes.yaml``, with sources), or those of a selection that was published.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml

from corpus.web.crawl.ranges import MAX_BYTES, MAX_GAP, MAX_OVERHEAD
from corpus.web.errors import WebCorpusError
from corpus.web.settings import SelectionSettings
from foundation.sources.locations import DOWNLOAD_BYTES, AccessSettings

SIZES = Path(__file__).with_name("sizes.yaml")
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Site:
    """From where a crawl is read: how many requests and bytes a second bound it."""

    name: str
    requests_per_second: float
    bytes_per_second: float


@dataclass(frozen=True, slots=True)
class SelectedRecords:
    """What a published selection holds: pages and robots.txt records, and their bytes."""

    pages: int
    page_bytes: int
    robots: int = 0
    robots_bytes: int = 0


@dataclass(frozen=True, slots=True)
class CrawlCosts:
    """What reading one crawl in one way takes.

    ``bytes`` are received bytes. ``days`` is the larger of requests by the site's rate and bytes by its bandwidth; time of
    computation is not in it.
    """

    way: Literal["index", "scan"]
    site: str
    requests: float
    bytes: float
    days: float
    basis: str

    def as_dict(self) -> dict[str, Any]:
        """The costs as JSON values."""
        return asdict(self)


def sites(access: AccessSettings) -> tuple[Site, Site]:
    """The two places that crawls are read from: a machine near the data, and anywhere over HTTPS at the access settings' rate."""
    near, far = sizes()["near_data"], sizes()["over_https"]
    return (
        Site("near the data (S3, us-east-1)", float(near["requests_per_second"]), float(near["bytes_per_second"])),
        Site("over HTTPS", access.requests_per_second, float(far["bytes_per_second"])),
    )


def crawl_costs(
    selection: SelectionSettings, site: Site, language_share: float | None = None, selected: SelectedRecords | None = None
) -> tuple[CrawlCosts, CrawlCosts]:
    """Costs of one crawl: by the index, and by a scan.

    Args:
        selection: what is read of it. Lists of domains are not counted in: how much they leave is known only afterwards.
        site: from where.
        language_share: share of pages in the languages; None takes the published one (``published_share``).
        selected: what the published selection of this crawl holds, where there is one; it replaces the estimate.

    Raises:
        WebCorpusError: the share of a language is not published, and none is given.
    """
    share = published_share(selection.languages) if language_share is None and selected is None else (language_share or 0.0)
    if selection.max_files is not None:  # the same part of the crawl by either way
        part = min(selection.share, selection.max_files / float(sizes()["warc_files"]))
        return _by_index(selection.model_copy(update={"share": part}), site, share, selected), _by_scan(selection, site)
    return _by_index(selection, site, share, selected), _by_scan(selection, site)


def published_share(languages: Sequence[str]) -> float:
    """Share of a crawl's pages whose primary language is one of these (ISO 639-3).

    Raises:
        WebCorpusError: a language without a published share.
    """
    shares = sizes()["language_shares"]
    unknown = [code for code in languages if code not in shares]
    if unknown or not languages:
        raise WebCorpusError(
            f"selection.languages {list(languages)}: no published share for {unknown or 'no language'}; shares of Common Crawl's languages are at "
            "https://commoncrawl.github.io/cc-crawl-statistics/plots/languages, those of 0.1 % and more in sizes.yaml"
        )
    return float(sum(shares[code] for code in languages))


def joined(
    density: float, record_bytes: float, capture_bytes: float, max_overhead: float = MAX_OVERHEAD, max_gap: int = MAX_GAP
) -> tuple[float, float]:
    """Ranges and bytes for one selected record, where records are selected at random.

    The unselected records between two selected ones are geometrically distributed; ``ranges.coalesce`` fetches the
    smallest gaps along until its budget of ``max_overhead - 1`` is spent.

    Args:
        density: share of a file's captures that is selected.
        record_bytes: mean size of a selected record.
        capture_bytes: mean size of what a file holds for one capture.
        max_overhead: as for ``coalesce``.
        max_gap: as for ``coalesce``.

    Returns:
        Ranges per record; bytes fetched per record.
    """
    budget, saved, between, chance = record_bytes * (max_overhead - 1), 0.0, 0, density
    unspent = budget
    while between * capture_bytes <= max_gap and chance > 1e-9:
        gap = between * capture_bytes
        taken = min(chance, unspent / gap) if gap else chance
        saved += taken
        unspent -= taken * gap
        if taken < chance:
            break
        between += 1
        chance *= 1 - density
    return max(1 - saved, record_bytes / MAX_BYTES), record_bytes + budget - unspent


def cheaper(costs: tuple[CrawlCosts, CrawlCosts], site: Site) -> str:
    """One sentence: which way costs fewer bytes and which fewer days from this site, and where that turns."""
    index, scan = costs
    first = "index" if index.days <= scan.days else "scan"
    less, more = sorted((index, scan), key=lambda one: one.bytes)
    text = (
        f"{site.name} ({site.requests_per_second:g} requests/s, {site.bytes_per_second / 1e6:g} MB/s): {first} is faster, {_days(index.days)} by "
        f"index against {_days(scan.days)} by scan; {less.way} moves {more.bytes / less.bytes:.3g} times fewer bytes"
    )
    if first == "scan" and index.bytes < scan.bytes:  # then requests alone hold the index back
        rate = index.requests / (scan.days * DAY_S)
        text += f"; above {rate:.0f} requests/s (corpus.web.access.requests_per_second) the index is faster"
    return text


@lru_cache(maxsize=1)
def sizes() -> Mapping[str, Any]:
    """The published sizes."""
    document: Mapping[str, Any] = yaml.safe_load(SIZES.read_text(encoding="utf-8"))
    return document


def _by_index(selection: SelectionSettings, site: Site, share: float, selected: SelectedRecords | None) -> CrawlCosts:
    published = sizes()
    if selected is None:
        drawn = share * selection.share
        pages = float(published["captures"]) * drawn
        record = float(published["record_bytes"])
        robots = pages / float(published["pages_per_host"]) if selection.robots else 0.0
        robots_bytes = robots * float(published["robots_record_bytes"])
        what = f"{share:.2%} of {published['captures']:,} captures" + (f", of them {selection.share:.2%}" if selection.share < 1 else "")
        basis = f"published sizes: {what}, {record / 1e3:g} kB each; lists of domains not counted in"
    else:
        pages, robots, robots_bytes = float(selected.pages), float(selected.robots), float(selected.robots_bytes)
        drawn = pages / float(published["captures"])
        record = selected.page_bytes / pages if pages else float(published["record_bytes"])
        basis = f"the published selection: {selected.pages:,} pages of {record / 1e3:.3g} kB, {selected.robots:,} robots.txt"
    capture = float(published["warc_files"]) * float(published["warc_file_bytes"]) / float(published["captures"])
    ranges, range_bytes = joined(drawn, record, capture)
    index_bytes = float(published["index_bytes"])
    requests = pages * ranges + robots + index_bytes / float(published["index_request_bytes"])
    basis += f"; index at most {index_bytes / 1e9:g} GB; {ranges:.2f} ranges and {range_bytes / record:.2f} bytes per record and byte"
    return _costs("index", site, requests, pages * range_bytes + robots_bytes + index_bytes, basis)


def _by_scan(selection: SelectionSettings, site: Site) -> CrawlCosts:
    published = sizes()
    files = float(published["warc_files"]) * selection.share
    if selection.max_files is not None:
        files = min(files, selection.max_files)
    size = float(published["warc_file_bytes"]) * (float(published["wet_of_warc"]) if selection.files == "wet" else 1)
    requests = files * -(-size // DOWNLOAD_BYTES)
    basis = f"published sizes: {files:,.0f} of {published['warc_files']:,} {selection.files.upper()} files, {size / 1e6:g} MB each"
    if selection.robots and selection.files == "warc" and selection.share == 1 and selection.max_files is None:
        size *= 1 + float(published["robots_of_warc"])
        requests += files
        basis += ", and as many robotstxt files"
    return _costs("scan", site, requests, files * size, basis)


def _costs(way: Literal["index", "scan"], site: Site, requests: float, size: float, basis: str) -> CrawlCosts:
    by_requests, by_bytes = requests / site.requests_per_second / DAY_S, size / site.bytes_per_second / DAY_S
    bound = "requests" if by_requests > by_bytes else "bytes"
    return CrawlCosts(way, site.name, requests, size, max(by_requests, by_bytes), f"{basis}; bound by {bound} per second")


def _days(days: float) -> str:
    return f"{days:.3g} days" if days >= 1 else f"{days * 24:.2g} hours"
