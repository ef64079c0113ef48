"""What a report reads: the published versions, and the snapshots for which they are of the same documents."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from corpus.web.errors import WebCorpusError
from corpus.web.signals import shards_of
from foundation.store import PublishedVersion

RANGE_ROWS = 50_000
"""Documents in memory at a time; of the narrow columns that reports read, some 50 MB."""
SIGNAL_COLUMNS = ("document_id", "characters", "words", "bad_words", "bad_word_hits")

JudgedBy = Literal["clean_corpus", "decisions"]


@dataclass(frozen=True)
class CorpusVersions:
    """What is published: by snapshot, and the clean corpus of all of them where there is one. ``snapshots`` are the profile's."""

    snapshots: tuple[str, ...]
    documents: Mapping[str, PublishedVersion]
    signals: Mapping[str, PublishedVersion]
    decisions: Mapping[str, PublishedVersion]
    clean: PublishedVersion | None = None


@dataclass(frozen=True)
class Coverage:
    """What a report can speak of.

    ``judged_by`` is the table that says what became of each document: the clean corpus's ledger, else decisions (rules alone, no
    duplicates), else none. ``version`` names its content. ``missing`` says in sentences what is left out, and why.
    """

    judged_by: JudgedBy | None
    snapshots: tuple[str, ...]
    version: str
    missing: tuple[str, ...]


def cover(versions: CorpusVersions) -> Coverage:
    """The furthest that the versions reach, and with how many snapshots.

    Raises:
        WebCorpusError: no snapshot has documents.
    """
    missing = [f"{name}: its documents are not published" for name in versions.snapshots if name not in versions.documents]
    pruned = [name for name in versions.snapshots if name in versions.documents and versions.documents[name].pruned]
    missing += [f"{name}: the rows of its documents were pruned; materialize documents to bring them back" for name in pruned]
    known = [name for name in versions.snapshots if name in versions.documents and name not in pruned]
    if not known:
        raise WebCorpusError(f"no snapshot of {list(versions.snapshots)} has published documents with their rows; materialize documents of one first")
    attempts: list[tuple[JudgedBy, Callable[[str], str | None]]] = [("decisions", lambda name: _against_decisions(versions, name))]
    if versions.clean is None:
        missing.append("clean_corpus is not published: duplicates, benchmark overlap and what is kept are unknown")
    else:
        ledger = versions.clean.scan("ledger").group_by("snapshot").len().collect()
        counts: dict[str, int] = dict(ledger.iter_rows())
        missing += [f"{name}: clean_corpus holds it, and the profile does not name it" for name in sorted(set(counts) - set(versions.snapshots))]
        attempts.insert(0, ("clean_corpus", lambda name: _against_ledger(versions, name, counts.get(name, 0))))
    for judged_by, fault_of in attempts:
        faults = {name: fault_of(name) for name in known}
        missing += [f"{name}: {fault}" for name, fault in faults.items() if fault is not None]
        covered = tuple(name for name, fault in faults.items() if fault is None)
        if covered:
            return Coverage(judged_by, covered, _version(versions, judged_by, covered), tuple(missing))
    return Coverage(None, tuple(known), _version(versions, None, tuple(known)), tuple(missing))


def _version(versions: CorpusVersions, judged_by: JudgedBy | None, snapshots: Sequence[str]) -> str:
    if judged_by == "clean_corpus" and versions.clean is not None:
        return f"clean_corpus@{versions.clean.version}"
    asset, by_snapshot = ("documents", versions.documents) if judged_by is None else ("decisions", versions.decisions)
    listed = "\n".join(f"{name} {by_snapshot[name].version}" for name in snapshots)
    return f"{asset}@{hashlib.sha256(listed.encode()).hexdigest()[:16]}"


def _against_ledger(versions: CorpusVersions, name: str, rows: int) -> str | None:
    if not rows:
        return "it is not in the clean corpus; materialize decisions, duplicate_clusters and clean_corpus"
    assert versions.clean is not None
    ledger = versions.clean.scan("ledger").filter(pl.col("snapshot") == name)
    return _fault(versions, name, "clean_corpus", rows, ledger)


def _against_decisions(versions: CorpusVersions, name: str) -> str | None:
    if name not in versions.decisions:
        return "its decisions are not published, so that nothing is known of rules"
    decisions = versions.decisions[name]
    return _fault(versions, name, "decisions", _rows(decisions, "decisions"), decisions.scan("decisions"))


def _fault(versions: CorpusVersions, name: str, judging: str, rows: int, judged: pl.LazyFrame) -> str | None:
    """Why the versions of a snapshot do not belong together; None where they do."""
    if name not in versions.signals:
        return "its signals are not published"
    documents, signals = versions.documents[name], versions.signals[name]
    unknown = set(SIGNAL_COLUMNS) - {str(column["name"]) for column in signals.manifest["tables"]["signals"]["schema"]}
    if unknown:
        return f"its signals are of an earlier release, without {sorted(unknown)}; materialize signals again"
    counts = {"documents": _rows(documents, "documents"), "signals": _rows(signals, "signals"), judging: rows}
    if len(set(counts.values())) > 1:
        return f"its versions are of different documents ({', '.join(f'{asset}: {count}' for asset, count in counts.items())}); materialize signals, decisions and what follows again"
    for part, between in ranges(signals.table_files("signals")):
        measured = part.select("document_id", "characters").collect()
        extracted = documents.scan("documents").filter(between).select("document_id", "characters").collect().sort("document_id")
        if not extracted.equals(measured):
            return "its signals are of other documents than are published now; materialize signals, decisions and what follows again"
        if not judged.filter(between).select("document_id").collect().sort("document_id").equals(measured.select("document_id")):
            return f"{judging} speaks of other documents than its signals; materialize {judging} again"
    return None


def ranges(files: Sequence[Path]) -> Iterator[tuple[pl.LazyFrame, pl.Expr]]:
    """Ranges of a table in order of document id, each with the condition that finds its documents in other tables."""
    for path, start, rows in shards_of(list(files), RANGE_ROWS):
        part = pl.scan_parquet(path, glob=False).slice(start, rows)
        low, high = part.select(low=pl.col("document_id").min(), high=pl.col("document_id").max()).collect().row(0)
        yield part, pl.col("document_id").is_between(pl.lit(low, pl.String), pl.lit(high, pl.String))


def judged_rows(versions: CorpusVersions, coverage: Coverage) -> Iterator[pl.DataFrame]:
    """All documents that were judged, a range at a time: document_id, snapshot, registered_domain, characters, words, bad_words,
    bad_word_hits, failed_rules, reason (null where nothing drops it) and kept."""
    for name in coverage.snapshots if coverage.judged_by else ():
        for part, between in ranges(versions.signals[name].table_files("signals")):
            measured = part.select(SIGNAL_COLUMNS).collect()
            outcome = _outcomes(versions, coverage, name, between).collect()
            yield measured.join(outcome, on="document_id", how="inner", validate="1:1", maintain_order="left").with_columns(snapshot=pl.lit(name))


def _outcomes(versions: CorpusVersions, coverage: Coverage, name: str, between: pl.Expr) -> pl.LazyFrame:
    if coverage.judged_by == "clean_corpus" and versions.clean is not None:
        ledger = versions.clean.scan("ledger").filter((pl.col("snapshot") == name) & between)
        return ledger.select("document_id", "registered_domain", "failed_rules", "reason", "kept")
    decided = versions.decisions[name].scan("decisions").filter(between)
    domains = versions.documents[name].scan("documents").filter(between).select("document_id", "registered_domain")
    return decided.select("document_id", "failed_rules", reason="first_failed", kept="passes_rules").join(domains, on="document_id", how="inner")


def _rows(version: PublishedVersion, table: str) -> int:
    return int(version.manifest["tables"][table]["rows"])
