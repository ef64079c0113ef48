"""Answers that are a number of a scale, or several of them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from corpus.evalita.task import ParseFailure

_NUMBER = re.compile(r"-?\d+(?:[.,]\d+)?")


@dataclass(frozen=True)
class Scale:
    """A range of numbers, its ends included, and how they are written.

    ``decimals``: values are cut off after so many (ExtremITA's habit), and then written with all of them; none: every
    digit is written. ``comma``: the decimal sign is the Italian one. Both signs are read.
    """

    low: float
    high: float
    decimals: int | None = None
    comma: bool = True

    def write(self, value: float) -> str:
        if self.decimals is None:
            text = repr(float(value)).removesuffix(".0")
        else:
            # A hair is added, since 4.1 is stored as 4.0999999…
            text = f"{math.floor(value * 10**self.decimals + 1e-9) / 10**self.decimals:.{self.decimals}f}"
        return text.replace(".", ",") if self.comma else text

    def read(self, text: str, answer: str) -> float | ParseFailure:
        if not _NUMBER.fullmatch(text):
            return ParseFailure("malformed", answer)
        value = float(text.replace(",", "."))
        return value if self.low <= value <= self.high else ParseFailure("out_of_range", answer)

    def describe(self) -> str:
        return f"{self.low:g}–{self.high:g} {'' if self.decimals is None else self.decimals}{',' if self.comma else '.'}"


def _trimmed(answer: str) -> str:
    """An answer without outer blanks and one final full stop."""
    return answer.strip().removesuffix(".").rstrip()


@dataclass(frozen=True)
class NumberAnswer:
    """One number and nothing else."""

    scale: Scale

    def encode(self, fields: Mapping[str, Any], label: float) -> str:
        return self.scale.write(label)

    def decode(self, fields: Mapping[str, Any], answer: str) -> float | ParseFailure:
        text = _trimmed(answer)
        return self.scale.read(text, answer) if text else ParseFailure("empty", answer)

    def describe(self) -> list[str]:
        return ["number/1", self.scale.describe()]


@dataclass(frozen=True)
class NumbersAnswer:
    """Several numbers, each with its name in front where it has one. The label is a list of numbers."""

    scales: Mapping[str, Scale]
    separator: str = "; "
    named: bool = True

    def encode(self, fields: Mapping[str, Any], label: Sequence[float]) -> str:
        parts = zip(self.scales.items(), label, strict=True)
        return self.separator.join(f"{name} {scale.write(value)}" if self.named else scale.write(value) for (name, scale), value in parts)

    def decode(self, fields: Mapping[str, Any], answer: str) -> list[float] | ParseFailure:
        text = _trimmed(answer)
        if not text:
            return ParseFailure("empty", answer)
        parts = re.split(re.escape(self.separator.strip()) or r"\s+", text)
        if len(parts) != len(self.scales):
            return ParseFailure("malformed", answer)
        values: list[float] = []
        for (name, scale), part in zip(self.scales.items(), parts, strict=True):
            given = part.strip()
            if self.named:
                word, _, given = given.partition(" ")
                if word.casefold() != name.casefold():
                    return ParseFailure("malformed", answer)
            value = scale.read(given.strip(), answer)
            if isinstance(value, ParseFailure):
                return value
            values.append(value)
        return values

    def describe(self) -> list[str]:
        return ["numbers/1", self.separator, str(self.named), *(f"{name} {scale.describe()}" for name, scale in self.scales.items())]
