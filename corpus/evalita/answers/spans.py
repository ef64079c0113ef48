"""Answers that list sequences of a text's words. The label is a list of ``[start, end (exclusive)]`` in characters, in text order.

A well-formed sequence that the text does not hold is read as ``[-1, its length]``: a wrong answer, not a failure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from corpus.evalita.answers.choice import folded
from corpus.evalita.answers.mentions import NONE, likely_places, place_of, read_mention, write_mention
from corpus.evalita.task import ParseFailure

SpanLabel = list[int]


@dataclass(frozen=True)
class NumberedSpans:
    """One sequence a line, its number behind it where it is not the first of its kind. Lossless."""

    def encode(self, fields: Mapping[str, Any], label: Sequence[SpanLabel]) -> str:
        return "\n".join(write_mention(fields["text"], start, end) for start, end in label) or NONE

    def decode(self, fields: Mapping[str, Any], answer: str) -> list[SpanLabel] | ParseFailure:
        if not answer.strip():
            return ParseFailure("empty", answer)
        if folded(answer) == NONE:
            return []
        found: list[SpanLabel] = []
        for line in answer.strip(" \n").split("\n"):
            mention = read_mention(line.rstrip(" \r"))
            if mention is None:
                return ParseFailure("malformed", answer)
            start = place_of(fields["text"], *mention)
            found.append([-1, len(mention[0])] if start is None else [start, start + len(mention[0])])
        return sorted(found, key=lambda span: (span[0] < 0, span))

    def describe(self) -> list[str]:
        return ["numbered-spans/1", "words [number]", NONE]


@dataclass(frozen=True)
class GappedSpans:
    """``words [gap] words``, ExtremITA's format: equal sequences are told apart by their order alone."""

    gap: str = "[gap]"

    def encode(self, fields: Mapping[str, Any], label: Sequence[SpanLabel]) -> str:
        return f" {self.gap} ".join(fields["text"][start:end] for start, end in label) or NONE

    def decode(self, fields: Mapping[str, Any], answer: str) -> list[SpanLabel] | ParseFailure:
        if not answer.strip():
            return ParseFailure("empty", answer)
        if folded(answer) == NONE:
            return []
        found: list[SpanLabel] = []
        after = 0
        for mention in (part.strip(" ") for part in answer.strip(" \n").split(self.gap)):
            if not mention:
                return ParseFailure("malformed", answer)
            starts = likely_places(fields["text"], mention)
            start = next((start for start in starts if start >= after), starts[0] if starts else None)
            if start is None:
                found.append([-1, len(mention)])
                continue
            after = start + len(mention)
            found.append([start, after])
        return sorted(found, key=lambda span: (span[0] < 0, span))

    def describe(self) -> list[str]:
        return ["gapped-spans/1", self.gap, NONE]
