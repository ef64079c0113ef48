"""Answers that list pairs of a test and its result: three formats, written and strictly read back.

The label is a list of ``[result start, result end, test start, test end]`` in characters, ends exclusive, in order. A
well-formed pair that the text does not hold is read as ``[-1, -1, -1, -1]``: a wrong answer, not a failure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from corpus.evalita.answers.choice import folded
from corpus.evalita.answers.mentions import NONE, likely_places, place_of, read_mention, write_mention
from corpus.evalita.task import ParseFailure

Relation = list[int]
UNKNOWN: Relation = [-1, -1, -1, -1]
_TAGGED = re.compile(r"\[BREL\] (.+?) \[SEP\] (.+?) \[EREL\]", re.DOTALL)
_SEPARATED = re.compile(r"([^$]+)\$([^$%]+)(?:%|$)")


def _in_order(relations: Iterable[Relation]) -> list[Relation]:
    return sorted(relations, key=lambda relation: (relation[0] < 0, relation))


@dataclass(frozen=True)
class NumberedRelations:
    """``test: result`` one a line, each with its number where its words are not the first of their kind. Lossless."""

    def encode(self, fields: Mapping[str, Any], label: Sequence[Relation]) -> str:
        text = fields["text"]
        return "\n".join(f"{write_mention(text, *relation[2:])}: {write_mention(text, *relation[:2])}" for relation in label) or NONE

    def decode(self, fields: Mapping[str, Any], answer: str) -> list[Relation] | ParseFailure:
        if not answer.strip():
            return ParseFailure("empty", answer)
        if folded(answer) == NONE:
            return []
        found: list[Relation] = []
        for line in answer.strip(" \n").split("\n"):
            relation = self._pair(fields["text"], line.rstrip(" \r"))
            if relation is None:
                return ParseFailure("malformed", answer)
            found.append(relation)
        return _in_order(found)

    def _pair(self, text: str, line: str) -> Relation | None:
        for border in re.finditer(": ", line):  # quoted words may hold the sign themselves: the first cut that reads is meant
            test, result = read_mention(line[: border.start()]), read_mention(line[border.end() :])
            if test is not None and result is not None:
                test_start, result_start = place_of(text, *test), place_of(text, *result)
                if test_start is None or result_start is None:
                    return UNKNOWN
                return [result_start, result_start + len(result[0]), test_start, test_start + len(test[0])]
        return None

    def describe(self) -> list[str]:
        return ["test-results/1", "test [number]: result [number]", NONE]


@dataclass(frozen=True)
class TaggedRelations:
    """``[BREL] result [SEP] test [EREL] …``, ExtremITA's format; places are told by order and distance alone."""

    none = "[NOREL]"

    def encode(self, fields: Mapping[str, Any], label: Sequence[Relation]) -> str:
        text = fields["text"]
        return " ".join(f"[BREL] {text[a:b]} [SEP] {text[c:d]} [EREL]" for a, b, c, d in label) or self.none

    def decode(self, fields: Mapping[str, Any], answer: str) -> list[Relation] | ParseFailure:
        return _read(_TAGGED, fields["text"], answer, none=self.none, glue=" ")

    def describe(self) -> list[str]:
        return ["tagged-relations/1", "[BREL] result [SEP] test [EREL]", self.none]


@dataclass(frozen=True)
class SeparatedRelations:
    """``result$test%result$test``, Evalita-LLM's format; a result may hold ``%``, a test may not."""

    none = "&&NOREL&&"

    def encode(self, fields: Mapping[str, Any], label: Sequence[Relation]) -> str:
        text = fields["text"]
        return "%".join(f"{text[a:b]}${text[c:d]}" for a, b, c, d in label) or self.none

    def decode(self, fields: Mapping[str, Any], answer: str) -> list[Relation] | ParseFailure:
        return _read(_SEPARATED, fields["text"], answer, none=self.none, glue="")

    def describe(self) -> list[str]:
        return ["separated-relations/1", "result$test%", self.none]


def _read(pattern: re.Pattern[str], text: str, answer: str, *, none: str, glue: str) -> list[Relation] | ParseFailure:
    """Pairs that fill the whole answer with nothing between them."""
    given = answer.strip()
    if not given:
        return ParseFailure("empty", answer)
    if given == none:
        return []
    matches = list(pattern.finditer(given))
    if not matches or glue.join(match[0] for match in matches) != given:
        return ParseFailure("malformed", answer)
    return located(text, [(match[1].strip(), match[2].strip()) for match in matches])


def located(text: str, pairs: Iterable[tuple[str, str]]) -> list[Relation]:
    """Relations of pairs without places: results come in text order, and a test is the nearest one to its result.

    A pair of places is given once; of equally near ones, the first in the text.
    """
    found: list[Relation] = []
    after = 0
    for result, test in pairs:
        nearest: tuple[int, Relation] | None = None
        for start in likely_places(text, result):
            for other in likely_places(text, test) if start >= after else ():
                relation = [start, start + len(result), other, other + len(test)]
                distance = abs(other - start)
                if relation not in found and (nearest is None or distance < nearest[0]):
                    nearest = distance, relation
        if nearest is None:
            found.append(UNKNOWN)
            continue
        after = nearest[1][0]
        found.append(nearest[1])
    return _in_order(found)
