"""Commands about the warehouse: what is there, whether it is whole, tags. Comparing and exporting is ``versions``, uploading ``pushing``, removing ``collection`` and ``erasing``."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Annotated

import typer

from dagster_project.cli import collection, erasing, pushing, versions
from dagster_project.cli.versions import check_asset
from dagster_project.factory import open_home_store
from dagster_project.profile import load_profile
from dagster_project.tables import human_age, human_bytes, text_table
from foundation.errors import TransumanzaError
from foundation.store import NotPublished, PublishedVersion, Store, StoreError
from foundation.store.ancestry import Ancestor, ancestry
from foundation.store.layout import TAGS, asset_name

_FILES_SHOWN = 20

app = typer.Typer(help="The warehouse: versions, their lineage, what differs between them, whether they are whole, what nobody needs.", no_args_is_help=True)
app.command("diff")(versions.diff_versions)
app.command("export")(versions.export)
app.command("push")(pushing.push_release)
app.command("gc")(collection.gc)
app.command("erase")(erasing.erase_addresses)


def _store() -> Store:
    return open_home_store()


@app.command("list")
def list_versions(
    every: Annotated[bool, typer.Option("--all", help="Every version, also those that no reference names, with its age and what holds it.")] = False,
) -> None:
    """List every asset with its references, versions, rows and size."""
    store = _store()
    if every:
        _list_all(store)
    else:
        rows = []
        for asset, partition in store.places():
            for ref in store.refs(asset, partition):
                published = store.published(store.record(asset, partition, ref=ref))
                rows.append((asset_name(asset, partition), ref, published.version, f"{published.rows:,}", _size(published)))
        typer.echo(text_table(("asset", "reference", "version", "rows", "size"), rows, right=(3, 4)) if rows else "nothing is published yet; `transumanza demo` makes the whole line")
    typer.echo(f"\nstore: {store}")


def _list_all(store: Store) -> None:
    from foundation.store.collection import plan_collection

    now = time.time()
    plan = plan_collection(store, now=now)
    references = defaultdict(list)
    for (_, _, name), (version, _) in plan.holdings.references.items():
        references[version].append(name)
    rows = []
    for version, written in plan.holdings.versions.items():
        published = store.version(version)
        hold = plan.needed.versions.get(version)
        held = ", ".join(references[version]) or (hold.value if hold else "nothing; gc removes it")
        builds = len(plan.holdings.makers(version))
        rows.append((asset_name(version.asset, version.partition), version.version, human_age(now - written), builds, f"{published.rows:,}", _size(published), held))
    typer.echo(text_table(("asset", "version", "age", "builds", "rows", "size", "held by"), rows, right=(2, 3, 4, 5)))


def _size(published: PublishedVersion) -> str:
    return f"{human_bytes(published.bytes_left)}{' (rows pruned)' if published.pruned else ''}"


@app.command()
def show(
    asset: Annotated[str, typer.Argument(help="The asset.")],
    partition: Annotated[str | None, typer.Option(help="The snapshot, for a partitioned asset.")] = None,
    version: Annotated[
        str | None, typer.Option("--version", "--ref", help="A profile's name, a tag, or the beginning of a version.", show_default="the profile")
    ] = None,
    lineage: Annotated[bool, typer.Option("--lineage", help="Print the whole ancestry as a tree, down to crawl files, rule sets and user files.")] = False,
    every_file: Annotated[bool, typer.Option("--every-file", help="With --lineage: all files, however many.")] = False,
) -> None:
    """Show a version: files, rows, statistics, gates, and what it was made of."""
    store = _store()
    check_asset(store, asset)
    record = store.find(asset, partition, version) if version else store.record(asset, partition, ref=load_profile().profile.name)
    if lineage:
        typer.echo("\n".join(line for one in ancestry(store, record) for line in _described(one, every_file)))
        return
    published = store.published(record)
    document = {
        "asset": asset,
        "partition": partition,
        "version": record.version,
        "path": str(published.path),
        "tables": {name: {"rows": table["rows"], "columns": [column["name"] for column in table["schema"]]} for name, table in published.manifest["tables"].items()},
        "pruned": list(published.pruned),
        "files": len(published.manifest["files"]),
        "bytes": published.bytes,
        "statistics": record.statistics,
        "gates": [{"name": gate.name, "passed": gate.passed, "value": gate.value, "threshold": gate.threshold} for gate in record.gates],
        "made_of": record.inputs["upstream"],
        "started_at": record.started_at,
        "seconds": record.seconds,
    }
    typer.echo(json.dumps(document, indent=1, ensure_ascii=False))


@app.command()
def tag(
    asset: Annotated[str, typer.Argument(help="The asset.")],
    name: Annotated[str, typer.Argument(help="The tag: letters, digits, '.', '_', '-'.")],
    partition: Annotated[str | None, typer.Option(help="The snapshot, for a partitioned asset.")] = None,
    version: Annotated[
        str | None, typer.Option(help="A reference, another tag, or the beginning of a version.", show_default="the profile's present version")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Move a tag that names another build.")] = False,
    delete: Annotated[bool, typer.Option("--delete", help="Remove the tag; the version stays until gc finds that nothing needs it.")] = False,
) -> None:
    """Give a version a name that no profile moves: the version, and all that it was made of, is kept by gc."""
    store = _store()
    check_asset(store, asset)
    if delete:
        if force or version:
            raise TransumanzaError("--delete goes with neither --force nor --version; name the tag alone")
        store.untag(asset, partition, name)
        typer.echo(f"{asset_name(asset, partition)} has no tag {name} any more")
        return
    record = store.find(asset, partition, version) if version else store.record(asset, partition, ref=load_profile().profile.name)
    store.tag(record, name, force=force)
    failed = "" if record.passed else "; its gates failed, so that reading it by the tag is an error unless it is allowed by name"
    typer.echo(f"{TAGS}/{name} names {store.published(record)}{failed}")


@app.command()
def verify(
    hashes: Annotated[bool, typer.Option("--hashes/--sizes", help="Read every file and compare its sha256, or sizes only.")] = True,
) -> None:
    """Compare every referenced version with its manifest."""
    store = _store()
    faults: list[str] = []
    checked: dict[PublishedVersion, bool] = {}
    for asset, partition in store.places():
        for ref in store.refs(asset, partition):
            try:
                published: PublishedVersion = store.published(store.record(asset, partition, ref=ref))
            except (NotPublished, StoreError) as error:
                faults.append(str(error))
                continue
            if published not in checked:
                found = published.damage(hashes=hashes)
                faults.extend(found)
                checked[published] = not found and bool(published.pruned)
    for fault in faults:
        typer.echo(fault)
    if not checked and not faults:
        raise TransumanzaError(f"nothing is published in {store}")
    if faults:
        raise TransumanzaError(f"{len(faults)} files are damaged; materialize their assets again")
    pruned = sum(checked.values())
    typer.echo(f"{len(checked)} versions are whole{f', {pruned} of them without the rows that were pruned' if pruned else ''}")


def _described(one: Ancestor, every: bool) -> Iterator[str]:
    """An ancestor as lines of a tree: what it is, and the files that decided what it holds."""
    indent = "  " * one.depth
    if one.record is None:
        yield f"{indent}{one.key} ({one.note})"
        return
    yield f"{indent}{one.key}  {one.record.started_at[:16]}  code {one.record.inputs['code_version']}{'  (see above)' if one.repeated else ''}"
    shown = one.files if every else one.files[:_FILES_SHOWN]
    yield from (f"{indent}  {file.kind} {file.path}{f' sha256 {file.sha256}' if file.sha256 else ' (never read as a whole)'}" for file in shown)
    if len(shown) < len(one.files):
        yield f"{indent}  and {len(one.files) - len(shown):,} more files; --every-file names them"
