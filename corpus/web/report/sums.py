"""Sums by key over ranges of documents, folded as they grow: memory follows the number of keys, not of documents."""

from __future__ import annotations

import polars as pl

FOLD_ROWS = 1_000_000


class Sums:
    """Sums of integer columns by one or more string columns."""

    def __init__(self, keys: tuple[str, ...], values: tuple[str, ...]) -> None:
        schema = {**dict.fromkeys(keys, pl.String()), **dict.fromkeys(values, pl.Int64())}
        self._keys, self._values = list(keys), list(values)
        self._parts = [pl.DataFrame(schema=schema)]
        self._folded = self._rows = 0

    def add(self, grouped: pl.DataFrame) -> None:
        """Add rows of keys and values; a key may stand in several of them."""
        part = grouped.select(*self._keys, pl.col(self._values).cast(pl.Int64))
        self._parts.append(part)
        self._rows += part.height
        if self._rows > max(FOLD_ROWS, 2 * self._folded):
            self._parts = [self.frame()]
            self._folded = self._rows = self._parts[0].height

    def frame(self) -> pl.DataFrame:
        """One row for each key, in order of the keys."""
        return pl.concat(self._parts).group_by(self._keys).agg(pl.col(self._values).sum()).sort(self._keys)
