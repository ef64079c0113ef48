"""The way from records of the crawl to kept words: what every reason takes away, in pages, characters and words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import polars as pl

from corpus.web.clean import TEXT
from corpus.web.report.sums import Sums
from corpus.web.report.versions import CorpusVersions, Coverage

RECORDS, DOCUMENTS, KEPT, PASSING, PUBLISHED = "records", "documents", "kept documents", "documents that pass the rules", "published text"
CUT = "lines, overlap and personal data taken out"
"""The names of totals, and of what is taken out of kept documents."""
_NO_REASON = ""


@dataclass(frozen=True, slots=True)
class Step:
    """A total, or what is lost on the way to the next one.

    ``characters`` and ``words`` are of the extracted text, words counted as in signals (more than punctuation); None where
    nothing measures them: before pages are documents, and words of a text that was cut.
    """

    name: str
    kind: Literal["total", "loss"]
    pages: int
    characters: int | None = None
    words: int | None = None


@dataclass(frozen=True, slots=True)
class PublishedSplit:
    """One split of the published text. ``tokens`` are words and punctuation marks, as the text table counts them."""

    split: str
    documents: int
    characters: int
    tokens: int


@dataclass(frozen=True)
class Waterfall:
    """Steps in their order, losses of each total by size; ``splits`` are empty where no clean corpus is published."""

    steps: tuple[Step, ...]
    splits: tuple[PublishedSplit, ...]

    def total(self, name: str) -> Step | None:
        """The total of a name; None where the versions do not reach it."""
        return next((step for step in self.steps if step.name == name and step.kind == "total"), None)

    @property
    def kept(self) -> Step | None:
        """What is kept, or passes the rules where nothing more is known."""
        return self.total(KEPT) or self.total(PASSING)


class WaterfallTally:
    """Counts documents by what became of them."""

    def __init__(self) -> None:
        self._sums = Sums(("reason",), ("pages", "characters", "words"))

    def add(self, rows: pl.DataFrame) -> None:
        """Count a range of judged documents."""
        reason = pl.col("reason").fill_null(_NO_REASON)
        self._sums.add(rows.group_by(reason=reason).agg(pages=pl.len(), characters=pl.col("characters").sum(), words=pl.col("words").sum()))

    def result(self, versions: CorpusVersions, coverage: Coverage) -> Waterfall:
        """The waterfall of the covered snapshots."""
        documents = [versions.documents[name] for name in coverage.snapshots]
        steps = [Step(RECORDS, "total", sum(version.statistics["records"] for version in documents))]
        steps += _losses(sum((Counter(version.statistics["skipped"]) for version in documents), Counter()))
        if coverage.judged_by is None:
            pages, characters = (sum(version.statistics[name] for version in documents) for name in ("documents", "characters"))
            return Waterfall((*steps, Step(DOCUMENTS, "total", pages, characters)), ())
        by_reason = {reason: Step(reason, "loss", *sums) for reason, *sums in self._sums.frame().iter_rows()}
        kept = by_reason.pop(_NO_REASON, Step(_NO_REASON, "loss", 0, 0, 0))
        losses = sorted(by_reason.values(), key=lambda step: (-step.pages, step.name))
        steps += [_added(DOCUMENTS, kept, *losses), *losses, _added(KEPT if coverage.judged_by == "clean_corpus" else PASSING, kept)]
        splits = _published(versions, coverage)
        if splits:
            characters = sum(split.characters for split in splits)
            steps.append(Step(CUT, "loss", 0, (kept.characters or 0) - characters))
            steps.append(Step(PUBLISHED, "total", sum(split.documents for split in splits), characters))
        return Waterfall(tuple(steps), splits)


def _losses(reasons: Mapping[str, int]) -> list[Step]:
    return [Step(reason, "loss", pages) for reason, pages in sorted(reasons.items(), key=lambda item: (-item[1], item[0])) if pages]


def _added(name: str, *parts: Step) -> Step:
    return Step(name, "total", *(sum(getattr(part, measure) or 0 for part in parts) for measure in ("pages", "characters", "words")))


def _published(versions: CorpusVersions, coverage: Coverage) -> tuple[PublishedSplit, ...]:
    if coverage.judged_by != "clean_corpus" or versions.clean is None:
        return ()
    found = []
    for split in TEXT.splits:
        text = versions.clean.scan("text", split).filter(pl.col("snapshot").is_in(list(coverage.snapshots)))
        found.append(PublishedSplit(split, *text.select(pl.len(), pl.col("characters").sum(), pl.col("words").sum()).collect().row(0)))
    return tuple(found)
