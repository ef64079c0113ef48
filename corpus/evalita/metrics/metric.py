"""What a metric is, and its bootstrap interval.

A metric gathers *evidence* of each item (an array), and gives the number that a weighted set of items has. A bootstrap
sample is the same items with other weights, so that score, subsets and intervals come from one definition.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Evidence = Callable[[Mapping[str, Any], Any, Any], np.ndarray]
"""``evidence(fields, gold, prediction)`` of one item; the prediction of a failed answer is ``None``, the worst there is."""
Value = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""``value(evidence, weights)``: evidence of shape (items, …), weights of shape (samples, items), one number a sample."""


@dataclass(frozen=True)
class Metric:
    """A metric of a task.

    ``optimum`` is what gold answers reach. ``unverified`` says why it may not be the organisers' own; empty where their
    script or guidelines were read.
    """

    name: str
    evidence: Evidence
    value: Value
    higher_is_better: bool = True
    optimum: float = 1.0
    unverified: str = ""

    def score(self, evidence: np.ndarray) -> float:
        """The number of all items together."""
        return float(self.value(evidence, np.ones((1, len(evidence))))[0])


@dataclass(frozen=True)
class Interval:
    """A score with its percentile bootstrap interval."""

    score: float
    low: float
    high: float


def of_sums(value: Callable[[np.ndarray], np.ndarray]) -> Value:
    """The value of a metric that needs no more than the sum of its evidence; ``value`` gets sums of shape (samples, …)."""

    def weighted(evidence: np.ndarray, weights: np.ndarray) -> np.ndarray:
        sums = weights @ evidence.reshape(len(evidence), -1)
        return value(sums.reshape(len(weights), *evidence.shape[1:]))

    return weighted


def mean_of_items(sums: np.ndarray) -> np.ndarray:
    """Mean of a number over items; evidence is (number, 1)."""
    return np.divide(sums[..., 0], sums[..., 1], out=np.zeros(sums.shape[:-1]), where=sums[..., 1] > 0)


def interval(metric: Metric, evidence: np.ndarray, groups: Sequence[str], *, resamples: int, confidence: float, seed: int) -> Interval:
    """The score of items and its interval: percentile bootstrap over whole groups (Efron and Tibshirani 1993, ch. 13).

    Args:
        metric: gives the number.
        evidence: shape (items, …).
        groups: the items' groups; items of one group are drawn together, since they are not independent.
        resamples: how many bootstrap samples.
        confidence: for instance 0.95.
        seed: of the resampling.
    """
    _, places = np.unique(np.asarray(groups), return_inverse=True)
    clusters = int(places.max()) + 1
    generator = np.random.default_rng(seed)
    values = np.empty(resamples)
    shares = np.full(clusters, 1.0 / clusters)
    for start in range(0, resamples, 100):  # 100 rows of weights at a time keep memory small for large test sets
        drawn = generator.multinomial(clusters, shares, size=min(100, resamples - start))
        values[start : start + len(drawn)] = metric.value(evidence, drawn[:, places].astype(float))
    tail = (1.0 - confidence) / 2
    low, high = np.quantile(values, [tail, 1.0 - tail])
    return Interval(metric.score(evidence), float(low), float(high))
