"""Drift of signals: the index, what chance is allowed, what is compared with what."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.web import builds, drift
from corpus.web.drift import COMPARED, STATISTIC, binned, distributions, drift_gate, stability_index
from foundation.stages import StageContext
from foundation.store import BuildRecord

COUNTS = st.lists(st.integers(0, 1000), min_size=2, max_size=10)


def signals(path: Path, documents: int, seed: int, **changed: Callable[[np.ndarray], np.ndarray]) -> Path:
    """A file of signals: log-normal counts, shares of which most are 0 or a beta; some are changed."""
    draw = np.random.default_rng(seed)
    columns: dict[str, np.ndarray] = {}
    for index, name in enumerate(COMPARED):
        values = np.round(draw.lognormal(6, 1, documents)) if name in ("characters", "words", "lines") else draw.beta(2, 5 + index, documents)
        columns[name] = np.where(draw.random(documents) < 0.7, 0.0, values) if index % 3 == 2 else values
    for name, change in changed.items():
        columns[name] = change(columns[name])
    pl.DataFrame(columns).write_parquet(path)
    return path


def record_of(files: list[Path]) -> BuildRecord:
    """Earlier decisions on these signals."""
    statistics = {STATISTIC: distributions(files)}
    return BuildRecord("f" * 32, "decisions", "EARLIER", "v" * 16, "v" * 16, {}, (), statistics, {}, "p", "r", "2026-01-01T00:00:00", 1.0, {})


@given(old=COUNTS, data=st.data())
def test_the_index_is_zero_for_equal_shares_and_grows_with_distance(old: list[int], data: st.DataObject) -> None:
    new = data.draw(st.lists(st.integers(0, 1000), min_size=len(old), max_size=len(old)))
    index = stability_index(np.array(old), np.array(new))
    assert index >= 0 and math.isclose(index, stability_index(np.array(new), np.array(old)), abs_tol=1e-12)
    assert stability_index(np.array(old), np.array(old)) == 0


def test_the_index_is_that_of_the_formula() -> None:
    old, new = np.array([500, 300, 200]), np.array([200, 300, 500])
    before, after = (old + 0.5) / 1001.5, (new + 0.5) / 1001.5
    assert stability_index(old, new) == pytest.approx(sum((q - p) * math.log(q / p) for p, q in zip(before, after, strict=True)))
    assert stability_index(old, new) == pytest.approx(0.6 * math.log(2.5), rel=0.01)


def test_every_value_has_a_bin_and_deciles_hold_a_tenth(tmp_path: Path) -> None:
    file = signals(tmp_path / "a.parquet", 5_000, 1)
    for signal, found in distributions([file]).items():
        assert sum(found["documents"]) == 5_000, signal
        if signal in ("characters", "mean_word_length"):
            assert len(found["documents"]) == 10 and max(found["documents"]) < 600
    assert binned(np.array([0.0, 1.0, 1.5, 9.0]), np.array([1.0, 2.0])).tolist() == [2, 1, 1]


def test_two_samples_of_one_population_pass_and_a_shift_does_not(tmp_path: Path) -> None:
    earlier = record_of([signals(tmp_path / "a.parquet", 2_000, 1)])
    gate, found = drift_gate(earlier, [signals(tmp_path / "b.parquet", 3_000, 2)], 0.25)
    assert gate.passed and isinstance(gate.value, float) and 0 < gate.value < 0.05 and len(found) == len(COMPARED)
    moved = signals(tmp_path / "c.parquet", 3_000, 2, words=lambda values: values * 3, digit_share=lambda values: np.minimum(values + 0.2, 1))
    gate, found = drift_gate(earlier, [moved], 0.25)
    assert not gate.passed and gate.value > 0.25 and gate.threshold == 0.25
    assert "decisions[EARLIER]@vvvv" in gate.description and "words" in gate.description and "digit_share" in gate.description
    assert {drift.drift_rows(found)[index]["signal"] for index in (0, 1)} == {"words", "digit_share"}


def test_few_documents_are_allowed_what_chance_does(tmp_path: Path) -> None:
    """Of samples of 40 documents of one population hardly any fails, though their indices go beyond a quarter."""
    beyond = 0
    for seed in range(20):
        earlier = record_of([signals(tmp_path / "a.parquet", 40, 100 + seed)])
        gate, _ = drift_gate(earlier, [signals(tmp_path / "b.parquet", 40, 200 + seed)], 0.25)
        assert gate.passed, gate
        beyond += isinstance(gate.value, float) and gate.value > 0.25
    assert beyond > 10, "else the allowance is not what lets them pass"


def test_nothing_to_compare_with_passes_and_says_so(tmp_path: Path) -> None:
    gate, found = drift_gate(None, [signals(tmp_path / "a.parquet", 10, 1)], 0.25)
    assert gate.passed and gate.value is None and "no earlier decisions" in gate.description and found == []


def test_signals_without_values_are_left_out(tmp_path: Path) -> None:
    file = signals(tmp_path / "a.parquet", 10, 1)
    pl.read_parquet(file).with_columns(bad_word_share=pl.lit(None, pl.Float64)).write_parquet(file)
    assert "bad_word_share" not in distributions([file]) and "words" in distributions([file])


@pytest.mark.parametrize(
    ("partition", "passed", "expected"),
    [
        ("C", {"A", "B", "C", "D"}, "C"),
        ("C", {"A", "B", "D"}, "B"),
        ("C", {"A"}, "A"),
        ("C", {"D"}, None),  # a later snapshot is none to go by
        ("A", {"B"}, None),
    ],
)
def test_decisions_are_compared_with_their_own_snapshot_or_the_one_before(partition: str, passed: set[str], expected: str | None) -> None:
    context = SimpleNamespace(partition=partition, snapshots=("A", "B", "C", "D"), last_passed=lambda name: name if name in passed else None)
    assert builds._compared_with(cast(StageContext, context)) == expected
