"""Answers that list the named entities of a text: three formats, written and strictly read back.

A text is its tokens joined by one blank. An entity is ``[first token, end token (exclusive), type]``; a well-formed
mention that the text does not hold is read as ``[-1, its number of tokens, type]``: a wrong answer, not a failure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from corpus.evalita.answers.choice import folded
from corpus.evalita.task import ParseFailure

Entity = list[Any]
TYPES = ("PER", "LOC", "ORG")
NONE = "nessuna"
_KIND = "|".join(TYPES)
_NUMBERED = re.compile(rf"({_KIND}): (.+?)(?: \[(\d+)\])?")
_TAGGED = re.compile(rf"\[({_KIND})\] (.+?)(?= \[(?:{_KIND})\] |$)", re.DOTALL)
_SEPARATED = re.compile(rf"(.+?)\$({_KIND})(?:,|$)", re.DOTALL)


def places(tokens: Sequence[str], mention: Sequence[str]) -> list[int]:
    """First tokens of all occurrences of a mention, overlapping ones too."""
    width = len(mention)
    return [start for start in range(len(tokens) - width + 1) if list(tokens[start : start + width]) == list(mention)]


def in_text_order(tokens: Sequence[str], mentions: Iterable[tuple[str, str]]) -> list[Entity]:
    """Entities of mentions given in text order without numbers: each is the next free occurrence, else any free one."""
    taken = [False] * len(tokens)
    after = 0
    found: list[Entity] = []
    for kind, mention in mentions:
        words = mention.split(" ")
        free = [start for start in places(tokens, words) if not any(taken[start : start + len(words)])]
        start = next((start for start in free if start >= after), free[0] if free else None)
        if start is None:
            found.append([-1, len(words), kind])
            continue
        taken[start : start + len(words)] = [True] * len(words)
        after = start + len(words)
        found.append([start, after, kind])
    return found


def _spoken(tokens: Sequence[str], entity: Entity) -> str:
    return " ".join(tokens[entity[0] : entity[1]])


@dataclass(frozen=True)
class NumberedMentions:
    """``TYPE: mention`` one a line; the number of the occurrence follows where it is not the first. Lossless."""

    def encode(self, fields: Mapping[str, Any], label: Sequence[Entity]) -> str:
        tokens = fields["text"].split(" ")
        lines = []
        for entity in label:
            start, end, kind = entity
            number = places(tokens, tokens[start:end]).index(start) + 1
            numbered = number > 1 or re.fullmatch(r"\[\d+\]", tokens[end - 1])
            lines.append(f"{kind}: {_spoken(tokens, entity)}" + (f" [{number}]" if numbered else ""))
        return "\n".join(lines) or NONE

    def decode(self, fields: Mapping[str, Any], answer: str) -> list[Entity] | ParseFailure:
        if not answer.strip():
            return ParseFailure("empty", answer)
        if folded(answer) == NONE:
            return []
        tokens = fields["text"].split(" ")
        taken = [False] * len(tokens)
        found: list[Entity] = []
        for line in answer.strip(" \n").split("\n"):
            match = _NUMBERED.fullmatch(line.rstrip(" \r"))
            if match is None:
                return ParseFailure("malformed", answer)
            kind, mention, number = match[1], match[2].split(" "), int(match[3] or 1)
            starts = places(tokens, mention)
            start = starts[number - 1] if 1 <= number <= len(starts) else None
            if start is None or any(taken[start : start + len(mention)]):
                found.append([-1, len(mention), kind])
                continue
            taken[start : start + len(mention)] = [True] * len(mention)
            found.append([start, start + len(mention), kind])
        return found

    def describe(self) -> list[str]:
        return ["numbered-mentions/1", *TYPES, "TYPE: mention [number]", NONE]


@dataclass(frozen=True)
class TaggedMentions:
    """``[TYPE] mention [TYPE] mention``, ExtremITA's format; equal mentions are told apart by their order alone."""

    def encode(self, fields: Mapping[str, Any], label: Sequence[Entity]) -> str:
        tokens = fields["text"].split(" ")
        return " ".join(f"[{entity[2]}] {_spoken(tokens, entity)}" for entity in label) or NONE

    def decode(self, fields: Mapping[str, Any], answer: str) -> list[Entity] | ParseFailure:
        if folded(answer) == NONE:
            return []
        return _read(_TAGGED, fields, answer.strip(), kind=1, mention=2, glue=" ")

    def describe(self) -> list[str]:
        return ["tagged-mentions/1", *TYPES, "[TYPE] mention", NONE]


@dataclass(frozen=True)
class SeparatedMentions:
    """``mention$TYPE,mention$TYPE``, Evalita-LLM's format; a comma inside a mention does no harm here."""

    none = "&&NOENT&&"

    def encode(self, fields: Mapping[str, Any], label: Sequence[Entity]) -> str:
        tokens = fields["text"].split(" ")
        return ",".join(f"{_spoken(tokens, entity)}${entity[2]}" for entity in label) or self.none

    def decode(self, fields: Mapping[str, Any], answer: str) -> list[Entity] | ParseFailure:
        if answer.strip() == self.none:
            return []
        return _read(_SEPARATED, fields, answer.strip(), kind=2, mention=1, glue="")

    def describe(self) -> list[str]:
        return ["separated-mentions/1", *TYPES, "mention$TYPE,", self.none]


def _read(
    pattern: re.Pattern[str], fields: Mapping[str, Any], answer: str, *, kind: int, mention: int, glue: str
) -> list[Entity] | ParseFailure:
    """Mentions that fill the whole answer with nothing between them, located in text order."""
    if not answer:
        return ParseFailure("empty", answer)
    matches = list(pattern.finditer(answer))
    if not matches or glue.join(match[0] for match in matches) != answer:
        return ParseFailure("malformed", answer)
    return in_text_order(fields["text"].split(" "), [(match[kind], match[mention].strip(" ")) for match in matches])
