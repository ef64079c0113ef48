"""The content digest depends on values, types and order alone."""

from __future__ import annotations

import datetime
import itertools

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.store.digest import BLOCK_ROWS, TableDigest

SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("text", pa.string()),
        ("score", pa.float64()),
        ("kept", pa.bool_()),
        ("at", pa.timestamp("us", tz="UTC")),
        ("spans", pa.list_(pa.struct([("start", pa.int32()), ("label", pa.string())]))),
    ]
)
TIMES = st.datetimes(datetime.datetime(1990, 1, 1), datetime.datetime(2030, 1, 1)).map(
    lambda time: time.replace(tzinfo=datetime.UTC)
)
ROW = st.fixed_dictionaries(
    {
        "id": st.integers(-(2**60), 2**60),
        "text": st.none() | st.text(max_size=12),
        "score": st.none() | st.floats(allow_nan=False),
        "kept": st.none() | st.booleans(),
        "at": st.none() | TIMES,
        "spans": st.none()
        | st.lists(
            st.none() | st.fixed_dictionaries({"start": st.none() | st.integers(0, 99), "label": st.none() | st.text(max_size=3)}),
            max_size=3,
        ),
    }
)


def digest(table: pa.Table) -> str:
    running = TableDigest(SCHEMA)
    for start in range(0, table.num_rows, BLOCK_ROWS):
        running.update(table.slice(start, BLOCK_ROWS))
    return running.hexdigest()


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(ROW, max_size=25), cuts=st.lists(st.integers(0, 25), max_size=3))
def test_same_values_in_other_containers_have_one_digest(rows: list[dict], cuts: list[int], tmp_path_factory) -> None:
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    bounds = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    chunked = pa.concat_tables([table.slice(a, b - a) for a, b in itertools.pairwise(bounds)])
    path = tmp_path_factory.mktemp("digest") / "t.parquet"
    pq.write_table(chunked, path, row_group_size=3, compression="none", use_dictionary=True)
    assert digest(chunked) == digest(table)
    assert digest(pq.read_table(path)) == digest(table)
    assert digest(pl.read_parquet(path).to_arrow()) == digest(table)
    assert digest(pa.concat_tables([table.slice(1), table.slice(0, 0)])) == digest(pa.Table.from_pylist(rows[1:], schema=SCHEMA))


@settings(max_examples=100, deadline=None)
@given(first=st.lists(ROW, max_size=6), second=st.lists(ROW, max_size=6))
def test_other_values_have_another_digest(first: list[dict], second: list[dict]) -> None:
    one, two = (pa.Table.from_pylist(rows, schema=SCHEMA) for rows in (first, second))
    assert (digest(one) == digest(two)) == one.equals(two) or _differ_in_zero_sign(first, second)


def _differ_in_zero_sign(first: list[dict], second: list[dict]) -> bool:
    return first == second  # Python holds -0.0 == 0.0, as the digest does


def test_boundaries_between_values_count() -> None:
    schema = pa.schema([("text", pa.string())])
    digests = set()
    for texts in (["ab", "c"], ["a", "bc"], ["abc", ""], ["abc", None], ["abc"]):
        running = TableDigest(schema)
        running.update(pa.table({"text": pa.array(texts, pa.string())}))
        digests.add(running.hexdigest())
    assert len(digests) == 5


def test_nulls_over_garbage_are_one_value() -> None:
    schema = pa.schema([("n", pa.int32())])
    values = pa.array([1, 2, 3], pa.int32())
    masked = pa.Array.from_buffers(pa.int32(), 3, [pa.py_buffer(b"\x05"), values.buffers()[1]])  # the 2 is hidden
    digests = []
    for array in (masked, pa.array([1, None, 3], pa.int32())):
        running = TableDigest(schema)
        running.update(pa.table({"n": array}))
        digests.append(running.hexdigest())
    assert digests[0] == digests[1]


@pytest.mark.parametrize("rows", [BLOCK_ROWS - 1, BLOCK_ROWS, BLOCK_ROWS + 1])
def test_the_last_block_may_be_short_and_no_other(rows: int) -> None:
    running = TableDigest(pa.schema([("n", pa.int64())]))
    table = pa.table({"n": list(range(rows))})
    for start in range(0, rows, BLOCK_ROWS):
        running.update(table.slice(start, BLOCK_ROWS))
    if rows % BLOCK_ROWS:
        with pytest.raises(Exception, match="only the last block"):
            running.update(table.slice(0, 1))
