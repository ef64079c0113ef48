"""Searching versions for erased addresses: which rows of which tables hold them, and tables without their rows.

Tables are searched by the names of their columns, which mean the same everywhere: ``url`` is the row's address, ``document_id`` the
document it speaks of, ``host`` a web host (bare, or with its scheme), ``examples`` a list of addresses beside counts. Rows of the
first three go; of the fourth only the addresses.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from foundation.store.erased import ErasedAddresses, host_of
from foundation.store.layout import CARD
from foundation.store.published import PublishedVersion, listed_files

BATCH_ROWS = 20_000
_URL = re.compile(r"https?://[^\s<>\"'|)\]]+")
_HOST = re.compile(r"(?<![\w@.-])[\w-]+(?:\.[\w-]+)+(?![\w@-])")
_PLACE = "[erased]"


@dataclass
class Hits:
    """What a version holds: rows by table (by path for Parquet among its files), and the documents of the rows with an address."""

    rows: Counter[str] = field(default_factory=Counter)
    documents: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.rows)


@dataclass(frozen=True)
class Searched:
    """A batch of a table, searched: the rows that go, and the batch without their addresses."""

    gone: list[bool]
    kept: pa.Table
    changed: int


class Search:
    """Searches for erased addresses and the documents that belong to them."""

    def __init__(self, addresses: ErasedAddresses, documents: frozenset[str]) -> None:
        self.addresses = addresses
        self.documents = documents

    def batch(self, table: pa.Table) -> Searched:
        """One batch of rows."""
        gone = [False] * table.num_rows
        for column, test in (("url", self.addresses.holds), ("host", self._holds_host), ("document_id", self.documents.__contains__)):
            if _is_text(table.schema, column):
                gone = [before or (value is not None and test(value)) for before, value in zip(gone, table.column(column).to_pylist(), strict=True)]
        kept = table if not any(gone) else table.filter(pa.array([not one for one in gone], pa.bool_()))
        changed = sum(gone)
        if _is_texts(kept.schema, "examples"):
            index = kept.schema.get_field_index("examples")
            values = kept.column("examples").to_pylist()
            without = [value if value is None else [one for one in value if not self.addresses.holds(one)] for value in values]
            if without != values:
                changed += sum(one != other for one, other in zip(values, without, strict=True))
                kept = kept.set_column(index, kept.schema.field(index), pa.array(without, kept.schema.field(index).type))
        return Searched(gone, kept, changed)

    def version(
        self, version: PublishedVersion, known: dict[tuple[str, bool], tuple[int, frozenset[str]]], *, by_document: bool, files: bool = True
    ) -> Hits:
        """What a version holds; rows that were pruned are not there.

        Args:
            version: which one.
            known: what files with a sha256 were found to hold; searched once, however many versions share them.
            by_document: also tables that name documents alone.
            files: also Parquet among its files.
        """
        hits = Hits()
        for name, table in version.manifest["tables"].items():
            columns = {column["name"] for column in table["schema"]}
            if name not in version.pruned and (columns & ADDRESSES or (by_document and "document_id" in columns)):
                for split in table["splits"].values():
                    for entry in split["files"]:
                        self._file(version, f"tables/{name}/{entry['path']}", entry["sha256"], name, hits, known)
        for relative, entry in listed_files(version.manifest, version.tables) if files else ():
            if relative.endswith(".parquet"):
                before = hits.rows[relative]
                self._file(version, relative, entry["sha256"], relative, hits, known)
                if hits.rows[relative] > before:
                    hits.files.add(relative)
        hits.rows = +hits.rows
        return hits

    def _file(
        self, version: PublishedVersion, relative: str, sha256: str, name: str, hits: Hits, known: dict[tuple[str, bool], tuple[int, frozenset[str]]]
    ) -> None:
        place = sha256, bool(self.documents)
        if place not in known:
            known[place] = self._searched(version.file(relative))
        rows, documents = known[place]
        hits.rows[name] += rows
        hits.documents |= documents

    def _searched(self, path: Path) -> tuple[int, frozenset[str]]:
        rows, documents = 0, set()
        with pq.ParquetFile(path) as reader:
            schema = reader.schema_arrow
            columns = [name for name in ("url", "host", "document_id") if _is_text(schema, name)]
            columns += ["examples"] if _is_texts(schema, "examples") else []
            if not columns:
                return 0, frozenset()
            for batch in reader.iter_batches(BATCH_ROWS, columns=columns):
                table = pa.Table.from_batches([batch])
                found = self.batch(table)
                rows += found.changed
                if "url" in columns and "document_id" in columns and any(found.gone):
                    documents.update(table.column("document_id").filter(pa.array(found.gone)).to_pylist())
        return rows, frozenset(documents)

    def without(self, files: list[Path]) -> Iterator[pa.Table]:
        """The rows of Parquet files that stay, in order and in batches."""
        for path in files:
            with pq.ParquetFile(path) as reader:
                for batch in reader.iter_batches(BATCH_ROWS):
                    yield self.batch(pa.Table.from_batches([batch])).kept

    def text(self, text: str) -> str:
        """A text with its erased addresses replaced."""
        text = _URL.sub(lambda found: _PLACE if self.addresses.holds(found[0]) else found[0], text)
        return _HOST.sub(lambda found: _PLACE if self.addresses.holds_host(found[0]) else found[0], text)

    def values(self, value: Any) -> Any:
        """Statistics and the like without erased addresses: as names they go with their value, in lists alone, in texts they are replaced."""
        if isinstance(value, Mapping):
            return {name: self.values(item) for name, item in value.items() if self.text(str(name)) == str(name)}
        if isinstance(value, list | tuple):
            return [self.values(item) for item in value if not isinstance(item, str) or self.text(item) != _PLACE]
        return self.text(value) if isinstance(value, str) else value

    def is_named_beside_rows(self, version: PublishedVersion) -> bool:
        """Whether a version's statistics or its card name an erased address."""
        statistics = version.manifest["statistics"]
        card = (version.path / CARD).read_text(encoding="utf-8") if (version.path / CARD).is_file() else ""
        return bool(self.values(statistics) != statistics or self.text(card) != card)

    def _holds_host(self, host: str) -> bool:
        return self.addresses.holds_host(host_of(host) if "://" in host else host)


ADDRESSES = {"url", "host", "examples"}
"""Columns that hold addresses."""


def names_documents(version: PublishedVersion) -> bool:
    """Whether a version has a table, or Parquet among its files, whose rows can be searched: where they hold nothing, it holds nothing."""
    manifest = version.manifest
    return any(entry["path"].endswith(".parquet") for entry in manifest["files"]) or any(
        {column["name"] for column in table["schema"]} & {"url", "host", "document_id"} for table in manifest["tables"].values()
    )


def _is_text(schema: pa.Schema, column: str) -> bool:
    index = schema.get_field_index(column)
    if index < 0:
        return False
    kind = schema.field(index).type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _is_texts(schema: pa.Schema, column: str) -> bool:
    index = schema.get_field_index(column)
    return index >= 0 and pa.types.is_list(schema.field(index).type) and pa.types.is_string(schema.field(index).type.value_type)
