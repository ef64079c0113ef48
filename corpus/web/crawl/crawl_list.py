"""The list of Common Crawl's crawls, and which of them a profile does not have yet."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from corpus.web.crawl.layout import is_crawl_name
from corpus.web.errors import WebCorpusError
from foundation.sources.locations import AccessSettings, Location


@dataclass(frozen=True)
class NewCrawls:
    """Crawls that came after the newest one of a profile, oldest first; of a profile without any, the newest crawl alone."""

    newer: tuple[str, ...]
    snapshots: tuple[str, ...]
    """The profile's snapshots with these behind them."""

    @property
    def proposal(self) -> str:
        """What to write into the profile."""
        return f"snapshots: [{', '.join(self.snapshots)}]"


def listed_crawls(access: AccessSettings) -> list[str]:
    """Names of all crawls in the list that can be read as snapshots, oldest first.

    Raises:
        WebCorpusError: the list is no JSON list of objects with an ``id``, or names no crawl.
        LocationError: it cannot be read.
    """
    root, _, name = access.crawl_list.rpartition("/")
    text = Location(root or ".", access).read(name)
    try:
        names = {str(entry["id"]) for entry in json.loads(text)}
    except (ValueError, TypeError, KeyError) as error:
        raise WebCorpusError(
            f"{access.crawl_list} is no list of crawls ({type(error).__name__}: {error}); it should be as collinfo.json of index.commoncrawl.org: "
            '[{"id": "CC-MAIN-2024-22", …}, …]; set corpus.web.access.crawl_list'
        ) from None
    crawls = sorted(found for found in names if is_crawl_name(found))
    if not crawls:
        raise WebCorpusError(f"{access.crawl_list} names no crawl of the form CC-MAIN-YYYY-WW; set corpus.web.access.crawl_list")
    return crawls


def new_crawls(listed: Sequence[str], snapshots: Sequence[str]) -> NewCrawls:
    """What of the list is newer than the newest crawl among the snapshots."""
    known = [name for name in snapshots if is_crawl_name(name)]
    newer = [name for name in sorted(listed) if name > max(known)] if known else sorted(listed)[-1:]
    return NewCrawls(tuple(newer), (*snapshots, *newer))
