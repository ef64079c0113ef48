"""Official metrics as sums over items, so that a score, its subsets and its bootstrap all come from the same counts.

Every item gives an array of shape (classes, 3): true positives, false positives, false negatives. A metric turns the
sum over items into a number in [0, 1]. A failed answer (``None``) adds false negatives only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Count = Callable[[Mapping[str, Any], Any, Any], np.ndarray]
"""``count(fields, gold, prediction)``; the prediction of a failed answer is ``None``."""


@dataclass(frozen=True)
class Metric:
    """A metric's name, its counts per item and the number they give."""

    name: str
    count: Count
    value: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Interval:
    """A score with its percentile bootstrap interval."""

    score: float
    low: float
    high: float


def mean_f1(counts: np.ndarray) -> np.ndarray:
    """Unweighted mean of the classes' F1, over classes that occur in gold or in answers; counts (…, classes, 3)."""
    true, false, missed = counts[..., 0], counts[..., 1], counts[..., 2]
    total = 2 * true + false + missed
    scores = np.divide(2 * true, total, out=np.zeros(total.shape), where=total > 0)
    occurring = (total > 0).sum(axis=-1)
    return np.divide(scores.sum(axis=-1), occurring, out=np.zeros(occurring.shape), where=occurring > 0)


def share_of_hits(counts: np.ndarray) -> np.ndarray:
    """Accuracy: hits over items; counts (…, 1, 3)."""
    hits, total = counts[..., 0, 0], counts[..., 0, 0] + counts[..., 0, 2]
    return np.divide(hits, total, out=np.zeros(np.shape(total)), where=total > 0)


def class_counts(names: Sequence[Any]) -> Count:
    """Counts of one-label classification."""
    place = {name: index for index, name in enumerate(names)}

    def count(_fields: Mapping[str, Any], gold: Any, prediction: Any) -> np.ndarray:
        counts = np.zeros((len(place), 3))
        if gold == prediction:
            counts[place[gold], 0] = 1
        else:
            counts[place[gold], 2] = 1
            if prediction is not None:
                counts[place[prediction], 1] = 1
        return counts

    return count


def hit_counts(_fields: Mapping[str, Any], gold: Any, prediction: Any) -> np.ndarray:
    """Counts of accuracy."""
    hit = float(gold == prediction)
    return np.array([[hit, 0.0, 1.0 - hit]])


ACCURACY = Metric("accuracy", hit_counts, share_of_hits)


def interval(
    metric: Metric, counts: np.ndarray, groups: Sequence[str], *, resamples: int, confidence: float, seed: int
) -> Interval:
    """The score of items and its interval: percentile bootstrap over whole groups (Efron and Tibshirani 1993, ch. 13).

    Args:
        metric: gives the number.
        counts: shape (items, classes, 3).
        groups: the items' groups; items of one group are drawn together, since they are not independent.
        resamples: how many bootstrap samples.
        confidence: for instance 0.95.
        seed: of the resampling.
    """
    score = float(metric.value(counts.sum(axis=0)))
    _, places = np.unique(np.asarray(groups), return_inverse=True)
    clusters = int(places.max()) + 1
    sums = np.zeros((clusters, *counts.shape[1:]))
    np.add.at(sums, places, counts)
    flat = sums.reshape(clusters, -1)
    generator = np.random.default_rng(seed)
    values = np.empty(resamples)
    shares = np.full(clusters, 1.0 / clusters)
    for start in range(0, resamples, 100):  # 100 rows of weights at a time keep memory small for large test sets
        weights = generator.multinomial(clusters, shares, size=min(100, resamples - start))
        values[start : start + len(weights)] = metric.value((weights @ flat).reshape(len(weights), *counts.shape[1:]))
    tail = (1.0 - confidence) / 2
    low, high = np.quantile(values, [tail, 1.0 - tail])
    return Interval(score, float(low), float(high))
