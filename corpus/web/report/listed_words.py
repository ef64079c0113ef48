"""Bad words: what the rule that one listed word kills the page (clean_mc4_it, after C4) would cost, word by word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from corpus.web.report.sums import Sums
from corpus.web.rules import RuleSet
from corpus.web.signals import NEED_WORD_LISTS


@dataclass(frozen=True, slots=True)
class WordKills:
    """Pages that hold a listed word. ``alone``: those that hold no other one. ``kept``: those that the profile keeps."""

    word: str
    lists: tuple[str, ...]
    pages: int
    alone: int
    kept: int


@dataclass(frozen=True)
class ListedWords:
    """The one-word rule beside the profile's own.

    ``measured`` are documents in which words of lists were looked for; 0 where the profile names no list. ``pages`` are those that hold
    any, ``kept`` those of them that the profile keeps. ``own`` are the profile's rules that read these signals, and the documents that
    fail each.
    """

    measured: int
    pages: int
    kept: int
    words: tuple[WordKills, ...]
    own: Mapping[str, int]


@dataclass
class ListedWordTally:
    """Counts pages by listed word."""

    _measured: int = 0
    _pages: int = 0
    _kept: int = 0
    _words: Sums = field(default_factory=lambda: Sums(("word",), ("pages", "alone", "kept")))
    _lists: dict[str, set[str]] = field(default_factory=dict)

    def add(self, rows: pl.DataFrame) -> None:
        """Count a range of judged documents."""
        self._measured += int(rows["bad_words"].is_not_null().sum())
        hits = rows.select("bad_word_hits", "kept").filter(pl.col("bad_word_hits").list.len() > 0)
        self._pages += hits.height
        self._kept += int(hits["kept"].sum())
        each = hits.with_row_index("row").explode("bad_word_hits").unnest("bad_word_hits")
        for name, word in each.select("list", "word").unique().iter_rows():
            self._lists.setdefault(word, set()).add(name)
        words = each.unique(["row", "word"]).with_columns(alone=pl.len().over("row") == 1)
        self._words.add(words.group_by("word").agg(pages=pl.len(), alone=pl.col("alone").sum(), kept=pl.col("kept").sum()))

    def result(self, rules: RuleSet, failing: Mapping[str, int]) -> ListedWords:
        """The words by pages; ``failing`` are documents by rule that they fail."""
        found = [WordKills(word, tuple(sorted(self._lists[word])), *counts) for word, *counts in self._words.frame().iter_rows()]
        return ListedWords(
            self._measured,
            self._pages,
            self._kept,
            tuple(sorted(found, key=lambda entry: (-entry.pages, entry.word))),
            {rule: failing.get(rule, 0) for rule in word_rules(rules)},
        )


def word_rules(rules: RuleSet) -> Sequence[str]:
    """Ids of the rules that judge by listed words."""
    return [rule.id for rule in rules.documents if rule.signal in NEED_WORD_LISTS]
