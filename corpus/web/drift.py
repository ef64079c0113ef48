"""Drift: how far the distribution of each signal has moved since the last decisions that passed.

The measure is the population stability index over the deciles of the earlier distribution,
``sum((new - old) * ln(new / old))`` of the shares of each bin (Siddiqi 2006, Credit Risk Scorecards, chapter 6: below 0.1 no
shift worth a look, above 0.25 another population); it is the sum of both Kullback-Leibler divergences (Kullback and Leibler
1951). Without any shift it is, of N and M documents in B bins, about (1/N + 1/M) times a chi-squared variable of B - 1
degrees (Yurdakul and Naranjo 2020, Statistical properties of the population stability index, Journal of Risk Model Validation
14(4)): small snapshots are allowed what chance does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from corpus.web.signals import SHARES
from foundation.store import BuildRecord, GateResult

COMPARED = ("characters", "words", "lines", *SHARES)
"""Signals whose distributions are compared."""
BINS = 10
CHANCE = 0.001
"""Probability, over all signals together, that chance alone exceeds what it is allowed."""
STATISTIC = "signal_distributions"
GATE = "signal_drift"
_HALF = 0.5
"""Added to the count of every bin, so that an empty one has a logarithm (Haldane 1956; Anscombe 1956)."""


@dataclass(frozen=True)
class Drift:
    """One signal's index, and how much of it chance may do."""

    signal: str
    index: float
    by_chance: float


def distributions(files: Sequence[Path]) -> dict[str, dict[str, list[float] | list[int]]]:
    """Of every compared signal the inner edges between its deciles and the documents in each bin; signals without values are left out.

    One column is in memory at a time.
    """
    found: dict[str, dict[str, list[float] | list[int]]] = {}
    for signal in COMPARED:
        values = _values(files, signal)
        if len(values):
            edges = np.unique(np.round(np.quantile(values, np.arange(1, BINS) / BINS, method="higher"), 6))
            found[signal] = {"edges": [float(edge) for edge in edges], "documents": binned(values, edges).tolist()}
    return found


def drifts(earlier: Mapping[str, Mapping[str, Sequence[float]]], files: Sequence[Path]) -> list[Drift]:
    """The index of every signal that both have, largest excess over chance first."""
    found = []
    for signal in COMPARED:
        if signal not in earlier:
            continue
        values = _values(files, signal)
        if len(values):
            old = np.asarray(earlier[signal]["documents"], dtype=float)
            new = binned(values, np.asarray(earlier[signal]["edges"], dtype=float))
            found.append(Drift(signal, stability_index(old, new), allowed_by_chance(old, new, len(earlier))))
    return sorted(found, key=lambda drift: (drift.by_chance - drift.index, drift.signal))


def binned(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Values in each of the bins that the edges part; a value on an edge belongs below it."""
    return np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)


def stability_index(old: np.ndarray, new: np.ndarray) -> float:
    """The population stability index of two counts over the same bins."""
    before, after = ((counts + _HALF) / (counts + _HALF).sum() for counts in (old, new))
    return float(((after - before) * np.log(after / before)).sum())


def allowed_by_chance(old: np.ndarray, new: np.ndarray, signals: int) -> float:
    """What the index of two samples of one population exceeds with probability ``CHANCE`` in any of so many signals."""
    from scipy.stats import chi2

    degrees = len(old) - 1
    if not degrees:
        return 0.0
    return float(chi2.ppf(1 - CHANCE / max(signals, 1), degrees) * (1 / old.sum() + 1 / new.sum()))


def drift_gate(earlier: BuildRecord | None, files: Sequence[Path], largest: float) -> tuple[GateResult, list[Drift]]:
    """The gate, and all drifts; it passes where there is nothing to compare with.

    Args:
        earlier: the decisions compared with; None: there are none that passed.
        files: the signals of now.
        largest: the index that a signal may reach.
    """
    before = (earlier.statistics.get(STATISTIC) if earlier is not None else None) or {}
    found = drifts(before, files)
    if earlier is None or not found:
        return GateResult(GATE, True, None, largest, "population stability index; there are no earlier decisions that passed to compare with"), []
    beyond = [drift for drift in found if drift.index > max(largest, drift.by_chance)]
    worst = max(beyond or found, key=lambda drift: (drift.index, drift.signal))
    others = ", ".join(f"{drift.signal} {drift.index:.3f}" for drift in beyond if drift is not worst)
    of = earlier.asset if earlier.partition is None else f"{earlier.asset}[{earlier.partition}]"
    said = f"population stability index of {worst.signal}, the largest of {len(found)} signals, against {of}@{earlier.version}"
    if not beyond and worst.index > largest:
        said += f"; chance alone may make {worst.by_chance:.3f} of so few documents"
    return GateResult(GATE, not beyond, round(worst.index, 6), largest, said + (f"; beyond it too: {others}" if others else "")), found


def drift_rows(found: Sequence[Drift], shown: int = 12) -> list[dict[str, Any]]:
    """The largest indices as rows of a table."""
    largest = sorted(found, key=lambda drift: (-drift.index, drift.signal))[:shown]
    return [{"signal": drift.signal, "stability index": round(drift.index, 4), "by chance up to": round(drift.by_chance, 4)} for drift in largest]


def _values(files: Sequence[Path], signal: str) -> np.ndarray:
    """A signal's values, without those that are null or no numbers."""
    column = pl.scan_parquet(list(files), glob=False).select(pl.col(signal).cast(pl.Float64)).collect().to_series().drop_nulls()
    return column.filter(column.is_finite()).to_numpy()
