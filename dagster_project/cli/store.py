"""Commands about the warehouse."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from dagster_project.factory import home_folder
from dagster_project.profile import load_profile
from dagster_project.tables import human_bytes, text_table
from foundation.errors import TransumanzaError
from foundation.store import BuildRecord, NotPublished, PublishedVersion, Store, StoreError

app = typer.Typer(help="The warehouse: versions, their lineage, and whether they are whole.", no_args_is_help=True)


def _store() -> Store:
    return Store(home_folder() / "store")


@app.command("list")
def list_versions() -> None:
    """List every asset with its references, versions, rows and size."""
    store = _store()
    rows = []
    for asset in store.assets():
        for partition in [*store.partitions(asset), None]:
            for ref in store.refs(asset, partition):
                published = store.published(store.record(asset, partition, ref=ref))
                name = asset if partition is None else f"{asset}[{partition}]"
                rows.append((name, ref, published.version, f"{published.rows:,}", human_bytes(published.bytes)))
    typer.echo(text_table(("asset", "reference", "version", "rows", "size"), rows, right=(3, 4)))
    typer.echo(f"\nstore: {store.root}")


@app.command()
def show(
    asset: Annotated[str, typer.Argument(help="The asset.")],
    partition: Annotated[str | None, typer.Option(help="The snapshot, for a partitioned asset.")] = None,
    ref: Annotated[str | None, typer.Option(help="A profile's name, or tags/<tag>.", show_default="the profile")] = None,
    lineage: Annotated[bool, typer.Option("--lineage", help="Print the whole ancestry as a tree.")] = False,
) -> None:
    """Show a version: files, rows, statistics, gates, and what it was made of."""
    store = _store()
    record = store.record(asset, partition, ref=ref or load_profile().profile.name)
    if lineage:
        typer.echo("\n".join(_ancestry(store, record, 0)))
        return
    published = store.published(record)
    document = {
        "asset": asset,
        "partition": partition,
        "version": record.version,
        "path": str(published.path),
        "tables": {name: {"rows": table["rows"], "columns": [column["name"] for column in table["schema"]]} for name, table in published.manifest["tables"].items()},
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
def verify(
    hashes: Annotated[bool, typer.Option("--hashes/--sizes", help="Read every file and compare its sha256, or sizes only.")] = True,
) -> None:
    """Compare every referenced version with its manifest."""
    store = _store()
    faults: list[str] = []
    checked = set()
    for asset in store.assets():
        for partition in [*store.partitions(asset), None]:
            for ref in store.refs(asset, partition):
                try:
                    published: PublishedVersion = store.published(store.record(asset, partition, ref=ref))
                except (NotPublished, StoreError) as error:
                    faults.append(str(error))
                    continue
                if published.path not in checked:
                    checked.add(published.path)
                    faults.extend(published.damage(hashes=hashes))
    for fault in faults:
        typer.echo(fault)
    if not checked and not faults:
        raise TransumanzaError(f"nothing is published in {store.root}")
    if faults:
        raise TransumanzaError(f"{len(faults)} files are damaged; materialize their assets again")
    typer.echo(f"{len(checked)} versions are whole")


def _ancestry(store: Store, record: BuildRecord, depth: int) -> list[str]:
    name = record.asset if record.partition is None else f"{record.asset}[{record.partition}]"
    lines = [f"{'  ' * depth}{name}@{record.version}  {record.started_at[:16]}  code {record.inputs['code_version']}"]
    lines += [f"{'  ' * (depth + 1)}file {path} sha256 {digest}" for path, digest in record.inputs["user_files"].items()]
    for upstream, value in record.inputs["upstream"].items():
        # A partitioned asset reads the same partition of a partitioned one, recorded as one version.
        same = record.partition if record.partition in store.partitions(upstream) else None
        parts = {same: value} if "version" in value else value
        for part, entry in parts.items():
            found = [build for build in store.builds(upstream, part) if (build.version, build.data_version) == (entry["version"], entry["data_version"])]
            if found:
                lines += _ancestry(store, found[-1], depth + 1)
            else:
                lines.append(f"{'  ' * (depth + 1)}{upstream}@{entry['version']} (its build record is gone)")
    return lines
