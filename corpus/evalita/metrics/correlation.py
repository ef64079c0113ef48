"""Correlation of numbers with gold: Pearson, and Spearman as Pearson of average ranks. Evidence is (gold, prediction).

A failed answer counts as the end of the scale that is farther from gold: the worst answer that could have been read.
Where gold or predictions do not vary, a correlation is not defined and counts as 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from corpus.evalita.metrics.metric import Evidence, Metric

ROUNDING = 1e-20
"""Share of a constant's sum of squares that rounding may leave as variance."""


def worst_end(gold: float, low: float, high: float) -> float:
    """The end of a scale that is farther from gold; of equals the lower."""
    return high if high - gold > gold - low else low


def pairs(low: float, high: float, pick: Callable[[Any], float] = float) -> Evidence:
    """Gold and prediction; ``pick`` takes the number out of a label that holds several."""

    def evidence(_fields: Mapping[str, Any], gold: Any, prediction: Any) -> np.ndarray:
        right = pick(gold)
        return np.array([right, worst_end(right, low, high) if prediction is None else pick(prediction)])

    return evidence


def _weighted_pearson(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    total = weights.sum(axis=-1, keepdims=True)
    sides, varies = [], np.ones(len(weights), dtype=bool)
    for values in (x, y):
        centred = values - (weights * values).sum(axis=-1, keepdims=True) / total
        varies &= (weights * centred**2).sum(axis=-1) > ROUNDING * (weights * values**2).sum(axis=-1)
        sides.append(centred)
    first, second = sides
    spread = np.sqrt((weights * first**2).sum(axis=-1) * (weights * second**2).sum(axis=-1))
    return np.divide((weights * first * second).sum(axis=-1), spread, out=np.zeros(spread.shape), where=varies)


def pearson_value(evidence: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Pearson's r of each weighted sample."""
    x, y = (np.broadcast_to(evidence[:, side], weights.shape) for side in (0, 1))
    return _weighted_pearson(x, y, weights)


def spearman_value(evidence: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Spearman's rho of each weighted sample; an item of weight n counts as n equal items."""
    return _weighted_pearson(_ranks(evidence[:, 0], weights), _ranks(evidence[:, 1], weights), weights)


def _ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Average ranks of each sample, shape of the weights."""
    distinct, places = np.unique(values, return_inverse=True)
    member = np.zeros((len(values), len(distinct)))
    member[np.arange(len(values)), places] = 1.0
    count = weights @ member
    ranks = np.cumsum(count, axis=-1) - count + (count + 1) / 2
    return ranks[:, places]


def pearson(low: float, high: float, name: str = "pearson", pick: Callable[[Any], float] = float, unverified: str = "") -> Metric:
    """Pearson's r with gold on a scale."""
    return Metric(name, pairs(low, high, pick), pearson_value, unverified=unverified)


def spearman(low: float, high: float, name: str = "spearman", pick: Callable[[Any], float] = float, unverified: str = "") -> Metric:
    """Spearman's rho with gold on a scale."""
    return Metric(name, pairs(low, high, pick), spearman_value, unverified=unverified)
