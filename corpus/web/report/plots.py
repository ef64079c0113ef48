"""Plots of the report, by the name of their file; each has a sentence that says what is seen, for those who do not see it."""

from __future__ import annotations

from dataclasses import dataclass

from corpus.web import charts
from corpus.web.report.corpus_report import CorpusReport
from corpus.web.report.drops import Drops
from corpus.web.report.listed_words import ListedWords
from corpus.web.report.mentions import FOREIGN, KINDS, TARGET, Mentions
from corpus.web.report.shifts import Shifts
from corpus.web.report.waterfall import CUT, DOCUMENTS, PUBLISHED, Waterfall

HEAT_RULES = 16
WORDS = 20


@dataclass(frozen=True)
class Plot:
    """A picture with what it shows, in words."""

    png: bytes
    alt: str


def main_plots(report: CorpusReport) -> dict[str, Plot]:
    """The plots of ``corpus_parts.html.jinja``: waterfalls, and drops by rule."""
    found = waterfall_plots(report.waterfall)
    if report.drops is not None and report.drops.rules:
        found["rules"] = _rules(report.drops)
    return found


def plots(report: CorpusReport) -> dict[str, Plot]:
    """Every plot that there is something to show for."""
    found = main_plots(report)
    if report.drops is not None and report.drops.pairs:
        found["overlap"] = overlap_plot(report.drops)
    if report.shifts is not None and report.shifts.rules:
        found["shifts"] = _shifts(report.shifts)
        if report.shifts.top_level_domains > 1:
            found["top_level"] = _top_level(report.shifts)
    if report.listed_words is not None and report.listed_words.words:
        found["bad_words"] = _bad_words(report.listed_words)
    if report.mentions is not None and report.mentions.before.words:
        found["mentions"] = _mentions(report.mentions, report.settings.language)
    return found


def waterfall_plots(waterfall: Waterfall) -> dict[str, Plot]:
    """Records to documents on a scale of powers, since most pages of a crawl are in other languages; documents to kept ones; their words."""
    steps = waterfall.steps
    place = next(index for index, step in enumerate(steps) if step.name == DOCUMENTS and step.kind == "total")
    found = {
        "records": Plot(
            charts.waterfall("Pages, from records to documents (logarithmic)", [(step.name, step.kind, step.pages) for step in steps[: place + 1]], logarithmic=True),
            f"{steps[0].pages:,} records become {steps[place].pages:,} documents; the table has every reason.",
        )
    }
    judged = [step for step in steps[place:] if step.name not in (CUT, PUBLISHED)]
    if len(judged) > 1:
        first, last = judged[0], judged[-1]
        pages = [(step.name, step.kind, step.pages) for step in judged]
        found["pages"] = Plot(charts.waterfall("Pages, from documents on", pages), f"{first.pages:,} documents become {last.pages:,} {last.name}.")
        words = [(step.name, step.kind, float(step.words or 0)) for step in judged]
        found["words"] = Plot(charts.waterfall("Words, from documents on", words), f"{first.words or 0:,} words of documents become {last.words or 0:,} of {last.name}.")
    return found


def overlap_plot(drops: Drops) -> Plot:
    """The rules with most failing documents against one another."""
    shown = [entry.rule for entry in sorted(drops.rules, key=lambda entry: (-entry.failing, entry.rule))[:HEAT_RULES]]
    shown = [entry.rule for entry in drops.rules if entry.rule in shown]
    first = drops.pairs[0]
    return Plot(
        charts.heat_map("Of documents that fail the row's rule, percent that also fail the column's", shown, drops.conditional(shown)),
        f"Shares of common failures between {len(shown)} rules. Most common: {first.first} with {first.second}, {first.both:,} documents.",
    )


def _rules(drops: Drops) -> Plot:
    entries = [(entry.rule, entry.alone / drops.documents, entry.failing / drops.documents) for entry in drops.rules[:WORDS]]
    alone, failing = max(entries, key=lambda entry: entry[1]), max(entries, key=lambda entry: entry[2])
    return Plot(
        charts.pairs("Share of documents that fail a rule", entries, ("alone", "at all"), said="{:.1%}".format),
        f"{failing[0]} fails most documents, {failing[2]:.1%}; {alone[0]} most of those that would pass without it, {alone[1]:.1%}.",
    )


def _shifts(shifts: Shifts) -> Plot:
    entries = sorted(((shift.name, shift.domain_distance or 0.0) for shift in shifts.rules), key=lambda entry: (-entry[1], entry[0]))[:WORDS]
    whole = [shift for shift in (shifts.all_rules, shifts.everything) if shift is not None]
    entries = [*((shift.name, shift.domain_distance or 0.0) for shift in whole), *entries]
    return Plot(
        charts.bars("How far each rule alone shifts the mix of domains (total variation)", entries, said="{:.3f}".format),
        f"All rules together shift the mix of registered domains by {shifts.all_rules.domain_distance or 0:.3f}; the table has every rule.",
    )


def _top_level(shifts: Shifts) -> Plot:
    shift = shifts.everything or shifts.all_rules
    entries = [(f".{change.name}" if change.name.isalnum() else change.name, change.before_share, change.after_share) for change in shift.top_level]
    first = shift.top_level[0]
    return Plot(
        charts.pairs("Share of documents by top-level domain", entries, ("before", "after"), said="{:.1%}".format),
        f"The largest, {first.name}: {first.before_share:.1%} of documents before and {first.after_share:.1%} after.",
    )


def _bad_words(words: ListedWords) -> Plot:
    entries = [(entry.word, entry.pages / words.measured) for entry in words.words[:WORDS]]
    return Plot(
        charts.bars("Share of pages that one listed word would kill", entries, said="{:.2%}".format, color=charts.ORANGE),
        f"{words.pages:,} of {words.measured:,} pages hold a listed word; the most frequent is in {entries[0][1]:.2%} of them.",
    )


def _mentions(mentions: Mentions, language: str) -> Plot:
    before, after = mentions.before, mentions.after
    named = [(f"{language if side == TARGET else side} {kind}", side, kind) for side in (TARGET, FOREIGN) for kind in KINDS]
    if after is None:
        found = [(name, before.per_10_000_words(side, kind)) for name, side, kind in named]
        png = charts.bars("Mentions for 10,000 words of documents", found, said="{:.2f}".format)
        return Plot(png, f"Mentions for 10,000 words of documents. {'; '.join(f'{name}: {value:.2f}' for name, value in found)}.")
    entries = [(name, before.per_10_000_words(side, kind), after.per_10_000_words(side, kind)) for name, side, kind in named]
    png = charts.pairs("Mentions for 10,000 words", entries, ("documents", "clean corpus"), said="{:.2f}".format)
    return Plot(png, f"Mentions for 10,000 words, in documents and in the clean corpus. {'; '.join(f'{name}: {was:.2f}, {now:.2f}' for name, was, now in entries)}.")
