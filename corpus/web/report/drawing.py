"""Random documents without reading all: document ids are hashes, so that documents in a row by id are a random sample.

The seed says where the row begins; after the last id it goes on at the first. The same seed draws the same documents from every table, and
mostly the same ones from the next version of it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import polars as pl

_ID_DIGITS = 32
_IDS = 16**_ID_DIGITS


@dataclass(frozen=True)
class Draw:
    """The order in which documents are drawn under a seed."""

    seed: int

    @property
    def start(self) -> str:
        """The id that the row begins at."""
        return hashlib.sha256(f"draw\x00{self.seed}".encode()).hexdigest()[:_ID_DIGITS]

    def order(self) -> list[pl.Expr]:
        """What to sort by: ids from the start on, then those before it."""
        key = pl.col("document_id")
        return [key < pl.lit(self.start), key]

    def window(self, wanted: int, total: int) -> pl.Expr:
        """The condition that about ``wanted`` of ``total`` documents meet: those first in order. All where there are no more."""
        if wanted >= total:
            return pl.lit(value=True)
        key, start = pl.col("document_id"), int(self.start, 16)
        end = start + wanted * _IDS // total
        if end <= _IDS:
            return (key >= pl.lit(self.start)) & (key < pl.lit(_hex(end)))
        return (key >= pl.lit(self.start)) | (key < pl.lit(_hex(end - _IDS)))


def _hex(place: int) -> str:
    """A place among ids; one past the last sorts after all of them."""
    return f"{place:0{_ID_DIGITS}x}" if place < _IDS else "g"


class DroppedDraw:
    """Of the documents that each reason drops, the first few in order; where a rule drops none first, of those that fail it."""

    def __init__(self, draw: Draw, wanted: int) -> None:
        self._order, self._wanted = draw.order(), wanted
        self._first = self._failing = pl.DataFrame(schema={"reason": pl.String, "document_id": pl.String, "snapshot": pl.String})

    def add(self, rows: pl.DataFrame) -> None:
        """Look at a range of judged documents."""
        dropped = rows.filter(~pl.col("kept")).select("reason", "document_id", "snapshot", "failed_rules")
        self._first = self._kept(self._first, dropped.select("reason", "document_id", "snapshot"))
        failing = dropped.filter(pl.col("failed_rules").list.len() > 1).explode("failed_rules")
        self._failing = self._kept(self._failing, failing.select("document_id", "snapshot", reason="failed_rules"))

    def _kept(self, known: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
        together = pl.concat([known, new.select(known.columns)]).sort(self._order)
        return together.group_by("reason", maintain_order=True).head(self._wanted)

    def result(self) -> pl.DataFrame:
        """Rows of reason, document_id and snapshot, by reason and in the order drawn."""
        others = self._failing.join(self._first.select("reason").unique(), on="reason", how="anti")
        return pl.concat([self._first, others]).sort("reason", *self._order)
