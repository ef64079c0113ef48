"""Rehydration: how often a kept document is repeated in training, by the size of its cluster (FineWeb-2, arXiv 2506.20920)."""

from __future__ import annotations

import bisect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from corpus.web.errors import WebCorpusError


@dataclass(frozen=True, slots=True)
class Weights:
    """Repetitions by cluster size: those of the largest of ``sizes``, which ascend from 1, that is not above the cluster's."""

    sizes: tuple[int, ...] = (1,)
    repetitions: tuple[int, ...] = (1,)

    @classmethod
    def of(cls, given: Path | Mapping[int, int] | None) -> Weights:
        """Weights out of a file, a mapping of sizes to repetitions, or none: every document once.

        Raises:
            WebCorpusError: no weights are in it, size 1 has none, or a number is not a whole one of at least 1.
        """
        if given is None:
            return cls()
        weights = _read(given) if isinstance(given, Path) else given
        numbers = [*weights, *weights.values()]
        if 1 not in weights or any(isinstance(number, bool) or not isinstance(number, int) or number < 1 for number in numbers):
            raise WebCorpusError(
                f"{given}: weights of rehydration are whole repetitions by whole cluster size, both at least 1, and size 1 must have some; "
                f"they are {dict(weights)}"
            )
        sizes = tuple(sorted(weights))
        return cls(sizes, tuple(weights[size] for size in sizes))


def repetitions(cluster_size: int, weights: Weights) -> int:
    """How often the one document that is kept of a cluster of this size is to be trained on; at least once."""
    return weights.repetitions[max(bisect.bisect_right(weights.sizes, cluster_size), 1) - 1]


def _read(path: Path) -> Mapping[int, int]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        weights = document["weights"]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError) as error:
        raise WebCorpusError(f"{path} is no file of rehydration weights ({error!r}); see profiles/rehydration") from error
    if not isinstance(weights, dict):
        raise WebCorpusError(f"{path}: `weights` must map cluster sizes to repetitions; see profiles/rehydration")
    return weights
