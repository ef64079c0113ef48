"""Byte ranges: every record once, within the budget of bytes, and as few requests as it can buy."""

from __future__ import annotations

import math
import random
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.web.crawl.costs import joined
from corpus.web.crawl.ranges import FetchRange, RecordPlace, coalesce
from corpus.web.errors import WebCorpusError

layouts = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 3_000), st.integers(1, 500)), max_size=40)


def records_of(layout: list[tuple[str, int, int]]) -> list[RecordPlace]:
    """Records that lie apart, in order, from paths, gaps and lengths."""
    records, reach = [], {"a": 0, "b": 0}
    for path, gap, length in layout:
        records.append(RecordPlace(path, reach[path] + gap, length))
        reach[path] += gap + length
    return sorted(records, key=lambda record: (record.path, record.offset))


@settings(max_examples=300, deadline=None)
@given(layout=layouts, max_gap=st.integers(0, 4_000), max_bytes=st.integers(1, 9_000), max_overhead=st.floats(1, 3))
def test_every_record_once_within_the_bounds(layout: list[tuple[str, int, int]], max_gap: int, max_bytes: int, max_overhead: float) -> None:
    records = records_of(layout)
    ranges = list(coalesce(records, max_gap, max_bytes, max_overhead))
    covered = [RecordPlace(part.path, offset, length) for part in ranges for offset, length in part.records]
    assert covered == records
    for part in ranges:
        assert part.start == part.records[0][0] and part.start + part.length == part.records[-1][0] + part.records[-1][1]
        assert part.length <= max_bytes or len(part.records) == 1
        for (offset, length), (following, _) in pairwise(part.records):
            assert following - offset - length <= max_gap
    for one, other in pairwise(ranges):
        assert one.path < other.path or one.start + one.length <= other.start
    for path in "ab":
        wanted = sum(record.length for record in records if record.path == path)
        assert sum(part.length for part in ranges if part.path == path) <= wanted * max_overhead


@settings(max_examples=100, deadline=None)
@given(
    layout=st.lists(st.tuples(st.just("a"), st.integers(0, 300), st.integers(1, 500)), min_size=1, max_size=9),
    max_overhead=st.floats(1, 2),
)
def test_no_other_choice_of_gaps_needs_fewer_requests(layout: list[tuple[str, int, int]], max_overhead: float) -> None:
    records = records_of(layout)
    gaps = [after.offset - before.offset - before.length for before, after in pairwise(records)]
    budget = int(sum(record.length for record in records) * (max_overhead - 1))
    best = max(size for size in range(len(gaps) + 1) if any(sum(chosen) <= budget for chosen in combinations(gaps, size)))
    assert len(list(coalesce(records, max_overhead=max_overhead))) == len(records) - best


@settings(max_examples=100, deadline=None)
@given(places=st.dictionaries(st.integers(0, 2_000), st.integers(1, 500), min_size=1, max_size=20), max_bytes=st.integers(1, 600))
def test_overlapping_records_of_a_broken_index_are_fetched_once(places: dict[int, int], max_bytes: int) -> None:
    records = [RecordPlace("a", offset, length) for offset, length in sorted(places.items())]
    content = random.Random(0).randbytes(3_000)
    ranges = list(coalesce(records, 0, max_bytes))
    assert sum(part.length for part in ranges) == len({byte for offset, length in places.items() for byte in range(offset, offset + length)})
    cut = [piece for part in ranges for piece in part.cut(content[part.start : part.start + part.length])]
    assert cut == [(record.offset, content[record.offset : record.offset + record.length]) for record in records]


def test_what_is_wrong_is_named() -> None:
    first, second = RecordPlace("b", 0, 5), RecordPlace("a", 9, 5)
    with pytest.raises(WebCorpusError, match="records of a come after those of b"):
        list(coalesce([first, second]))
    with pytest.raises(WebCorpusError, match="each once"):
        list(coalesce([first, first]))
    with pytest.raises(WebCorpusError, match="of 0 bytes"):
        list(coalesce([RecordPlace("a", 9, 0)]))
    with pytest.raises(WebCorpusError, match="max_overhead"):
        list(coalesce([first], max_overhead=0.9))
    with pytest.raises(WebCorpusError, match="shorter than its index says"):
        list(FetchRange("a", 0, 5, ((0, 5),)).cut(b"1234"))


@pytest.mark.parametrize("density", [0.01, 0.025, 0.1, 0.45])
def test_the_estimate_for_the_plan_is_what_coalescing_does(density: float) -> None:
    chance = random.Random(7)
    size = 10_000
    records = [RecordPlace("a", number * size, size) for number in range(60_000) if chance.random() < density]
    ranges = list(coalesce(records))
    expected, expected_bytes = joined(density, size, size)
    assert math.isclose(len(ranges) / len(records), expected, rel_tol=0.03)
    assert math.isclose(sum(part.length for part in ranges) / len(records), expected_bytes, rel_tol=0.03)
