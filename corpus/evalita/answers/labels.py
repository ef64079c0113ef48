"""Answers that name a set of labels."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from corpus.evalita.answers.choice import folded
from corpus.evalita.errors import EvalitaError
from corpus.evalita.task import ParseFailure


@dataclass(frozen=True)
class LabelSetAnswer:
    """The words of all labels that hold, in the order of ``words``; ``none`` where none does. The label is a sorted list of names.

    Raises:
        EvalitaError: two labels share a word.
    """

    words: Mapping[str, str]
    none: str
    separator: str = ", "

    def __post_init__(self) -> None:
        if len({folded(word) for word in (*self.words.values(), self.none)}) != len(self.words) + 1:
            raise EvalitaError(f"two labels share a word in {[*self.words.values(), self.none]}")

    def encode(self, fields: Mapping[str, Any], label: Sequence[str]) -> str:
        return self.separator.join(word for name, word in self.words.items() if name in label) or self.none

    def decode(self, fields: Mapping[str, Any], answer: str) -> list[str] | ParseFailure:
        given = folded(answer)
        if not given:
            return ParseFailure("empty", answer)
        if given == folded(self.none):
            return []
        parts = [part.strip() for part in re.split(re.escape(self.separator.strip()) or r"\s+", given)]
        names = {folded(word): name for name, word in self.words.items()}
        if any(part not in names for part in parts):
            return ParseFailure("unknown_word", answer)
        if len(set(parts)) != len(parts):
            return ParseFailure("malformed", answer)
        return sorted(names[part] for part in parts)

    def describe(self) -> list[str]:
        return ["label-set/1", self.separator, *self.words.values(), self.none]
