"""Mixing: how often a document of the corpus is trained on, by its snapshot's weight and the repetitions that the corpus gives it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from training.conversations import seeded_order

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class Copy:
    """One reading of a document. ``key`` names it among all readings: the document's id, and for a further copy its number too."""

    document_id: str
    snapshot: str | None
    number: int

    @property
    def key(self) -> str:
        """The first copy is called as its document, so that a corpus without weights has the order it always had."""
        return f"{self.document_id}#{self.number}" if self.number else self.document_id


def copy_count(factor: float, document_id: str, seed: int) -> int:
    """How often a document is taken at a factor: its whole part, and once more for that share of documents which its fraction says.

    Who is in that share follows from sha256 of seed and id alone, so that a larger factor never takes less of a document.
    """
    whole = math.floor(factor)
    drawn = int.from_bytes(hashlib.sha256(f"{seed}:weight:{document_id}".encode()).digest()[:8], "big") / 2**64
    return whole + (drawn < factor - whole)


def ordered_copies(documents: pl.LazyFrame, weights: Mapping[str, float], seed: int) -> list[Copy]:
    """All readings of the documents in seeded order.

    Args:
        documents: ``document_id``; where they are there, ``repetitions`` multiply and ``snapshot`` finds the weight.
        weights: factor by snapshot; 1 for those not named.
    """
    have = [name for name in ("document_id", "snapshot", "repetitions") if name in documents.collect_schema().names()]
    copies: dict[str, Copy] = {}
    for row in documents.select(have).collect().iter_rows(named=True):
        snapshot = row.get("snapshot")
        factor = weights.get(snapshot or "", 1.0) * row.get("repetitions", 1)
        for number in range(copy_count(factor, row["document_id"], seed)):
            copy = Copy(row["document_id"], snapshot, number)
            copies[copy.key] = copy
    return [copies[key] for key in seeded_order(copies, seed)]
