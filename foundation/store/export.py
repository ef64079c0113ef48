"""Export: a version as a folder of its own, as it stands or its tables in another format; every file checked on the way.

The folder appears whole or not at all. A version as it stands is a Hub repository: card, tables, files, manifest.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl
import pyarrow.parquet as pq

from foundation.settings import file_sha256
from foundation.store.errors import StoreError
from foundation.store.layout import CARD, MANIFEST
from foundation.store.published import PublishedVersion, listed_files
from foundation.store.staging import link_or_copy

Format = Literal["parquet", "jsonl", "csv"]
_BATCH_ROWS = 10_000


@dataclass
class Exported:
    """What was written: files, bytes, and how many of the files are links to the store's own."""

    files: int = 0
    bytes: int = 0
    linked: int = 0

    def add(self, path: Path, *, linked: bool) -> None:
        self.files += 1
        self.bytes += path.stat().st_size
        self.linked += linked


def export_repository(version: PublishedVersion, target: Path, *, copy: bool = False) -> Exported:
    """Write a version as it stands.

    Args:
        version: which one.
        target: a folder that does not exist or is empty.
        copy: never link. A linked file is the store's own: changing it there changes the version.

    Raises:
        Pruned: the version has not all its rows.
        StoreError: the folder holds something, or a file is not what the manifest says.
    """
    for table in version.pruned:
        version.table_files(table)  # says what to do
    done = Exported()
    with _whole_folder(target) as folder:
        for relative, entry in listed_files(version.manifest):
            _bring(version.path / relative, folder / relative, entry["sha256"], copy, done)
        for name in (CARD, MANIFEST):
            _bring(version.path / name, folder / name, None, True, done)
    return done


def export_tables(
    version: PublishedVersion, target: Path, kind: Format, *, tables: Sequence[str] | None = None, split: str | None = None, copy: bool = False
) -> Exported:
    """Write tables: ``<table>/<split>-….parquet`` as they are, or one ``<table>/<split>.jsonl`` or ``.csv`` each.

    In JSON Lines times are text, binary values base64, NaN null; in CSV lists and structs are JSON, null is an empty cell, an empty text ``""``.

    Args:
        version: which one.
        target: a folder that does not exist or is empty.
        kind: the format.
        tables: which; default all.
        split: only this one.
        copy: Parquet files are never linked.

    Raises:
        Pruned: a table has no rows any more.
        StoreError: no such table or split, the folder holds something, or a file is not what the manifest says.
    """
    chosen = list(tables) if tables is not None else list(version.tables)
    if not chosen:
        raise StoreError(f"{version} holds no tables, files only; export it as it stands, without a format")
    sources = {table: [(split, version.table_files(table, split))] if split else _by_split(version, table) for table in chosen}
    expected = {version.path / relative: entry["sha256"] for relative, entry in listed_files(version.manifest, version.pruned)}
    done = Exported()
    with _whole_folder(target) as folder:
        for table, parts in sources.items():
            for name, files in parts:
                if kind == "parquet":
                    for path in files:
                        _bring(path, folder / table / path.name, expected[path], copy, done)
                else:
                    output = folder / table / f"{name}.{kind}"
                    output.parent.mkdir(parents=True, exist_ok=True)
                    for path in files:
                        _check(path, expected[path], path)
                    _write_text(files, output, kind)
                    done.add(output, linked=False)
    return done


def _by_split(version: PublishedVersion, table: str) -> list[tuple[str, list[Path]]]:
    version.table_files(table)  # says which tables there are
    return [(split, version.table_files(table, split)) for split in version.manifest["tables"][table]["splits"]]


@contextlib.contextmanager
def _whole_folder(target: Path) -> Iterator[Path]:
    """A folder beside the target that takes its place at the end; nothing is left of it after an error."""
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise StoreError(f"{target} exists and is not an empty folder; name another one, nothing is overwritten")
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = target.with_name(f".{target.name}.{os.getpid()}.{os.urandom(4).hex()}")
    folder.mkdir()
    try:
        yield folder
        try:
            folder.rename(target)  # replaces an empty folder
        except OSError as error:
            raise StoreError(f"{target} holds something meanwhile ({error.strerror}); name another folder") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _bring(source: Path, target: Path, sha256: str | None, copy: bool, done: Exported) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    linked = not copy and link_or_copy(source, target)
    if copy:
        shutil.copyfile(source, target)
    if sha256 is not None:
        _check(target, sha256, source)
    done.add(target, linked=linked)


def _check(path: Path, sha256: str, source: Path) -> None:
    if file_sha256(path) != sha256:
        raise StoreError(f"{source} has another sha256 than its manifest; run `transumanza store verify`, and materialize its asset again")


def _write_text(files: Sequence[Path], output: Path, kind: Format) -> None:
    with output.open("wb") as stream:
        for index, rows in enumerate(_batches(files)):
            if kind == "jsonl":
                rows.with_columns(_plain(rows, nested=False)).write_ndjson(stream)
            else:
                rows.with_columns(_plain(rows, nested=True)).write_csv(stream, include_header=index == 0)


def _batches(files: Sequence[Path]) -> Iterator[pl.DataFrame]:
    """Rows in order; at first none, which has the columns."""
    yield pl.DataFrame(pl.from_arrow(pq.read_schema(files[0]).empty_table()))
    for path in files:
        with pq.ParquetFile(path) as reader:
            for batch in reader.iter_batches(batch_size=_BATCH_ROWS):
                yield pl.DataFrame(pl.from_arrow(batch))


def _plain(rows: pl.DataFrame, *, nested: bool) -> list[pl.Expr]:
    """Columns that the format has no values for, as text."""
    found = []
    for name, kind in rows.schema.items():
        if kind == pl.Binary:
            found.append(pl.col(name).bin.encode("base64"))
        elif nested and kind.is_nested():
            text = pl.struct(pl.col(name).alias("v")).struct.json_encode().str.strip_prefix('{"v":').str.strip_suffix("}")
            found.append(pl.when(pl.col(name).is_not_null()).then(text).alias(name))
    return found


