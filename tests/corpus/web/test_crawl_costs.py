"""Costs of a crawl before it is read."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from corpus.web.crawl.costs import SelectedRecords, Site, cheaper, crawl_costs, published_share, sites, sizes
from corpus.web.errors import WebCorpusError
from corpus.web.settings import SelectionSettings
from foundation.sources.locations import AccessSettings

ITALIAN = SelectionSettings(languages=("ita",))
FAR = Site("far", 20, 50e6)


def test_what_is_read_is_what_costs() -> None:
    index, scan = crawl_costs(ITALIAN, FAR)
    assert (index.way, scan.way) == ("index", "scan")
    half_index, half_scan = crawl_costs(ITALIAN.model_copy(update={"share": 0.5}), FAR)
    # of a part of the pages the robots.txt captures are not read
    assert 2 < scan.bytes / half_scan.bytes < 2.03 and 2 < scan.requests / half_scan.requests < 2.1
    whole_index = float(sizes()["index_bytes"])
    assert math.isclose(index.bytes - whole_index, 2 * (half_index.bytes - whole_index), rel_tol=0.01)
    one_file = crawl_costs(ITALIAN.model_copy(update={"max_files": 1}), FAR)[1]
    assert math.isclose(one_file.bytes * sizes()["warc_files"], scan.bytes, rel_tol=0.01)  # but for robots.txt
    assert crawl_costs(ITALIAN.model_copy(update={"files": "wet"}), FAR)[1].bytes < scan.bytes / 5
    assert crawl_costs(ITALIAN.model_copy(update={"robots": False}), FAR)[0].requests < index.requests
    assert crawl_costs(ITALIAN, FAR, language_share=0.1)[0].requests > 3 * index.requests


@pytest.mark.parametrize(("requests", "bandwidth", "bound"), [(1e9, 1.0, "bytes"), (1.0, 1e15, "requests")])
def test_days_are_those_of_the_tighter_bound(requests: float, bandwidth: float, bound: str) -> None:
    for costs in crawl_costs(ITALIAN, Site("x", requests, bandwidth)):
        expected = costs.bytes / bandwidth if bound == "bytes" else costs.requests / requests
        assert math.isclose(costs.days * 86_400, expected) and costs.basis.endswith(f"bound by {bound} per second")


def test_a_published_selection_replaces_the_estimate() -> None:
    estimate, _ = crawl_costs(ITALIAN, FAR)
    index, _ = crawl_costs(ITALIAN, FAR, selected=SelectedRecords(1_000_000, 20_000_000_000, 5_000, 10_000_000))
    assert index.requests < estimate.requests / 20 and "1,000,000 pages of 20 kB, 5,000 robots.txt" in index.basis
    assert 20e9 <= index.bytes - float(sizes()["index_bytes"]) <= 1.2 * 20e9 + 10e6
    nothing, _ = crawl_costs(SelectionSettings(), FAR, selected=SelectedRecords(0, 0))
    assert nothing.bytes == float(sizes()["index_bytes"])


def test_which_way_is_cheaper_turns_at_the_rate_that_is_named() -> None:
    slow = cheaper(crawl_costs(ITALIAN, FAR), FAR)
    assert slow.startswith("far (20 requests/s, 50 MB/s): scan is faster") and "index moves" in slow
    rate = float(slow.split("above ")[1].split()[0])
    for factor, way in ((0.9, "scan"), (1.1, "index")):
        site = replace(FAR, requests_per_second=rate * factor)
        assert f"{way} is faster" in cheaper(crawl_costs(ITALIAN, site), site)


def test_sites_take_the_rate_of_the_access_settings() -> None:
    near, far = sites(AccessSettings(requests_per_second=7))
    assert far.requests_per_second == 7 and near.requests_per_second > 1_000 and near.bytes_per_second > far.bytes_per_second


def test_shares_of_languages() -> None:
    assert math.isclose(published_share(["ita", "eng"]), 0.025282 + 0.434241)
    assert 0.9 < sum(sizes()["language_shares"].values()) < 1
    for languages in ([], ["xyz"], ["it"]):
        with pytest.raises(WebCorpusError, match="no published share"):
            published_share(languages)
