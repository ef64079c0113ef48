"""Rules as data: thresholds on signals and marks on lines, read from YAML, applied without reading text.

Deciding returns every rule that fails, in the file's order; nothing is measured here. Rules of rights stand in no file: what
``rights: general`` respects must not depend on which thresholds a user tries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError

from corpus.web.errors import WebCorpusError
from corpus.web.lines import LINE_FLAGS
from corpus.web.rights.ai_crawlers import training_tokens
from corpus.web.signals import COUNTS, FLAGS, SHARES
from foundation.settings import Settings

DERIVED = ("language_score", "kept_characters", "kept_lines")
"""Measures that rules read besides the signals: from documents, and of what is left after line removal."""


@dataclass(frozen=True, slots=True)
class RightsRule:
    """A reservation, recorded in a column of documents, that drops a document under ``rights: general``."""

    id: str
    column: str
    source: str

    def fails(self, row: Mapping[str, Any]) -> bool:
        """Whether the row carries the reservation; null (a ready corpus has no record to read it from) carries none."""
        value = row[self.column]
        if self.column == "robots_disallowed":
            return any(token.lower() in training_tokens() for token in value or ())
        return value is True


RIGHTS_RULES = (
    RightsRule("rights_tdm_reservation", "tdm_reservation", "TDM Reservation Protocol; article 4(3) of directive (EU) 2019/790"),
    RightsRule("rights_noai", "noai", "noai, noml and like directives of the page; see rights.py"),
    RightsRule("rights_robots", "robots_disallowed", "robots.txt rules that name a crawler for training; see ai_crawlers.yaml"),
)
"""In the order in which they are named, before all other rules. ``noimageai`` is none of them: it speaks of images, and this
corpus is text. Crawlers for retrieval alone do not count: who keeps them out refuses to be quoted, not to be learnt from."""


def failed_rights(row: Mapping[str, Any]) -> list[str]:
    """Ids of the rights rules that reject a document, in their order."""
    return [rule.id for rule in RIGHTS_RULES if rule.fails(row)]


class DocumentRule(Settings):
    """Keep a document where its signal is at least, or at most, the threshold."""

    id: str
    signal: str
    comparison: Literal["at_least", "at_most"]
    threshold: float
    source: str = Field(description="Where the threshold comes from.")
    why: str = Field(description="What the rule keeps out.")

    def fails(self, value: float) -> bool:
        """Whether a value rejects the document; a value on the threshold passes."""
        return value < self.threshold if self.comparison == "at_least" else value > self.threshold


class LineRule(Settings):
    """Remove lines that carry a mark."""

    id: str
    mark: str
    source: str
    why: str


class RuleSet(Settings):
    """The rules of one file, in their order."""

    name: str
    documents: tuple[DocumentRule, ...]
    lines: tuple[LineRule, ...] = ()

    def removed_lines(self, flags: list[int]) -> list[int]:
        """Indices of lines that a line rule removes, ascending."""
        mask = sum(1 << LINE_FLAGS.index(mark) for mark in {rule.mark for rule in self.lines})
        return [index for index, line in enumerate(flags) if line & mask]

    def failed(self, values: Mapping[str, float]) -> list[str]:
        """Ids of all rules that reject the document, in rule order; empty means it passes."""
        return [rule.id for rule in self.documents if rule.fails(float(values[rule.signal]))]


@lru_cache(maxsize=8)
def load_rules(path: Path) -> RuleSet:
    """The rules of a file.

    Raises:
        WebCorpusError: unreadable, a field missing or unknown, an unknown signal or mark, an id given twice.
    """
    try:
        document: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        rules = RuleSet(**document)
    except (OSError, TypeError, ValidationError, yaml.YAMLError) as error:
        raise WebCorpusError(f"{path} is no rule file: {error}") from error
    known = {*COUNTS, *SHARES, *FLAGS, *DERIVED}
    for rule in rules.documents:
        if rule.signal not in known:
            raise WebCorpusError(f"{path}: rule {rule.id} reads signal {rule.signal!r}; known are {sorted(known)}")
    for line_rule in rules.lines:
        if line_rule.mark not in LINE_FLAGS:
            raise WebCorpusError(f"{path}: line rule {line_rule.id} reads mark {line_rule.mark!r}; known are {list(LINE_FLAGS)}")
    ids = [*(rule.id for rule in rules.documents), *(rule.id for rule in rules.lines)]
    repeated = sorted({name for name in ids if ids.count(name) > 1})
    if repeated:
        raise WebCorpusError(f"{path}: rule ids {repeated} are given twice; the ledger needs one name for each")
    reserved = sorted({rule.id for rule in RIGHTS_RULES} & set(ids))
    if reserved:
        raise WebCorpusError(f"{path}: rule ids {reserved} belong to `corpus.web.decisions.rights`; give these rules other names")
    return rules
