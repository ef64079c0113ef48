"""The command ``transumanza store erase``: URLs and domains that must go, everywhere and for good."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from dagster_project.factory import make_factory, open_home_store
from dagster_project.tables import text_table
from foundation.errors import TransumanzaError
from foundation.store.erased import read_domains, read_urls
from foundation.store.erasure import Erasure, erase, plan_erasure
from foundation.store.layout import asset_name

_FILES_NAMED = 2


def erase_addresses(
    urls: Annotated[Path | None, typer.Option(help="A file of URLs, one a line.", show_default=False)] = None,
    domains: Annotated[Path | None, typer.Option(help="A file of domains, one a line; all below them go too.", show_default=False)] = None,
    again: Annotated[bool, typer.Option("--again", help="Name no file: search for all that was ever erased, and complete what was interrupted.")] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Do it; without this nothing is changed.")] = False,
) -> None:
    """Take URLs or domains out of every version, keep them out of all that is built later, and list the models trained on them."""
    if again == bool(urls or domains):
        raise TransumanzaError("name what is to be erased with --urls FILE or --domains FILE, or nothing at all with --again")
    store = open_home_store()
    stages = make_factory(offline=True).stages
    mixed = {name: tables for name, stage in stages.items() if (tables := frozenset(spec.name for spec in stage.tables if spec.mixes_documents))}
    erasers = {name: stage.erase_files for name, stage in stages.items() if stage.erase_files is not None}
    wanted = (read_urls(urls) if urls else [], read_domains(domains) if domains else [])
    found = (erase if apply else plan_erasure)(store, *wanted, mixed=mixed, erasers=erasers)
    _print(found)
    if apply:
        typer.echo(f"erased: {found.rows:,} rows of {len(found.held):,} versions; the addresses are on the store's list and stay out")
        typer.echo("assets that were withdrawn or rewritten are stale: `transumanza status` lists them, and materializing them builds without the addresses")
    else:
        typer.echo("nothing was changed; --apply erases it")


def rows_told(rows: Mapping[str, int]) -> str:
    """Rows by table or file as text: tables by name, files by name where they are few and else as one sum."""
    files = {name: count for name, count in rows.items() if "/" in name}
    named = {name: count for name, count in rows.items() if len(files) <= _FILES_NAMED or name not in files}
    told = [f"{count:,} {name}" for name, count in named.items()]
    return ", ".join(told if len(files) <= _FILES_NAMED else [*told, f"{sum(files.values()):,} rows or records in {len(files):,} files"])


def _print(found: Erasure) -> None:
    if found.held:
        rows = [
            (asset_name(held.key.asset, held.key.partition), held.key.version, held.way, rows_told(held.hits.rows))
            for held in found.held
        ]
        typer.echo(text_table(("holds them", "version", "is", "rows"), rows) + "\n")
    else:
        typer.echo("no version holds any of them")
    for one in found.models:
        typer.echo(f"model trained on them: {one.key} (made of {', '.join(map(str, one.of))}); train it again, or delete it")
    for one in found.affected:
        if not one.model:
            typer.echo(f"made of them, without their rows: {one.key}")
    for reference in found.references:
        typer.echo(f"reference that moves, or goes with a withdrawn version: {reference}")
    for reader in found.readers:
        typer.echo(f"running build that reads them, and must end first: {reader}")
