"""What is measured on answers to fixed prompts: language, termination, repetition, length. Nothing here judges whether an answer is right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from foundation.language.identification import LanguageIdentifier
from foundation.review.intervals import Interval, wilson
from training.generation import Answer

NGRAM = 4
"""Welleck et al. 2020 (Neural text generation with unlikelihood training, ICLR), who measure repetition by 4-grams."""


@dataclass(frozen=True)
class MeasuredAnswer:
    """An answer with what was measured on it; ``language`` is empty where the answer has no letters."""

    text: str
    tokens: int | None
    words: int
    ended: bool
    language: str
    repetition: float | None


@dataclass(frozen=True)
class AnswerMeasures:
    """Over all prompts. ``repetition`` is the mean over ``long_enough`` answers; None where there is nothing to take a mean of."""

    prompts: int
    target_language: Interval | None
    ended: Interval | None
    repetition: float | None
    long_enough: int
    mean_words: float | None
    mean_tokens: float | None


def repetition(words: Sequence[str]) -> float | None:
    """seq-rep-4 (Welleck et al. 2020, section 6.1): 1 - distinct 4-grams / 4-grams; None of fewer than four words.

    Over words, not over tokens as there, so that models with different tokenizers compare.
    """
    grams = [tuple(words[start : start + NGRAM]) for start in range(len(words) - NGRAM + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else None


@dataclass(frozen=True)
class AnswerJudge:
    """What answers are measured with: an identifier of languages, the target's label, and a splitter into words."""

    identifier: LanguageIdentifier
    target: str
    words: Callable[[str], Sequence[str]]

    def measured(self, answers: Sequence[Answer]) -> list[MeasuredAnswer]:
        """Each answer with what is measured on it."""
        return measure_answers(answers, self.identifier, self.words)

    def summary(self, answers: Sequence[MeasuredAnswer]) -> AnswerMeasures:
        """Over all answers."""
        return summary(answers, self.target)


def measure_answers(answers: Sequence[Answer], identifier: LanguageIdentifier, words: Callable[[str], Sequence[str]]) -> list[MeasuredAnswer]:
    """Each answer with its language, as identified, and its repetition."""
    measured = []
    for answer in answers:
        labels = identifier.scores(answer.text) if any(character.isalpha() for character in answer.text) else []
        language = labels[0].label if labels else ""
        found = words(answer.text)
        measured.append(MeasuredAnswer(answer.text, answer.tokens, len(found), answer.ended, language, repetition(found)))
    return measured


def summary(answers: Sequence[MeasuredAnswer], target: str) -> AnswerMeasures:
    """Shares with 95 % intervals (Wilson) and means; an empty answer is in no language, so not in the target's."""
    rates = [answer.repetition for answer in answers if answer.repetition is not None]
    lengths = [answer.tokens for answer in answers if answer.tokens is not None]
    return AnswerMeasures(
        prompts=len(answers),
        target_language=wilson(sum(answer.language == target for answer in answers), len(answers)),
        ended=wilson(sum(answer.ended for answer in answers), len(answers)),
        repetition=_mean(rates),
        long_enough=len(rates),
        mean_words=_mean([answer.words for answer in answers]),
        mean_tokens=_mean(lengths) if len(lengths) == len(answers) else None,
    )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
