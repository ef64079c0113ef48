"""The difference between two versions of an asset: schema, rows by key, files, statistics; names and counts, never values of rows.

What the manifests' digests already prove equal is not read: an unchanged table costs nothing, and where the keys are the
same in both only the columns that differ are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import polars as pl

from foundation.store.matching import SPLIT, matched
from foundation.store.published import PublishedVersion


@dataclass
class TableDiff:
    """What became of a table that both versions hold.

    ``retyped``: type and nullability before and after, by column; where the types cannot be compared, every value counts as changed. ``moved`` rows are in another split; ``changed`` rows hold another value, ``columns`` says in which column how
    many. ``not_matched`` says why rows were not compared. ``examples``: the first keys of each kind, of changed rows with the columns.
    """

    rows_before: int
    rows_after: int
    columns_added: list[str] = field(default_factory=list)
    columns_removed: list[str] = field(default_factory=list)
    retyped: dict[str, tuple[str, str]] = field(default_factory=dict)
    key_before: list[str] = field(default_factory=list)
    key_after: list[str] = field(default_factory=list)
    added: int = 0
    removed: int = 0
    changed: int = 0
    moved: int = 0
    columns: dict[str, int] = field(default_factory=dict)
    not_matched: str | None = None
    examples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def same_rows(self) -> bool:
        """Whether nothing was added, removed, moved or changed."""
        return self.not_matched is None and not (self.added or self.removed or self.changed or self.moved)

    @property
    def same(self) -> bool:
        """Whether rows, columns and key are the same."""
        return self.same_rows and not (self.columns_added or self.columns_removed or self.retyped) and self.key_before == self.key_after


@dataclass(frozen=True)
class VersionDiff:
    """What became of a version. ``files`` by path; ``statistics`` before and after, by dotted name, ``None`` where there was none."""

    before: str
    after: str
    tables_added: tuple[str, ...]
    tables_removed: tuple[str, ...]
    tables: Mapping[str, TableDiff]
    files_added: tuple[str, ...]
    files_removed: tuple[str, ...]
    files_changed: tuple[str, ...]
    statistics: Mapping[str, tuple[Any, Any]]

    def as_dict(self) -> dict[str, Any]:
        """The difference as JSON values."""
        return asdict(self)


def diff(before: PublishedVersion, after: PublishedVersion, examples: int = 5) -> VersionDiff:
    """Compare two versions.

    Args:
        before: one version.
        after: another one of the same asset, or of one with tables of the same names.
        examples: keys to name of each kind of change.

    Raises:
        Pruned: rows that would have to be read were pruned.
    """
    old, new = before.manifest, after.manifest
    files = [{entry["path"]: entry["sha256"] for entry in manifest["files"]} for manifest in (old, new)]
    return VersionDiff(
        str(before),
        str(after),
        tables_added=tuple(name for name in new["tables"] if name not in old["tables"]),
        tables_removed=tuple(name for name in old["tables"] if name not in new["tables"]),
        tables={name: _table(before, after, name, examples) for name in new["tables"] if name in old["tables"]},
        files_added=tuple(sorted(files[1].keys() - files[0].keys())),
        files_removed=tuple(sorted(files[0].keys() - files[1].keys())),
        files_changed=tuple(sorted(path for path in files[0].keys() & files[1].keys() if files[0][path] != files[1][path])),
        statistics=_changed_values(old["statistics"], new["statistics"]),
    )


def _table(before: PublishedVersion, after: PublishedVersion, name: str, examples: int) -> TableDiff:
    old, new = (version.manifest["tables"][name] for version in (before, after))
    columns = [{column["name"]: (column["type"], column["nullable"]) for column in table["schema"]} for table in (old, new)]
    common = [column for column in columns[1] if column in columns[0]]
    found = TableDiff(
        old["rows"],
        new["rows"],
        columns_added=[column for column in columns[1] if column not in columns[0]],
        columns_removed=[column for column in columns[0] if column not in columns[1]],
        retyped={column: (_type(*columns[0][column]), _type(*columns[1][column])) for column in common if columns[0][column] != columns[1][column]},
        key_before=old["key"],
        key_after=new["key"],
    )
    if {split: part["digest"] for split, part in old["splits"].items()} == {split: part["digest"] for split, part in new["splits"].items()}:
        return found
    if old["key"] != new["key"]:
        found.not_matched = "the key is another one"
    elif [columns[0][column][0] for column in old["key"]] != [columns[1][column][0] for column in new["key"]]:
        found.not_matched = "the key has other types"
    else:
        _compare_rows(before, after, name, _columns_to_read(old, new, common), examples, found)
    return found


def _type(name: str, nullable: bool) -> str:
    return name if nullable else f"{name} not null"


def _columns_to_read(old: Mapping[str, Any], new: Mapping[str, Any], common: Sequence[str]) -> list[str]:
    """Columns that both hold and that may differ: where all keys are the same in the same order, those with another digest."""
    values = [column for column in common if column not in new["key"]]
    if old["order"] != new["order"] or list(old["splits"]) != list(new["splits"]):
        return values
    parts = [(old["splits"][split], new["splits"][split]) for split in new["splits"]]

    def same(column: str) -> bool:
        return all(one["rows"] == other["rows"] and one["columns"][column] == other["columns"][column] for one, other in parts)

    return [column for column in values if not same(column)] if all(same(column) for column in new["key"]) else values


def _compare_rows(before: PublishedVersion, after: PublishedVersion, name: str, columns: Sequence[str], examples: int, found: TableDiff) -> None:
    order, key = after.manifest["tables"][name]["order"], found.key_after
    # Splits are stored in the table's order; where that is the key in another sequence, it serves as well.
    sequence = list(order) if set(order) == set(key) else list(key)
    counts = dict.fromkeys(columns, 0)
    kept: dict[str, list[dict[str, Any]]] = {"added": [], "removed": [], "moved": [], "changed": []}
    for old, new in matched(before, after, name, sequence, columns):
        old_rows, new_rows = _pairs(old, new, sequence)
        found.removed += old.height - old_rows.height
        found.added += new.height - new_rows.height
        differing = {column: _differs(old_rows[column], new_rows[column]) for column in columns}
        changed = pl.repeat(False, new_rows.height, dtype=pl.Boolean, eager=True)
        for column, flags in differing.items():
            counts[column] += int(flags.sum())
            changed = changed | flags
        moved = _differs(old_rows[SPLIT], new_rows[SPLIT])
        found.changed += int(changed.sum())
        found.moved += int(moved.sum())
        if len(kept["removed"]) < examples and old.height > old_rows.height:
            kept["removed"] += old.join(new, on=sequence, how="anti", nulls_equal=True).select(key).to_dicts()
        if len(kept["added"]) < examples and new.height > new_rows.height:
            kept["added"] += new.join(old, on=sequence, how="anti", nulls_equal=True).select(key).to_dicts()
        if len(kept["moved"]) < examples and moved.any():
            kept["moved"] += new_rows.filter(moved).select(key).head(examples).to_dicts()
        if len(kept["changed"]) < examples and changed.any():
            for index in changed.arg_true().head(examples):
                where = [column for column, flags in differing.items() if flags[index]]
                kept["changed"].append({"key": new_rows.select(key).row(index, named=True), "columns": where})
    found.columns = {column: count for column, count in counts.items() if count}
    found.examples = {kind: rows[:examples] for kind, rows in kept.items() if rows[:examples]}


def _pairs(old: pl.DataFrame, new: pl.DataFrame, key: Sequence[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows of both whose keys are in both, side by side in the order of the second."""
    if old.select(key).equals(new.select(key)):
        return old, new
    places = [frame.select(key).with_row_index(name) for frame, name in ((old, "old row"), (new, "new row"))]
    both = places[1].join(places[0], on=list(key), how="inner", nulls_equal=True, maintain_order="left")
    return old[both["old row"]], new[both["new row"]]


def _differs(old: pl.Series, new: pl.Series) -> pl.Series:
    """Row by row, whether two columns differ; of columns whose types cannot be compared, everywhere."""
    if old.dtype == new.dtype or (old.dtype.is_numeric() and new.dtype.is_numeric()):
        return old.ne_missing(new)
    return pl.repeat(True, new.len(), dtype=pl.Boolean, eager=True)


def _changed_values(old: Any, new: Any, path: str = "") -> dict[str, tuple[Any, Any]]:
    """Values that differ between two nested mappings, by dotted name."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        found: dict[str, tuple[Any, Any]] = {}
        for name in sorted(old.keys() | new.keys()):
            found |= _changed_values(old.get(name), new.get(name), f"{path}.{name}" if path else str(name))
        return found
    return {} if old == new else {path: (old, new)}
