"""Shifts: how the mix of registered domains and top-level domains changes by each rule alone, by all rules, and by all of the line.

The measure is the total variation distance of two distributions P and Q, half the sum of |P(x) - Q(x)| (Levin, Peres and Wilmer 2009,
Markov Chains and Mixing Times, proposition 4.2): the share of documents that would have to move for one to become the other. A rule that
drops the share d of documents can shift it by d at most: then what it drops and what it leaves have no place in common.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from corpus.web.report.sums import Sums

RULES, EVERYTHING = "all rules", "all that is dropped"
NO_DOMAIN, ADDRESS = "(none)", "(address)"
"""Top-level domains of documents without an address, and of hosts that are numbers."""
LOSERS = 3
"""Domains named for each rule."""
DOMAINS = 15
TLDS = 12


@dataclass(frozen=True, slots=True)
class ShareChange:
    """Documents of a domain before and after, and their shares of all documents then."""

    name: str
    before: int
    after: int
    before_share: float
    after_share: float

    @property
    def change(self) -> float:
        """By how much the share grows."""
        return self.after_share - self.before_share


@dataclass(frozen=True)
class Shift:
    """What is left when a rule alone is applied, or all of them (``RULES``), or all that the line drops (``EVERYTHING``: duplicates and benchmark overlap too).

    ``top_level`` are the top-level domains with most documents before, ``losers`` the registered domains whose share falls most.
    Distances are None where nothing is left.
    """

    name: str
    documents: int
    dropped_share: float
    top_level_distance: float | None
    domain_distance: float | None
    top_level: tuple[ShareChange, ...]
    losers: tuple[ShareChange, ...]

    @property
    def concentration(self) -> float | None:
        """Distance of domains over the share dropped: 0 where drops are spread as what is left, 1 where they share no domain with it.

        Few drops are never spread evenly, so that it is large for rules that drop little.
        """
        return self.domain_distance / self.dropped_share if self.domain_distance is not None and self.dropped_share else None


@dataclass(frozen=True)
class Shifts:
    """All shifts, those of single rules by documents that they drop."""

    documents: int
    registered_domains: int
    top_level_domains: int
    rules: tuple[Shift, ...]
    all_rules: Shift
    everything: Shift | None


class ShiftTally:
    """Counts documents by domain and what drops them; memory follows the domains times the rules that fail there."""

    def __init__(self) -> None:
        self._domains = Sums(("domain",), ("documents", "passing", "kept"))
        self._failing = Sums(("rule", "domain"), ("failing",))

    def add(self, rows: pl.DataFrame) -> None:
        """Count a range of judged documents."""
        known = rows.select(domain=pl.col("registered_domain").fill_null(""), rules="failed_rules", kept="kept")
        passing = (pl.col("rules").list.len() == 0).sum()
        self._domains.add(known.group_by("domain").agg(documents=pl.len(), passing=passing, kept=pl.col("kept").sum()))
        each = known.filter(pl.col("rules").list.len() > 0).explode("rules").rename({"rules": "rule"})
        self._failing.add(each.group_by("rule", "domain").agg(failing=pl.len()))

    def result(self, *, everything: bool) -> Shifts:
        """The shifts; ``everything`` where it is known what is kept besides what passes the rules."""
        domains = self._domains.frame().with_columns(top=pl.col("domain").map_elements(top_level_of, pl.String))
        failing = {str(rule): part for (rule,), part in self._failing.frame().partition_by("rule", as_dict=True).items()}
        by_rule = []
        for rule, part in sorted(failing.items(), key=lambda item: (-int(item[1]["failing"].sum()), item[0])):
            left = domains.join(part.select("domain", "failing"), on="domain", how="left").with_columns(
                after=pl.col("documents") - pl.col("failing").fill_null(0)
            )
            by_rule.append(_shift(rule, left))
        return Shifts(
            documents=int(domains["documents"].sum()),
            registered_domains=domains.filter(pl.col("domain") != "").height,
            top_level_domains=domains["top"].n_unique(),
            rules=tuple(by_rule),
            all_rules=_shift(RULES, domains.with_columns(after="passing"), DOMAINS),
            everything=_shift(EVERYTHING, domains.with_columns(after="kept"), DOMAINS) if everything else None,
        )


def top_level_of(domain: str) -> str:
    """The last label of a registered domain: ``it`` of ``comune.roma.it``."""
    if not domain:
        return NO_DOMAIN
    label = domain.rsplit(".", 1)[-1]
    return ADDRESS if label.isdigit() or ":" in domain else label


def _shift(name: str, domains: pl.DataFrame, losers: int = LOSERS) -> Shift:
    before, after = int(domains["documents"].sum()), int(domains["after"].sum())
    tops = domains.group_by("top").agg(pl.col("documents", "after").sum()).rename({"top": "name"})
    own = domains.select("documents", "after", name="domain")
    top_level, registered = _changes(tops, before, after), _changes(own, before, after)
    first = top_level.sort(["documents", "name"], descending=[True, False]).head(TLDS)
    losing = registered.filter(pl.col("change") < 0).sort("change", "name").head(losers)
    return Shift(
        name=name,
        documents=after,
        dropped_share=1 - after / before if before else 0.0,
        top_level_distance=_distance(top_level) if after else None,
        domain_distance=_distance(registered) if after else None,
        top_level=_entries(first),
        losers=_entries(losing),
    )


def _changes(counts: pl.DataFrame, before: int, after: int) -> pl.DataFrame:
    shares = counts.with_columns(was=pl.col("documents") / max(before, 1), now=pl.col("after") / max(after, 1))
    return shares.with_columns(change=pl.col("now") - pl.col("was"))


def _distance(changes: pl.DataFrame) -> float:
    return float(changes["change"].abs().sum()) / 2


def _entries(changes: pl.DataFrame) -> tuple[ShareChange, ...]:
    rows: Sequence[tuple[str, int, int, float, float]] = changes.select("name", "documents", "after", "was", "now").rows()
    return tuple(ShareChange(*row) for row in rows)
