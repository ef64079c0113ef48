"""Intervals of bits per byte by resampling documents.

Percentile bootstrap over whole documents (Efron and Tibshirani 1993, An introduction to the bootstrap, ch. 13), 95 %. Tokens of a
document are not independent, so that documents are drawn, never tokens. Changes are paired: both models are scored on the same drawn
documents, so that what makes one document harder than another for both cancels out (Koehn 2004, EMNLP, section 3.3).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from training.errors import TrainingError

if TYPE_CHECKING:
    import numpy as np

CONFIDENCE = 0.95
_AT_ONCE = 200


class DocumentScore(NamedTuple):
    """What a model needs for one document: negative log-likelihood in nats, over UTF-8 bytes."""

    nats: float
    bytes: int


class Estimate(NamedTuple):
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


def bits_per_byte(scores: Mapping[str, DocumentScore], resamples: int, seed: int) -> Estimate:
    """Bits per byte over all documents, by their keys."""
    import numpy as np

    nats, sizes = _arrays(scores)
    drawn = [(rows @ nats) / (rows @ sizes) for rows in _draws(len(scores), resamples, seed)]
    factor = 1 / math.log(2)
    return _estimate(float(nats.sum() / sizes.sum()) * factor, np.concatenate(drawn) * factor)


def change(scores: Mapping[str, DocumentScore], base: Mapping[str, DocumentScore], resamples: int, seed: int) -> Estimate:
    """Relative change of bits per byte against a base on the same documents; -0.05 is five percent better.

    Raises:
        TrainingError: the two were scored on different documents.
    """
    import numpy as np

    if scores.keys() != base.keys():
        raise TrainingError(f"{len(scores)} and {len(base)} documents are not the same ones; a change can only be told on the same text")
    nats, _ = _arrays(scores)
    before, _ = _arrays(base)
    drawn = [(rows @ nats) / (rows @ before) - 1 for rows in _draws(len(scores), resamples, seed)]
    return _estimate(float(nats.sum() / before.sum()) - 1, np.concatenate(drawn))


def _arrays(scores: Mapping[str, DocumentScore]) -> tuple[np.ndarray, np.ndarray]:
    """Nats and bytes in the order of the documents' keys, so that the order of scoring changes nothing."""
    import numpy as np

    chosen = [scores[key] for key in sorted(scores)]
    return np.array([score.nats for score in chosen]), np.array([score.bytes for score in chosen], dtype=float)


def _draws(documents: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each document is drawn, some samples at a time; the same for every model."""
    import numpy as np

    generator = np.random.default_rng(seed)
    shares = np.full(documents, 1 / documents)
    for start in range(0, resamples, _AT_ONCE):
        yield generator.multinomial(documents, shares, size=min(_AT_ONCE, resamples - start)).astype(float)


def _estimate(value: float, drawn: np.ndarray) -> Estimate:
    import numpy as np

    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Estimate(value, float(low), float(high))
