"""Answers that are one word out of a few: how classes are written and strictly read back."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from corpus.evalita.errors import EvalitaError
from corpus.evalita.task import Answer, Label, ParseFailure


def folded(answer: str) -> str:
    """An answer without outer blanks, one final full stop, case, or decomposed accents."""
    return unicodedata.normalize("NFC", answer.strip().removesuffix(".").rstrip()).casefold()


@dataclass(frozen=True)
class ChoiceAnswer:
    """One word for each class. ``also`` lists further spellings that are read, never written.

    Raises:
        EvalitaError: two classes share a word.
    """

    words: Mapping[Any, str]
    also: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len({folded(word) for word in self.words.values()}) != len(self.words):
            raise EvalitaError(f"two classes share a word in {dict(self.words)}")

    def encode(self, fields: Mapping[str, Any], label: Label) -> str:
        return self.words[label]

    def decode(self, fields: Mapping[str, Any], answer: str) -> Label | ParseFailure:
        given = folded(answer)
        if not given:
            return ParseFailure("empty", answer)
        given = folded(self.also.get(given, given))
        for label, word in self.words.items():
            if folded(word) == given:
                return label
        return ParseFailure("unknown_word", answer)

    def describe(self) -> list[str]:
        return ["choice/1", *self.words.values(), *(f"{given} = {word}" for given, word in sorted(self.also.items()))]


def yes_or_no(*, yes: Label = 1, no: Label = 0, capital: bool = False, words: tuple[str, str] = ("sì", "no")) -> ChoiceAnswer:
    """«sì» and «no», or two words that mean as much; «si» without accent is read as «sì»."""
    return ChoiceAnswer(
        {yes: words[0].capitalize(), no: words[1].capitalize()} if capital else {yes: words[0], no: words[1]},
        also={"si": "sì"} if words[0] == "sì" else {},
    )


def label_words(answer: Answer) -> tuple[str, ...]:
    """The words that an answer may be, where it is one of a few; a model's choice among them can be told by likelihood."""
    return tuple(answer.words.values()) if isinstance(answer, ChoiceAnswer) else ()
