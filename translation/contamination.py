"""Contamination: which benchmarks a translated row shares text with.

Belongs here: the one place where this workshop meets the n-gram index of ``foundation.language.overlap``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from foundation.language.overlap import OverlapIndex


def benchmark_index(items: Iterable[tuple[str, str, str]], ngram: int) -> OverlapIndex:
    """An index over (benchmark, item id, text) of test items, by word n-grams."""
    from foundation.language.overlap import OverlapIndex

    return OverlapIndex.build(items, ngram)


def overlapping_benchmarks(texts: Sequence[str], index: OverlapIndex) -> list[str]:
    """Names of the benchmarks that any of the texts shares an n-gram with, sorted."""
    return sorted({overlap.benchmark for text in texts for overlap in index.find(text)})
