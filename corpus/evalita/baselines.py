"""Trivial baselines: what a score has to beat before it says anything."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from corpus.evalita.task import Baseline, Item, Label, Predictor


def _keyed(items: Sequence[Item]) -> tuple[Counter[str], dict[str, Label]]:
    labels = {json.dumps(item.label, ensure_ascii=False): item.label for item in items}
    return Counter(json.dumps(item.label, ensure_ascii=False) for item in items), labels


def _majority(items: Sequence[Item]) -> Predictor:
    counts, labels = _keyed(items)
    if not counts:
        return lambda _fields: None
    best = labels[min(counts, key=lambda key: (-counts[key], key))]
    return lambda _fields: best


def _random(items: Sequence[Item]) -> Predictor:
    _, labels = _keyed(items)
    if not labels:
        return lambda _fields: None
    names = sorted(labels)

    def answer(fields: Mapping[str, Any]) -> Label:
        drawn = hashlib.sha256(json.dumps(dict(fields), ensure_ascii=False, sort_keys=True).encode()).digest()
        return labels[names[int.from_bytes(drawn[:8], "big") % len(names)]]

    return answer


MAJORITY = Baseline("most frequent training label", _majority)
"""Always the most frequent training label; of equals, the first in sorted order."""
RANDOM = Baseline("random training label", _random)
"""Each label of training with the same chance, by a hash of the item."""


def constant(name: str, label: Label) -> Baseline:
    """Always one value."""
    return Baseline(name, lambda _items: lambda _fields: label)


def mean_number(pick: Callable[[Label], Sequence[float]] | None = None) -> Baseline:
    """The mean of the training labels; of each of their numbers, where ``pick`` gives several."""

    def learn(items: Sequence[Item]) -> Predictor:
        if not items:
            return lambda _fields: None
        columns = list(zip(*(pick(item.label) if pick else (item.label,) for item in items), strict=True))
        means = [sum(column) / len(column) for column in columns]
        return lambda _fields: means if pick else means[0]

    return Baseline("mean of the training labels", learn)


def words(text: str) -> set[str]:
    """Distinct words of a text, without case."""
    return set(re.findall(r"\w+", text.casefold()))


def overlap(first: str, second: str) -> float:
    """Jaccard similarity of two texts' words."""
    one, other = words(first), words(second)
    return len(one & other) / len(one | other) if one | other else 0.0


def word_overlap(texts: Callable[[Mapping[str, Any]], Sequence[str]], low: float, high: float) -> Baseline:
    """Similarity of neighbouring texts by their words, on the scale of the labels.

    DisCoTEX's own baseline compares one-hot vectors of neighbouring sentences in the same way (its README).
    """

    def predict(fields: Mapping[str, Any]) -> float:
        parts = texts(fields)
        shares = [overlap(before, after) for before, after in pairwise(parts)] or [0.0]
        return low + (high - low) * sum(shares) / len(shares)

    return Baseline("shared words of neighbouring texts", lambda _items: predict)
