"""The engine that changes nothing: for tests of everything around an engine, and where no engine can be had."""

from __future__ import annotations

from collections.abc import Sequence

from translation.engines.engine import EngineChoice, Translation, in_slices

IDENTITY = EngineChoice(kind="identity", package="identity 1", parameters=(), deterministic=True)
"""The only choice of this engine."""


class IdentityEngine:
    """Gives back what it gets."""

    def batches(self, sentences: Sequence[str]) -> list[list[str]]:
        return in_slices(sentences, 10_000)

    def lengths(self, sentences: Sequence[str]) -> list[int]:
        return [0] * len(sentences)

    def translate(self, sentences: Sequence[str]) -> list[Translation]:
        return [Translation(sentence) for sentence in sentences]
