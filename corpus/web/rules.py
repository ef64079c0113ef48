"""Rules as data: thresholds on signals of documents and of lines, read from YAML. Judging by them is in ``judging``.

Rules of rights stand in no file: what ``rights: general`` respects must not depend on which thresholds a user tries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError

from corpus.web.errors import WebCorpusError
from corpus.web.lines import LINE_COUNTS, LINE_FLAGS
from corpus.web.signals import COUNTS, FLAGS, NEED_WORD_LISTS, SHARES
from foundation.settings import Settings, load_yaml

LEFT = ("kept_characters", "kept_plain_characters", "kept_lines", "kept_words", "kept_sentences")
"""What is left once line rules have removed lines. ``kept_plain_characters``: of lines without citation marks and white space at
their ends, one line end between two. ``kept_words`` are those between white space; ``kept_lines`` are not empty."""
DERIVED = ("language_score", "target_language", *LEFT)
"""Measures that rules read besides the signals: from documents (``target_language``: 1 where the best label is that of the
profile's language), and of what is left."""
SCORE_PREFIX = "classifier:"
"""A signal of this name and a classifier's is its score."""
LINE_SIGNALS = (*LINE_COUNTS, *LINE_FLAGS)
Comparison = Literal["at_least", "at_most"]


@dataclass(frozen=True, slots=True)
class RightsRule:
    """A reservation, recorded in a column of documents, that drops a document under ``rights: general``."""

    id: str
    column: str
    source: str


RIGHTS_RULES = (
    RightsRule("rights_tdm_reservation", "tdm_reservation", "TDM Reservation Protocol; article 4(3) of directive (EU) 2019/790"),
    RightsRule("rights_noai", "noai", "noai, noml and like directives of the page; see rights.py"),
    RightsRule("rights_robots", "robots_disallowed", "robots.txt rules that name a crawler for training; see ai_crawlers.yaml"),
)
"""In the order in which they are named, before all other rules. ``noimageai`` is none of them: it speaks of images, and this
corpus is text. Crawlers for retrieval alone do not count: who keeps them out refuses to be quoted, not to be learnt from."""


class Threshold(Settings):
    """A signal's value is at least, or at most, a threshold; a value on the threshold holds."""

    signal: str
    comparison: Comparison
    threshold: float
    ignoring: tuple[str, ...] = Field((), description="Words of the lists that do not count; for bad_words, bad_word_kinds and bad_word_share only.")


class _Reasoned(Settings):
    source: str = Field(description="Where the threshold comes from.")
    why: str = Field(description="What the rule keeps out.")
    verified: bool = Field(True, description="False: the published account leaves the value open, and `source` says what stands in for it.")


class DocumentRule(Threshold, _Reasoned):
    """Keep a document where the threshold holds. Where it does not, ``only_where`` may still excuse it."""

    id: str
    only_where: tuple[Threshold, ...] = Field((), description="The rule rejects only documents for which all of these hold.")
    requires: dict[Literal["identification"], str] = Field(
        {}, description="The rule is applied only with this model of language identification, whose scores its threshold belongs to."
    )


class LineRule(Threshold, _Reasoned):
    """Keep a line where the threshold holds; a mark is 1 or 0. Of each line, the first rule that it fails decides."""

    id: str
    effect: Literal["remove_line", "drop_document"] = "remove_line"


class RuleSet(Settings):
    """The rules of one file, in their order."""

    name: str
    documents: tuple[DocumentRule, ...]
    lines: tuple[LineRule, ...] = ()

    @property
    def order(self) -> tuple[str, ...]:
        """Ids of what can reject a document, in the order of work: on the whole text, on lines, on what is left of it."""
        whole = [rule.id for rule in self.documents if rule.signal not in LEFT]
        lines = [rule.id for rule in self.lines if rule.effect == "drop_document"]
        return (*whole, *lines, *(rule.id for rule in self.documents if rule.signal in LEFT))

    def inapplicable(self, identification: str | None) -> dict[str, str]:
        """Rules that cannot be applied with a model of language identification, and why."""
        return {
            rule.id: f"needs language identification by {rule.requires['identification']}, and this is {identification or 'unknown'}"
            for rule in self.documents
            if rule.requires.get("identification", identification) != identification
        }


@lru_cache(maxsize=8)
def load_rules(path: Path) -> RuleSet:
    """The rules of a file.

    Raises:
        WebCorpusError: unreadable, a field missing or unknown, an unknown signal, an id given twice.
    """
    try:
        document: Any = load_yaml(path.read_text(encoding="utf-8"))
        rules = RuleSet(**document)
    except (OSError, TypeError, ValidationError, yaml.YAMLError) as error:
        raise WebCorpusError(f"{path} is no rule file: {error}") from error
    for rule in rules.documents:
        for threshold in (rule, *rule.only_where):
            _check_signal(path, rule.id, threshold, {*COUNTS, *SHARES, *FLAGS, *DERIVED})
    for line_rule in rules.lines:
        _check_signal(path, line_rule.id, line_rule, set(LINE_SIGNALS))
    _check_ids(path, [*(rule.id for rule in rules.documents), *(rule.id for rule in rules.lines)])
    return rules


def _check_signal(path: Path, rule: str, threshold: Threshold, known: set[str]) -> None:
    name = threshold.signal
    if name not in known and not (name.startswith(SCORE_PREFIX) and "language_score" in known):
        raise WebCorpusError(f"{path}: rule {rule} reads signal {name!r}; known are {sorted(known)}, and {SCORE_PREFIX}NAME for documents")
    if threshold.ignoring and (name not in NEED_WORD_LISTS or name == "bad_words_in_company"):
        raise WebCorpusError(f"{path}: rule {rule} ignores words, but {name} counts none; `ignoring` goes with bad_words, bad_word_kinds, bad_word_share")


def _check_ids(path: Path, ids: Sequence[str]) -> None:
    repeated = sorted({name for name in ids if ids.count(name) > 1})
    if repeated:
        raise WebCorpusError(f"{path}: rule ids {repeated} are given twice; the ledger needs one name for each")
    reserved = sorted({rule.id for rule in RIGHTS_RULES} & set(ids))
    if reserved:
        raise WebCorpusError(f"{path}: rule ids {reserved} belong to `corpus.web.decisions.rights`; give these rules other names")
