"""F1 and accuracy from counts of true positives, false positives and false negatives: evidence of shape (classes, 3).

A failed answer adds false negatives only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from corpus.evalita.metrics.metric import Evidence, Metric, of_sums


def class_counts(names: Sequence[Any]) -> Evidence:
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


def label_counts(names: Sequence[str]) -> Evidence:
    """Counts of a set of labels: each one is there or not."""

    def count(_fields: Mapping[str, Any], gold: Sequence[str], prediction: Sequence[str] | None) -> np.ndarray:
        given = prediction or ()
        return np.array([[name in gold and name in given, name not in gold and name in given, name in gold and name not in given] for name in names], dtype=float)

    return count


def hit_counts(_fields: Mapping[str, Any], gold: Any, prediction: Any) -> np.ndarray:
    """Counts of accuracy."""
    hit = float(gold == prediction)
    return np.array([[hit, 0.0, 1.0 - hit]])


def mean_f1(counts: np.ndarray) -> np.ndarray:
    """Unweighted mean of the classes' F1, over classes that occur in gold or in answers; counts (…, classes, 3)."""
    scores, occurs = _f1(counts)
    occurring = occurs.sum(axis=-1)
    return np.divide(scores.sum(axis=-1), occurring, out=np.zeros(occurring.shape), where=occurring > 0)


def weighted_f1(counts: np.ndarray) -> np.ndarray:
    """Mean of the classes' F1, weighted by how often a class is gold; counts (…, classes, 3)."""
    scores, _ = _f1(counts)
    support = counts[..., 0] + counts[..., 2]
    total = support.sum(axis=-1)
    return np.divide((scores * support).sum(axis=-1), total, out=np.zeros(total.shape), where=total > 0)


def mean_f1_of_fields(fields: int) -> Callable[[np.ndarray], np.ndarray]:
    """Mean over fields of their ``mean_f1``; counts (…, fields × classes, 3), the classes of a field together."""

    def value(counts: np.ndarray) -> np.ndarray:
        return mean_f1(counts.reshape(*counts.shape[:-2], fields, -1, 3)).mean(axis=-1)

    return value


def _f1(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    true, false, missed = counts[..., 0], counts[..., 1], counts[..., 2]
    total = 2 * true + false + missed
    return np.divide(2 * true, total, out=np.zeros(total.shape), where=total > 0), total > 0


def share_of_hits(counts: np.ndarray) -> np.ndarray:
    """Accuracy: hits over items; counts (…, 1, 3)."""
    hits, total = counts[..., 0, 0], counts[..., 0, 0] + counts[..., 0, 2]
    return np.divide(hits, total, out=np.zeros(np.shape(total)), where=total > 0)


def macro_f1(classes: Sequence[Any], name: str = "macro_f1", unverified: str = "") -> Metric:
    """Unweighted mean of the classes' F1."""
    return Metric(name, class_counts(classes), of_sums(mean_f1), unverified=unverified)


def accuracy(unverified: str = "") -> Metric:
    """Share of right answers."""
    return Metric("accuracy", hit_counts, of_sums(share_of_hits), unverified=unverified)
