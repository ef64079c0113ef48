"""Reading the corpus for people: the way from records to kept documents, dropped pages, and one page's story."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from foundation.store import PublishedVersion


def waterfall(documents: Mapping[str, PublishedVersion], clean: PublishedVersion) -> list[tuple[str, int]]:
    """What was left after each step, from records of the crawl to published documents.

    The last entries walk through the ledger's reasons in their order of frequency.
    """
    statistics = [version.statistics for version in documents.values()]
    steps = [("records", sum(entry["records"] for entry in statistics))]
    left = steps[0][1]
    reasons: dict[str, int] = {}
    for entry in statistics:
        for reason, pages in entry["skipped"].items():
            reasons[reason] = reasons.get(reason, 0) + pages
    for reason, pages in sorted(reasons.items(), key=lambda item: (-item[1], item[0])):
        left -= pages
        steps.append((f"without {reason}", left))
    dropped = clean.scan("ledger").filter(~pl.col("kept")).group_by("reason").len().collect()
    for reason, pages in sorted(dropped.iter_rows(), key=lambda item: (-item[1], item[0])):
        left -= pages
        steps.append((f"without {reason}", left))
    return steps


def dropped_examples(clean: PublishedVersion, documents: Mapping[str, PublishedVersion], n: int = 10) -> list[dict[str, Any]]:
    """Dropped documents with their reasons, as many different reasons as there are; text is cut to its first 300 characters."""
    dropped = clean.scan("ledger").filter(~pl.col("kept")).collect().sort("document_id")
    if dropped.is_empty():
        return []
    turn = dropped.with_columns(turn=pl.int_range(pl.len()).over("reason")).sort("turn", "reason", "document_id").head(n)
    ids = turn["document_id"].to_list()
    texts = pl.concat(
        [
            version.scan("documents").filter(pl.col("document_id").is_in(ids)).select("document_id", pl.col("text").str.slice(0, 300)).collect()
            for version in documents.values()
        ]
    )
    columns = ["url", "reason", "failed_rules", "characters", "text"]
    return turn.join(texts, on="document_id", how="left", maintain_order="left").select(columns).to_dicts()


def why(url: str, documents: Mapping[str, PublishedVersion], clean: PublishedVersion | None) -> list[dict[str, Any]]:
    """What became of an address: one entry for each capture that is known of; empty where nothing is.

    Documents are looked up in the ledger; pages that never became documents only among the examples that the skipped
    table keeps.
    """
    found: list[dict[str, Any]] = []
    for snapshot, version in documents.items():
        skipped = version.scan("skipped").filter(pl.col("examples").list.contains(url)).collect()
        found.extend(
            {"snapshot": snapshot, "url": url, "kept": False, "step": "documents", "reason": row["reason"], "language": row["language"]}
            for row in skipped.iter_rows(named=True)
        )
    if clean is not None:
        ledger = clean.scan("ledger")
        for row in ledger.filter(pl.col("url") == url).collect().iter_rows(named=True):
            entry = {"step": "decisions" if row["failed_rules"] else "clean_corpus", **row}
            if row["reason"] == "duplicate":
                kept = ledger.filter((pl.col("cluster_id") == row["cluster_id"]) & pl.col("kept")).select("url").collect()
                entry["kept_instead"] = kept["url"].to_list()
            found.append(entry)
    return found
