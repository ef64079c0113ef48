"""Samples for a person's eye: rows drawn by hash, source and translation side by side, as a sheet that is filled in and read back."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import polars as pl

from foundation.review.intervals import Interval, wilson
from foundation.review.sheets import SheetError, read_rows, sheet_text, unguarded
from foundation.store import PublishedVersion
from translation.report import chat_text, instruction_text

Verdict = Literal["good", "minor", "bad"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
"""``good``: meaning and form are right; ``minor``: understandable, with faults; ``bad``: wrong, not Italian, or damaged."""
COLUMNS = ("set", "table", "id", "source", "translation", "reasons", "verdict", "note", "version")
_NEEDED = ("set", "table", "id", "verdict", "version")
QUARANTINED_SHARE = 0.3
"""Of a sample, so many are rows that a gate rejected: they say whether the gates are right."""
_CHARACTERS = 1_500
_FAULTS_NAMED = 5


@dataclass(frozen=True, slots=True)
class Sample:
    """A row to judge; ``table`` says whether it was kept, ``reasons`` why it was not."""

    set: str
    table: str
    id: str
    source: str
    translation: str
    reasons: str
    version: str


@dataclass(frozen=True)
class TableReview:
    """Verdicts on one table of one set; ``usable`` is the share that is good or has minor faults."""

    set: str
    table: str
    counts: Mapping[str, int]
    good: Interval | None
    usable: Interval | None


@dataclass(frozen=True)
class SampleReview:
    """What a filled sheet says. Of kept rows ``usable`` is the precision of the gates; of quarantined ones, what they cost."""

    tables: tuple[TableReview, ...]
    unjudged: int

    def as_json(self) -> dict[str, Any]:
        """All figures as JSON values."""
        return asdict(self)


def draw(versions: Mapping[str, PublishedVersion], count: int, seed: int) -> list[Sample]:
    """So many rows of translated sets (``chats``, ``instructions``), shared evenly among them; the smallest hashes of seed and id."""
    samples: list[Sample] = []
    for place, (name, version) in enumerate(sorted(versions.items())):
        wanted = count // len(versions) + (place < count % len(versions))
        rejected = _drawn(version, name, "quarantine", round(wanted * QUARANTINED_SHARE), seed)
        kept = _drawn(version, name, name, wanted - len(rejected), seed)
        samples += [*kept, *rejected]
    return samples


def _drawn(version: PublishedVersion, name: str, table: str, count: int, seed: int) -> list[Sample]:
    ids = version.scan(table).select("id").collect()["id"].to_list()
    chosen = sorted(ids, key=lambda key: hashlib.sha256(f"{seed}:{key}".encode()).digest())[:count]
    rows = version.scan(table).filter(pl.col("id").is_in(chosen)).collect().to_dicts()
    text = chat_text if name == "chats" else instruction_text
    kept = "kept" if table == name else table
    return [
        Sample(name, kept, row["id"], text(row, "source_")[:_CHARACTERS], text(row, "")[:_CHARACTERS], " ".join(row.get("reasons", ())), str(version))
        for row in sorted(rows, key=lambda row: chosen.index(row["id"]))
    ]


def sheet_of(samples: Sequence[Sample]) -> str:
    """The sheet, verdicts and notes empty."""
    return sheet_text(COLUMNS, ([getattr(sample, name, "") for name in COLUMNS] for sample in samples))


def read_sheet(path: Path, versions: Mapping[str, PublishedVersion]) -> SampleReview:
    """The verdicts of a filled sheet.

    Args:
        path: the sheet.
        versions: the sets as they are published now; a sheet of other versions is refused.

    Raises:
        SheetError: it cannot be read, columns are missing, a verdict is none of ``VERDICTS``, or rows are of another version; names the rows.
    """
    faults: list[str] = []
    counts: dict[tuple[str, str], Counter[str]] = {}
    seen: dict[tuple[str, str], int] = {}
    unjudged = 0
    for number, cells in read_rows(path, _NEEDED):
        name, table, key, version = (unguarded(cells[column]) for column in ("set", "table", "id", "version"))
        verdict = cells["verdict"].strip().lower()
        if name not in versions or version != str(versions[name]):
            faults.append(f"row {number}: it is of {version or 'no version'}, and {versions.get(name, 'no such set')} is published now; write a new sheet")
        elif not verdict:
            unjudged += 1
        elif verdict not in VERDICTS:
            faults.append(f"row {number} ({key}): verdict {cells['verdict'].strip()!r} is none of {', '.join(VERDICTS)}")
        elif (name, key) in seen:
            faults.append(f"row {number} ({key}): judged in row {seen[name, key]} already; delete one of them")
        else:
            seen[name, key] = number
            counts.setdefault((name, table), Counter())[verdict] += 1
    if faults:
        more = f"; and {len(faults) - _FAULTS_NAMED} more" if len(faults) > _FAULTS_NAMED else ""
        raise SheetError(f"{path}: {'; '.join(faults[:_FAULTS_NAMED])}{more}")
    if not seen and not unjudged:
        raise SheetError(f"{path} holds no rows; `transumanza translate report` writes a sheet")
    tables = [
        TableReview(name, table, dict(found), wilson(found["good"], found.total()), wilson(found["good"] + found["minor"], found.total()))
        for (name, table), found in sorted(counts.items())
    ]
    return SampleReview(tuple(tables), unjudged)


def lines(review: SampleReview) -> list[str]:
    """A review in lines for a terminal."""
    shown = []
    for entry in review.tables:
        counts = ", ".join(f"{entry.counts.get(verdict, 0)} {verdict}" for verdict in VERDICTS)
        shown.append(f"{entry.set}, {entry.table}: {_said('usable', entry.usable)}, {_said('good', entry.good)} ({counts})")
    return [*shown, f"rows without a verdict: {review.unjudged}"]


def _said(what: str, interval: Interval | None) -> str:
    return f"nothing {what}" if interval is None else f"{interval.share:.0%} {what} (95 % interval {interval.low:.0%} to {interval.high:.0%})"
