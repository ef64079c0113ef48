"""Reading the corpus for people: the way from records to kept documents, and dropped pages. One page's story is ``story``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from corpus.web.personal_data import masked
from corpus.web.personal_kinds import KINDS
from corpus.web.settings import PersonalDataSettings
from foundation.store import PublishedVersion

EVERY_KIND = PersonalDataSettings(kinds=KINDS)  # type: ignore[arg-type]
"""What samples are masked by where no settings are at hand; numbers that need a context word stay."""


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


def dropped_examples(
    clean: PublishedVersion, documents: Mapping[str, PublishedVersion], n: int = 10, personal_data: PersonalDataSettings = EVERY_KIND
) -> list[dict[str, Any]]:
    """Dropped documents with their reasons, as many different reasons as there are; text is cut to its first 300 characters, and
    its personal data masked; where the rows of documents were pruned, it is what the ledger retains."""
    dropped = clean.scan("ledger").filter(~pl.col("kept")).collect().sort("document_id")
    if dropped.is_empty():
        return []
    turn = dropped.with_columns(turn=pl.int_range(pl.len()).over("reason")).sort("turn", "reason", "document_id").head(n)
    ids = turn["document_id"].to_list()
    texts = pl.concat(
        [
            pl.DataFrame(schema={"document_id": pl.String, "text": pl.String}),
            *(
                version.scan("documents").filter(pl.col("document_id").is_in(ids)).select("document_id", pl.col("text").str.slice(0, 400)).collect()
                for version in documents.values()
                if "documents" not in version.pruned
            ),
        ]
    )
    turn = turn.join(texts, on="document_id", how="left", maintain_order="left").with_columns(text=pl.coalesce("text", "dropped_text"))
    shown = [None if text is None else masked(text[:400], personal_data)[:300] for text in turn["text"]]
    columns = ["url", "reason", "failed_rules", "characters", "text"]
    return turn.with_columns(text=pl.Series(shown, dtype=pl.String)).select(columns).to_dicts()
