"""What a published table is: its name, explicit Arrow schema, key, canonical order and declared decimals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from foundation.store.errors import StoreError


@dataclass(frozen=True)
class TableSpec:
    """The declaration of a table, shared by its writer, its readers and its card.

    ``key`` columns identify a row uniquely over all splits. ``order`` columns (default: the key) give the canonical
    order in which rows are written and hashed; the key is appended to make it total. ``decimals`` declares, for each
    float column, to how many decimals values are rounded before they are hashed and written, so that the last bits of
    a sum never make a new version.
    """

    name: str
    schema: pa.Schema
    key: tuple[str, ...]
    order: tuple[str, ...] | None = None
    decimals: Mapping[str, int] = field(default_factory=dict)
    splits: tuple[str, ...] = ("train",)
    description: str = ""
    mixes_documents: bool = False

    def __post_init__(self) -> None:
        known = set(self.schema.names)
        for column in (*self.key, *(self.order or ()), *self.decimals):
            if column not in known:
                raise StoreError(f"table {self.name}: declared column {column!r} is not in its schema {sorted(known)}")
        if not self.key:
            raise StoreError(f"table {self.name}: a key is needed; name the columns that identify a row")
        if not self.splits:
            raise StoreError(f"table {self.name}: at least one split is needed")

    @property
    def canonical_order(self) -> tuple[str, ...]:
        """The order columns followed by the key columns that they do not already hold: a total order."""
        order = self.order or self.key
        return (*order, *(column for column in self.key if column not in order))

    @property
    def order_implies_unique_key(self) -> bool:
        """Whether strictly ascending rows already prove that keys are unique (one split, order by the key)."""
        return set(self.canonical_order) == set(self.key) and len(self.splits) == 1


def schema_document(schema: pa.Schema) -> list[dict[str, object]]:
    """The schema as JSON: one entry per column, in order."""
    return [{"name": column.name, "type": str(column.type), "nullable": column.nullable} for column in schema]
