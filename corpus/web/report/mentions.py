"""Mentions of places and institutions of the target language's countries against foreign ones, before and after the rules.

Pages translated by machine and pages about elsewhere speak of other places than native ones do. How often depends on the language
file's lists, so that numbers of the same lists can be compared, before and after or between corpora; their size alone says nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from corpus.web.report.drawing import Draw
from corpus.web.report.versions import CorpusVersions, Coverage
from foundation.language.settings import MentionSettings

TARGET, FOREIGN = "target", "foreign"
KINDS = ("places", "institutions")
Named = tuple[str, str, str]
"""Side, kind and name."""
_TOP = 10


@dataclass(frozen=True)
class MentionCounts:
    """Mentions in some texts. ``words`` are what stands between white space; ``documents_with`` counts texts by side."""

    documents: int
    words: int
    mentions: Mapping[Named, int]
    documents_with: Mapping[str, int]

    def count(self, side: str, kind: str | None = None) -> int:
        """Mentions of a side, of one kind or of both."""
        return sum(count for (its_side, its_kind, _), count in self.mentions.items() if its_side == side and kind in (None, its_kind))

    def per_10_000_words(self, side: str, kind: str | None = None) -> float:
        """Mentions for every 10,000 words."""
        return self.count(side, kind) * 10_000 / self.words if self.words else 0.0

    def ratio(self, kind: str | None = None) -> float | None:
        """Target mentions for each foreign one; None where there is no foreign one."""
        foreign = self.count(FOREIGN, kind)
        return self.count(TARGET, kind) / foreign if foreign else None

    def top(self, side: str) -> list[tuple[str, int]]:
        """The names most mentioned."""
        named = [(name, count) for (its_side, _, name), count in self.mentions.items() if its_side == side]
        return sorted(named, key=lambda entry: (-entry[1], entry[0]))[:_TOP]


@dataclass(frozen=True)
class Mentions:
    """``before``: in documents; ``after``: in published text, None where none is. Both of about ``sample`` documents at most."""

    sample: int
    before: MentionCounts
    after: MentionCounts | None


class MentionFinder:
    """Finds names as whole words, in their own case; of names that overlap the first and longest counts."""

    def __init__(self, settings: MentionSettings) -> None:
        """An apostrophe stands for the typographic one too, a space for any white space."""
        self._named: dict[str, Named] = {}
        for side, names in ((TARGET, settings.target), (FOREIGN, settings.foreign)):
            for kind in KINDS:
                self._named.update({name: (side, kind, name) for name in getattr(names, kind)})
        # Longest first: of alternatives that match at one place, `re` takes the first.
        patterns = [_pattern(name) for name in sorted(self._named, key=lambda name: (-len(name), name))]
        self._find = re.compile(rf"(?<!\w)(?:{'|'.join(patterns)})(?!\w)") if patterns else None

    def find(self, text: str) -> Iterator[Named]:
        """Every mention in a text, in order."""
        if self._find is not None:
            for match in self._find.finditer(text):
                yield self._named[" ".join(match[0].replace("’", "'").split())]

    def count(self, texts: Iterable[str]) -> MentionCounts:
        """Mentions in texts."""
        tally = _Tally()
        for text in texts:
            found = list(self.find(text))
            tally.documents += 1
            tally.words += len(text.split())
            tally.mentions.update(found)
            tally.documents_with.update({side for side, _, _ in found})
        return MentionCounts(tally.documents, tally.words, dict(sorted(tally.mentions.items())), dict(sorted(tally.documents_with.items())))


@dataclass
class _Tally:
    documents: int = 0
    words: int = 0
    mentions: Counter[Named] = field(default_factory=Counter)
    documents_with: Counter[str] = field(default_factory=Counter)


def _pattern(name: str) -> str:
    return re.escape(name).replace("'", "['’]").replace(r"\ ", r"\s+")


def count_mentions(versions: CorpusVersions, coverage: Coverage, settings: MentionSettings, draw: Draw, sample: int) -> Mentions | None:
    """Mentions in a sample of documents and in one of the published text; None where the language file lists no names.

    Args:
        versions: documents, and the clean corpus where there is one.
        coverage: the snapshots that count.
        settings: the names.
        draw: the order of documents; both samples begin at the same one.
        sample: about this many documents of each.
    """
    if not (settings.target.all_names and settings.foreign.all_names):
        return None
    finder = MentionFinder(settings)
    before = [versions.documents[name].scan("documents") for name in coverage.snapshots]
    after = None
    if coverage.judged_by == "clean_corpus" and versions.clean is not None:
        after = [versions.clean.scan("text").filter(pl.col("snapshot").is_in(list(coverage.snapshots)))]
    return Mentions(sample, finder.count(_texts(before, draw, sample)), None if after is None else finder.count(_texts(after, draw, sample)))


def _texts(tables: Sequence[pl.LazyFrame], draw: Draw, sample: int) -> Iterator[str]:
    """Texts of the documents that a draw begins with, one table after another."""
    total = sum(int(table.select(pl.len()).collect().item()) for table in tables)
    window = draw.window(sample, total)
    for table in tables:
        yield from table.filter(window).select("text").collect()["text"]
