"""What every translation engine is: sentences in, translations out, and a full account of what it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

EngineKind = Literal["argos", "apertium", "identity"]


@dataclass(frozen=True, slots=True)
class Translation:
    """One translated sentence.

    ``score`` is the engine's own (for Argos the length-normalised log-probability), None where it has none.
    ``truncated``: the output reached the engine's limit. ``unknown_words``: words the engine left as they were.
    """

    text: str
    score: float | None = None
    truncated: bool = False
    unknown_words: int = 0


class Engine(Protocol):
    """An opened engine. Translations depend on the sequence of sentences alone, never on time or machine load."""

    def translate(self, sentences: Sequence[str]) -> list[Translation]:
        """One translation for each sentence, in order; sentences hold no line ends."""
        ...


@dataclass(frozen=True)
class EngineChoice:
    """An engine that was chosen and whose files are here; workers open it by themselves.

    ``package`` names what shapes the translations, with sha256; ``parameters`` are the decoding parameters that do.
    ``location`` and ``run_parameters`` say where files lie and how to run: they never enter rows or fingerprints.
    """

    kind: EngineKind
    package: str
    parameters: tuple[tuple[str, str | int | float], ...]
    deterministic: bool
    location: str = ""
    run_parameters: tuple[tuple[str, str | int], ...] = ()
    note: str = ""
