"""Shares with 95 % intervals, as reviews of samples give them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Z = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A share with its 95 % interval."""

    share: float
    low: float
    high: float


def wilson(right: int, judged: int) -> Interval | None:
    """The share of ``right`` with the score interval of Wilson (1927, Probable inference, the law of succession, and statistical
    inference, JASA 22), which stays within 0 and 1 and holds for small numbers; None of nothing."""
    if not judged:
        return None
    share, spread = right / judged, Z * Z / judged
    centre = (share + spread / 2) / (1 + spread)
    half = Z * math.sqrt(share * (1 - share) / judged + spread / (4 * judged)) / (1 + spread)
    return Interval(share, max(centre - half, 0.0) if right else 0.0, min(centre + half, 1.0) if right < judged else 1.0)


def weighted(parts: Sequence[tuple[int, Interval]]) -> Interval | None:
    """The mean of shares by weight. Its interval puts those of the parts together as Zou, Huang and Zhang (2009, A note on confidence
    interval estimation for a linear function of binomial proportions, CSDA 53) do; a part that was all right keeps its doubt so."""
    total = sum(weight for weight, _ in parts)
    if not total:
        return None
    share = sum(weight * part.share for weight, part in parts) / total
    below = math.sqrt(sum((weight / total * (part.share - part.low)) ** 2 for weight, part in parts))
    above = math.sqrt(sum((weight / total * (part.high - part.share)) ** 2 for weight, part in parts))
    return Interval(share, max(share - below, 0.0), min(share + above, 1.0))
