"""A published version: what readers hold. Only files that the manifest lists are ever opened."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.settings import file_sha256
from foundation.store.errors import Pruned, StoreError
from foundation.store.layout import MANIFEST, PRUNED, VersionKey, how_to_make

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class PublishedVersion:
    """One immutable version of an asset: a path, its manifest, and the data version that lineage uses."""

    asset: str
    partition: str | None
    version: str
    data_version: str
    path: Path

    @cached_property
    def manifest(self) -> Mapping[str, Any]:
        """The content manifest.

        Raises:
            StoreError: the manifest is missing or damaged.
        """
        return read_manifest(self.path)

    @cached_property
    def pruned(self) -> tuple[str, ...]:
        """Tables whose rows were removed to save space; the manifest still lists their files.

        Raises:
            StoreError: the mark is damaged.
        """
        try:
            return tuple(json.loads((self.path / PRUNED).read_text(encoding="utf-8"))["tables"])
        except FileNotFoundError:
            return ()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{self.path / PRUNED} cannot be read ({error}); materialize {self.asset} again, which restores what it names") from error

    @property
    def key(self) -> VersionKey:
        """What names this version in its store."""
        return VersionKey(self.asset, self.partition, self.version)

    @property
    def statistics(self) -> Mapping[str, Any]:
        """The deterministic statistics recorded with the content."""
        return self.manifest["statistics"]

    @property
    def files(self) -> Path:
        """The folder of files (models, archives); list what is in it with the manifest."""
        return self.path / "files"

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables."""
        return tuple(self.manifest["tables"])

    @property
    def rows(self) -> int:
        """Rows of the first table, the asset's main one; 0 where an asset holds files only."""
        return next((table["rows"] for table in self.manifest["tables"].values()), 0)

    @property
    def bytes(self) -> int:
        """Size of everything the manifest lists, rows that were pruned among it."""
        return sum(entry["bytes"] for _, entry in listed_files(self.manifest))

    @property
    def bytes_left(self) -> int:
        """Size on disk of what was not pruned."""
        return sum(entry["bytes"] for _, entry in listed_files(self.manifest, self.pruned))

    def file(self, relative: str) -> Path:
        """Where a file that the manifest lists lies, by its path below the version; it is there to be read."""
        return self.path / relative

    def table_folder(self, table: str) -> Path:
        """Where the files of a table lie."""
        return self.path / "tables" / table

    def table_files(self, table: str, split: str | None = None) -> list[Path]:
        """Parquet files of a table, in canonical order; of one split, or of all splits in declared order.

        Raises:
            Pruned: its rows were removed to save space.
            StoreError: no such table or split.
        """
        if table in self.pruned:
            raise Pruned(
                f"the rows of table {table} of {self} were removed by `transumanza store gc --prune {self.asset}`; to bring them back, "
                f"materialize {self.asset} again ({how_to_make(self.asset, self.partition)}), which makes the same version"
            )
        try:
            splits = self.manifest["tables"][table]["splits"]
            chosen = splits.values() if split is None else [splits[split]]
        except KeyError as error:
            raise StoreError(f"{self}: no table or split {error}; it holds {self._contents()}") from error
        return [self.table_folder(table) / entry["path"] for part in chosen for entry in part["files"]]

    def scan(self, table: str, split: str | None = None) -> pl.LazyFrame:
        """A lazy polars frame over a table."""
        import polars as pl

        return pl.scan_parquet(self.table_files(table, split), glob=False)  # a folder's name may hold [ or *

    def read(self, table: str, split: str | None = None) -> pl.DataFrame:
        """A table in memory."""
        return self.scan(table, split).collect()

    def damage(self, *, hashes: bool = False) -> list[str]:
        """What is wrong with the files that the manifest lists: missing, another size or, if asked, another sha256.

        What was pruned is no damage: it was meant, and is known.
        """
        try:
            entries = listed_files(self.manifest, self.pruned)
        except (StoreError, KeyError, TypeError) as error:
            return [str(error) if isinstance(error, StoreError) else f"{self.path / MANIFEST} is not a whole manifest"]
        faults = []
        for relative, entry in entries:
            path = self.path / relative
            if not path.is_file():
                faults.append(f"{path} is missing")
            elif path.stat().st_size != entry["bytes"]:
                faults.append(f"{path} has {path.stat().st_size} bytes, not {entry['bytes']}")
            elif hashes and file_sha256(path) != entry["sha256"]:
                faults.append(f"{path} has another sha256 than its manifest")
        return faults

    def _contents(self) -> dict[str, list[str]]:
        return {name: list(table["splits"]) for name, table in self.manifest["tables"].items()}

    def __str__(self) -> str:
        return str(self.key)


def read_manifest(path: Path) -> Mapping[str, Any]:
    """The manifest of a version folder.

    Raises:
        StoreError: it is missing or damaged.
    """
    try:
        return json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{path / MANIFEST} cannot be read ({error}); run `transumanza store verify`, then materialize the asset again"
        ) from error


def listed_files(manifest: Mapping[str, Any], without: Collection[str] = ()) -> list[tuple[str, Mapping[str, Any]]]:
    """Relative path and entry of every file that a manifest lists, but those of the tables ``without``."""
    tables = [
        (f"tables/{name}/{entry['path']}", entry)
        for name, table in manifest["tables"].items()
        if name not in without
        for split in table["splits"].values()
        for entry in split["files"]
    ]
    return tables + [(f"files/{entry['path']}", entry) for entry in manifest["files"]]
