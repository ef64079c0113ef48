"""Scores of an engine on parallel sets: BLEU and chrF as sacrebleu computes them (Post 2018; Popović 2015), with their signatures.

Texts go the way of all texts: segmented, protected, batched, cached. So the scores are those of what is published, not of bare
sentences.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from translation.batches import Effort
from translation.quality.parallel_sets import Pairs
from translation.translate import Translator, translate_texts

RESAMPLES = 500
"""Of the sentences, for the intervals (paired bootstrap's half; Koehn 2004); sacrebleu draws them with a fixed seed."""


@dataclass(frozen=True)
class Score:
    """A corpus score from 0 to 100, half the width of its 95 % interval, and the signature that says how it was computed."""

    value: float
    half_width: float
    signature: str


@dataclass(frozen=True)
class SetScores:
    """An engine on one set. ``lost``: sentences with a protected span that did not come back; ``truncated``: cut at the engine's limit."""

    name: str
    licence: str
    sentences: int
    bleu: Score
    chrf: Score
    lost: int
    truncated: int
    untranslated_share: float
    seconds: float
    cached_share: float
    examples: tuple[tuple[str, str, str], ...]


def score_set(pairs: Pairs, translator: Translator, clock: Callable[[], float] = time.monotonic, examples: int = 5) -> SetScores:
    """Translate a set and compare.

    Args:
        pairs: the set.
        translator: engine, rules and cache.
        clock: seconds; for the speed.
        examples: source, reference and translation of so many sentences, evenly spread.

    Raises:
        EngineError: the engine cannot be used.
    """
    began, effort = clock(), Effort()
    translated = translate_texts(pairs.sources, translator, effort)
    seconds = clock() - began
    outputs = [text.text for text in translated]
    step = max(len(outputs) // max(examples, 1), 1)
    words = sum(text.words for text in translated)
    return SetScores(
        pairs.name,
        pairs.licence,
        len(outputs),
        bleu(outputs, pairs.references),
        chrf(outputs, pairs.references),
        sum(text.spans_lost for text in translated),
        sum(text.truncated for text in translated),
        sum(text.untranslated_words for text in translated) / words if words else 0.0,
        seconds,
        effort.cached / effort.sentences if effort.sentences else 0.0,
        tuple((pairs.sources[index], pairs.references[index], outputs[index]) for index in range(0, len(outputs), step))[:examples],
    )


def bleu(outputs: Sequence[str], references: Sequence[str]) -> Score:
    """BLEU of a corpus with one reference each, sacrebleu's 13a tokens."""
    from sacrebleu.metrics import BLEU

    return _score(BLEU(), outputs, references)


def chrf(outputs: Sequence[str], references: Sequence[str]) -> Score:
    """chrF2 of a corpus with one reference each."""
    from sacrebleu.metrics import CHRF

    return _score(CHRF(), outputs, references)


def _score(metric: object, outputs: Sequence[str], references: Sequence[str]) -> Score:
    found = metric.corpus_score(list(outputs), [list(references)], n_bootstrap=RESAMPLES)  # type: ignore[attr-defined]
    return Score(round(float(found.score), 2), round(float(found._ci), 2), str(metric.get_signature()))  # type: ignore[attr-defined]
