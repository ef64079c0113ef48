"""What every translation engine is: batches of sentences in, translations out, and a full account of what it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

EngineKind = Literal["argos", "ctranslate2", "openai", "apertium", "identity"]


@dataclass(frozen=True, slots=True)
class Translation:
    """One translated sentence.

    ``score`` is the mean log-probability of its output tokens, the end token among them; None where the engine tells none.
    ``truncated``: the output reached the engine's limit. ``unknown_words``: words the engine left as they were.
    """

    text: str
    score: float | None = None
    truncated: bool = False
    unknown_words: int = 0


class Engine(Protocol):
    """An opened engine. Translations depend on the sentences of the batch alone, never on time or machine load."""

    def batches(self, sentences: Sequence[str]) -> list[list[str]]:
        """The sentences in the batches that ``translate`` is to get: the units of work that are kept when a run is killed.

        A function of the sequence alone; together the batches hold each sentence as often as it was given.
        """
        ...

    def lengths(self, sentences: Sequence[str]) -> list[int]:
        """Tokens of each sentence, as the engine counts them; 0 where it takes a sentence of any length, or nobody can tell."""
        ...

    def translate(self, sentences: Sequence[str]) -> list[Translation]:
        """One translation for each sentence of a batch, in order; sentences hold no line ends."""
        ...


@dataclass(frozen=True)
class EngineChoice:
    """An engine that was chosen and whose files are here; workers open it by themselves.

    ``package`` names what shapes the translations, with sha256; ``parameters`` are the decoding parameters that do.
    ``independent``: a sentence's translation is the same whatever else is in its batch, so that it is worth keeping for any text.
    ``deterministic``: the same batches give the same translations on any machine.
    ``location`` and ``run_parameters`` say where files lie and how to run: they never enter rows or fingerprints.
    """

    kind: EngineKind
    package: str
    parameters: tuple[tuple[str, str | int | float], ...]
    deterministic: bool
    independent: bool = True
    location: str = ""
    run_parameters: tuple[tuple[str, str | int | float], ...] = ()
    note: str = ""


def in_slices(sentences: Sequence[str], size: int) -> list[list[str]]:
    """Batches of ``size`` sentences in the order given; the last may be shorter."""
    return [list(sentences[start : start + size]) for start in range(0, len(sentences), size)]
