"""The commands ``transumanza store diff`` and ``export``: two versions beside each other, and one out of the store."""

from __future__ import annotations

import contextlib
import errno
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dagster_project.factory import make_factory, open_home_store
from dagster_project.profile import load_profile
from dagster_project.tables import human_bytes
from foundation.errors import TransumanzaError
from foundation.store import PublishedVersion, Store
from foundation.store.builds import check_gates

if TYPE_CHECKING:
    from foundation.store.diff import TableDiff, VersionDiff

_STATISTICS_SHOWN = 40


def diff_versions(
    asset: Annotated[str, typer.Argument(help="The asset.")],
    before: Annotated[str, typer.Argument(help="A profile's name, a tag, or the beginning of a version.")],
    after: Annotated[str, typer.Argument(help="Likewise.")],
    partition: Annotated[str | None, typer.Option(help="The snapshot, for a partitioned asset.")] = None,
    examples: Annotated[int, typer.Option(help="Keys to name of each kind of change.", min=0)] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what differs between two versions: schema, rows by key, columns, files, statistics."""
    from foundation.store.diff import diff

    with held_versions(asset, partition, [before, after], "store diff") as (old, new):
        found = diff(old, new, examples)
    typer.echo(json.dumps(found.as_dict(), ensure_ascii=False, default=str) if as_json else "\n".join(_described(found)))


def export(
    asset: Annotated[str, typer.Argument(help="The asset.")],
    folder: Annotated[Path, typer.Argument(help="A folder that does not exist or is empty.")],
    partition: Annotated[str | None, typer.Option(help="The snapshot, for a partitioned asset.")] = None,
    version: Annotated[str | None, typer.Option(help="A profile's name, a tag, or the beginning of a version.", show_default="the profile")] = None,
    kind: Annotated[
        Literal["parquet", "jsonl", "csv"] | None, typer.Option("--format", help="Tables alone, in this format.", show_default="the version as it stands, a Hub repository")
    ] = None,
    table: Annotated[list[str] | None, typer.Option(help="Only this table; repeatable.", show_default="all")] = None,
    split: Annotated[str | None, typer.Option(help="Only this split.", show_default="all")] = None,
    copy: Annotated[bool, typer.Option("--copy", help="Copy files that could be links. A link is the store's own file: never change it in place.")] = False,
) -> None:
    """Bring a version, or tables of it, into a folder of their own; every file is checked against its sha256."""
    from foundation.store.export import export_repository, export_tables

    profile = load_profile().profile
    with held_versions(asset, partition, [version or profile.name], "store export", allow_failed_gates=profile.allow_failed_gates) as (published,):
        if kind is None and not table and split is None:
            done = export_repository(published, folder, copy=copy)
        else:
            done = export_tables(published, folder, kind or "parquet", tables=table or None, split=split, copy=copy)
    typer.echo(f"{published}: {done.files:,} files, {human_bytes(done.bytes)}, {done.linked:,} of them links to the store's own, in {folder}")


def check_asset(store: Store, asset: str) -> None:
    """Tell a name that is no asset from an asset that is not built yet.

    Raises:
        TransumanzaError: neither the store nor the profile has an asset of that name.
    """
    if asset not in store.assets() and asset not in (stages := make_factory(offline=True).stages):
        raise TransumanzaError(f"there is no asset {asset!r}; the profile has {', '.join(stages)}")


@contextlib.contextmanager
def held_versions(
    asset: str, partition: str | None, names: list[str], what: str, *, allow_failed_gates: tuple[str, ...] | None = None
) -> Iterator[list[PublishedVersion]]:
    """The versions that names stand for, held while they are read.

    Raises:
        TransumanzaError: a name stands for no version, or for one that is damaged or whose gates failed.
    """
    store = open_home_store()
    check_asset(store, asset)
    with contextlib.ExitStack() as stack:
        try:
            pin = stack.enter_context(store.pin(what))
            with store.undisturbed():
                found = _found(store, asset, partition, names, allow_failed_gates)
                pin.hold(found)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EROFS, errno.EPERM):
                raise
            found = _found(store, asset, partition, names, allow_failed_gates)  # a store that may only be read: nobody can be told
        for version in found:
            faults = version.damage()
            if faults:
                raise TransumanzaError(f"{version} is damaged: {faults[0]} ({len(faults)} in all); materialize {asset} again to restore it")
        yield found


def _found(store: Store, asset: str, partition: str | None, names: list[str], allow_failed_gates: tuple[str, ...] | None) -> list[PublishedVersion]:
    records = [store.find(asset, partition, name) for name in names]
    for record in records if allow_failed_gates is not None else ():
        check_gates(record, allow_failed_gates or ())
    return [store.published(record) for record in records]


def _described(found: VersionDiff) -> Iterator[str]:
    yield f"{found.before} → {found.after}"
    for name in found.tables_added:
        yield f"table {name}: new"
    for name in found.tables_removed:
        yield f"table {name}: gone"
    for name, table in found.tables.items():
        yield from _described_table(name, table)
    for what, paths in (("new", found.files_added), ("gone", found.files_removed), ("changed", found.files_changed)):
        yield from (f"file {path}: {what}" for path in paths)
    changed = list(found.statistics.items())
    if changed:
        yield "statistics:"
        yield from (f"  {name}: {_short(old)} → {_short(new)}" for name, (old, new) in changed[:_STATISTICS_SHOWN])
        if len(changed) > _STATISTICS_SHOWN:
            yield f"  and {len(changed) - _STATISTICS_SHOWN} more; --json has all"


def _described_table(name: str, table: TableDiff) -> Iterator[str]:
    if table.same:
        yield f"table {name}: the same {table.rows_after:,} rows"
        return
    if table.not_matched:
        yield f"table {name}: {table.rows_before:,} → {table.rows_after:,} rows, not compared: {table.not_matched}"
    else:
        counts = ", ".join(f"{count:,} {kind}" for kind, count in (("added", table.added), ("removed", table.removed), ("changed", table.changed), ("in another split", table.moved)))
        yield f"table {name}: {table.rows_before:,} → {table.rows_after:,} rows; {counts}"
    if table.key_before != table.key_after:
        yield f"  key: {', '.join(table.key_before)} → {', '.join(table.key_after)}"
    for what, columns in (("new", table.columns_added), ("gone", table.columns_removed)):
        yield from (f"  column {column}: {what}" for column in columns)
    yield from (f"  column {column}: {old} → {new}" for column, (old, new) in table.retyped.items())
    yield from (f"  column {column}: {count:,} values changed" for column, count in sorted(table.columns.items(), key=lambda item: (-item[1], item[0])))
    for kind, rows in table.examples.items():
        yield f"  {kind}, for instance:"
        yield from (f"    {_key(row)}" for row in rows)


def _key(row: dict[str, Any]) -> str:
    if "columns" in row and isinstance(row.get("key"), dict):
        return f"{_key(row['key'])}: {', '.join(row['columns'])}"
    return ", ".join(f"{name}={value}" for name, value in row.items())


def _short(value: Any) -> str:
    text = "none" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:79]}…"
