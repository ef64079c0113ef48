"""The report as Markdown, its pictures in files beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from corpus.web.previews import markdown_table
from corpus.web.report.corpus_report import CorpusReport
from corpus.web.report.drops import Drops
from corpus.web.report.html import SHOWN_PAGES, key_numbers
from corpus.web.report.listed_words import ListedWords
from corpus.web.report.mentions import FOREIGN, TARGET, Mentions
from corpus.web.report.plots import Plot
from corpus.web.report.precision import Review
from corpus.web.report.shifts import Shifts
from corpus.web.report.waterfall import Waterfall
from foundation.review.intervals import Interval

_PAIRS, _WORDS = 15, 25


def render_markdown(report: CorpusReport, plots: Mapping[str, Plot], review: Review | None) -> str:
    """The text; pictures are ``NAME.png``."""
    return "\n\n".join(_parts(report, plots, review)) + "\n"


def _parts(report: CorpusReport, plots: Mapping[str, Plot], review: Review | None) -> Iterator[str]:
    def shown(*names: str) -> Iterator[str]:
        yield from (f"![{plots[name].alt}]({name}.png)" for name in names if name in plots)

    yield f"# Web corpus of profile {report.settings.profile}"
    yield f"{report.coverage.version}; snapshots {', '.join(report.coverage.snapshots)}; seed {report.settings.seed}."
    yield "\n".join(f"- {name}: {value}" for name, value in key_numbers(report))
    if report.remarks:
        yield "This report does not cover everything:\n\n" + "\n".join(f"- {remark}" for remark in report.remarks)
    yield "## From records to kept words"
    yield from shown("records", "pages", "words")
    yield from _waterfall(report.waterfall)
    if report.drops is not None:
        yield "## Drops by rule"
        yield from shown("rules")
        yield from _drops(report.drops)
        if report.idle_rules:
            yield f"Rules that reject no document: {', '.join(report.idle_rules)}."
        yield "## Rules that fail together"
        yield from shown("overlap")
        yield markdown_table(
            [{"rule": pair.first, "and rule": pair.second, "documents": pair.both, "of either": f"{pair.share_of_either:.0%}"} for pair in report.drops.pairs[:_PAIRS]]
        )
    if report.shifts is not None:
        yield "## What the rules do to the mix of domains"
        yield from shown("shifts", "top_level")
        yield from _shifts(report.shifts)
    if report.listed_words is not None:
        yield "## What each bad word would kill"
        yield from shown("bad_words")
        yield from _listed_words(report.listed_words)
    yield f"## {report.settings.language} against foreign places and institutions"
    if report.mentions is None:
        yield "Not counted: the language file lists no names on both sides (`mentions`), or no texts were asked for."
    else:
        yield from shown("mentions")
        yield _mentions(report.mentions, report.settings.language)
    if report.drops is not None:
        yield "## Pages to judge by eye"
        yield (
            "Write `right`, `wrong` or `unsure` into the column `verdict` of [review.csv](review.csv), for whether dropping the page was right, and read it back "
            "with `transumanza corpus review review.csv`."
        )
        if review is not None:
            yield _review(review)
        pages = report.dropped.by_turns(SHOWN_PAGES)
        yield markdown_table([{"reason": page.rule, "value": page.value, "asked for": page.threshold, "page": page.url, "text": page.text} for page in pages])


def _waterfall(waterfall: Waterfall) -> Iterator[str]:
    yield "Characters and words are of the extracted text, words counted as rules count them: more than punctuation."
    yield markdown_table(
        [
            {
                "step": f"**{step.name}**" if step.kind == "total" else f"{'without ' if step.pages else ''}{step.name}",
                **{name: _signed(getattr(step, name), step.kind) for name in ("pages", "characters", "words")},
            }
            for step in waterfall.steps
        ]
    )
    if waterfall.splits:
        yield markdown_table(
            [
                {"split": split.split, "documents": f"{split.documents:,}", "characters": f"{split.characters:,}", "words and punctuation marks": f"{split.tokens:,}"}
                for split in waterfall.splits
            ]
        )


def _signed(value: int | None, kind: str) -> str:
    if value is None:
        return ""
    return f"−{value:,}" if kind == "loss" and value else f"{value:,}"


def _drops(drops: Drops) -> Iterator[str]:
    yield (
        f"Of {drops.documents:,} documents {drops.passing:,} pass. First: the rule is the recorded reason. Alone: fail nothing else, and would pass without the rule."
    )
    yield markdown_table(
        [
            {
                "rule": rule.rule, "at all": rule.failing, "first": rule.first, "alone": rule.alone, "characters, first": f"{rule.first_characters:,}",
                "words, first": f"{rule.first_words:,}", "characters, alone": f"{rule.alone_characters:,}", "words, alone": f"{rule.alone_words:,}",
            }
            for rule in drops.rules
        ]
    )  # fmt: skip


def _shifts(shifts: Shifts) -> Iterator[str]:
    yield (
        f"{shifts.registered_domains:,} registered domains. Distance: total variation between the mix before and after; concentration: distance of domains over "
        "share dropped."
    )
    whole = [shift for shift in (shifts.all_rules, shifts.everything) if shift is not None]
    yield markdown_table(
        [
            {
                "rule": shift.name,
                "dropped": f"{shift.dropped_share:.1%}",
                "distance, top level": _decimals(shift.top_level_distance, 4),
                "distance, domains": _decimals(shift.domain_distance, 4),
                "concentration": _decimals(shift.concentration, 2),
                **{f"{change.name} ({change.before_share:.1%})": f"{change.after_share:.1%}" for change in shift.top_level[:3]},
                "domain that loses most": next((f"{change.name} {100 * change.change:+.2f}" for change in shift.losers), ""),
            }
            for shift in (*whole, *shifts.rules)
        ]
    )
    yield "Domains that lose most share, all in all:"
    yield markdown_table(
        [
            {"domain": change.name, "before": change.before, "after": change.after, "share before": f"{change.before_share:.2%}", "after all": f"{change.after_share:.2%}"}
            for change in whole[-1].losers
        ]
    )


def _listed_words(words: ListedWords) -> Iterator[str]:
    if not words.measured:
        yield "The profile names no word lists (`corpus.web.signals.word_lists`), so that no listed word was looked for."
        return
    own = "".join(f" The profile's rule {rule} rejects {failing:,}." for rule, failing in words.own.items())
    yield f"One listed word would kill {words.pages:,} of {words.measured:,} pages ({words.pages / words.measured:.1%}); {words.kept:,} of these the profile keeps.{own}"
    yield markdown_table(
        [
            {"word": entry.word, "list": ", ".join(entry.lists), "pages": entry.pages, "share": f"{entry.pages / words.measured:.2%}", "alone": entry.alone, "kept": entry.kept}
            for entry in words.words[:_WORDS]
        ]
    )


def _mentions(mentions: Mentions, language: str) -> str:
    rows = [
        {
            "in": name,
            "texts": counts.documents,
            "words": f"{counts.words:,}",
            "names of": kind or "both",
            language: counts.count(TARGET, kind),
            "foreign": counts.count(FOREIGN, kind),
            f"{language}, for 10,000 words": _decimals(counts.per_10_000_words(TARGET, kind), 2),
            "foreign, for 10,000 words": _decimals(counts.per_10_000_words(FOREIGN, kind), 2),
            "ratio": _decimals(counts.ratio(kind), 2),
        }
        for name, counts in (("documents", mentions.before), ("clean corpus", mentions.after))
        if counts is not None
        for kind in ("places", "institutions", None)
    ]
    return f"In a random sample of about {mentions.sample:,} texts at most.\n\n{markdown_table(rows)}"


def _review(review: Review) -> str:
    rows = [
        {"rule": entry.rule, "drops first": entry.drops, "right": entry.right, "wrong": entry.wrong, "unsure": entry.unsure, **_interval(entry.precision)}
        for entry in review.rules
    ]
    overall: Sequence[Mapping[str, object]] = [{"rule": "all drops by rules", "drops first": "", "right": "", "wrong": "", "unsure": "", **_interval(review.overall)}]
    return markdown_table([*rows, *overall])


def _interval(interval: Interval | None) -> dict[str, str]:
    if interval is None:
        return {"precision": "", "95 % interval": ""}
    return {"precision": f"{interval.share:.0%}", "95 % interval": f"{interval.low:.0%} to {interval.high:.0%}"}


def _decimals(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
