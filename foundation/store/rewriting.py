"""Rewriting: a version without the rows that were erased, with build records of its own that say what it was made of."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from foundation.settings import file_sha256
from foundation.store.builds import BuildRecord
from foundation.store.erased import ErasedAddresses
from foundation.store.errors import Pruned
from foundation.store.layout import CARD, VersionKey
from foundation.store.published import PublishedVersion, listed_files
from foundation.store.searching import Hits, Search
from foundation.store.staging import Staging, link_or_copy
from foundation.store.store import Store
from foundation.store.tables import TableSpec

ERASED_FROM = "erased_from"
"""Key among a rewritten build's inputs: the fingerprint of the build that it was rewritten from."""
FileEraser = Callable[[Path, ErasedAddresses, bool], Mapping[str, int]]
"""Takes erased addresses out of a version's own files, below a folder, or only counts them; returns how many entries by path. Files are
replaced, never changed in place: they are links to those of the version as it was."""



def rewrite(store: Store, version: PublishedVersion, hits: Hits, search: Search, eraser: FileEraser | None = None) -> str:
    """Make a version without what was erased and put it in its place, where no reference names it yet; returns its name.

    Tables that hold nothing are taken over as they are.
    """
    manifest = version.manifest
    with store.stage(version.asset, version.partition) as staging:
        for relative, _ in listed_files(manifest, version.tables):
            link_or_copy(version.path / relative, staging.path / relative)
        changed = eraser(staging.files, search.addresses, True) if eraser is not None and manifest["files"] else {}
        hashes = {path: file_sha256(staging.files / path) for path in changed}
        for name, table in manifest["tables"].items():
            if name in version.pruned:
                raise Pruned(f"{version}: table {name} was pruned, so that the rest cannot be rewritten")
            lists_files = hashes and {"path", "sha256"} <= {column["name"] for column in table["schema"]}
            if hits.rows.get(name) or lists_files:
                _rewrite_table(version, name, table, search, staging, hashes)
            else:
                staging.adopt_table(name, table, version.table_folder(name))
        text, front = _card(version, search)
        staging.card(text, **front)
        name = staging.complete(search.values(manifest["statistics"]))
        store.place(staging, name)
    return name


def rewritten_record(record: BuildRecord, version: str, search: Search, replaced: Mapping[tuple[VersionKey, str], tuple[str, str]]) -> BuildRecord:
    """The record of a rewritten version.

    Its fingerprint is that of no stage: whoever materializes the asset builds it anew.

    Args:
        record: of a build of the version as it was.
        version: the rewritten one.
        search: takes addresses out of statistics.
        replaced: version and data version of what was rewritten, by version and data version as they were.
    """
    fingerprint = hashlib.sha256(json.dumps(["erased", record.fingerprint, version]).encode()).hexdigest()[:32]
    return dataclasses.replace(
        record,
        fingerprint=fingerprint,
        version=version,
        data_version=version if record.data_version == record.version else fingerprint,
        inputs={**record.inputs, "upstream": _upstream(record, replaced), ERASED_FROM: record.fingerprint},
        statistics=search.values(record.statistics),
        observations=search.values(record.observations),
    )


def _rewrite_table(
    version: PublishedVersion, name: str, table: Mapping[str, Any], search: Search, staging: Staging, hashes: Mapping[str, str]
) -> None:
    schema = pq.read_schema(version.table_files(name)[0]).remove_metadata()
    spec = TableSpec(name, schema, tuple(table["key"]), tuple(table["order"]), splits=tuple(table["splits"]), description=table["description"])
    with staging.table(spec) as writer:
        for split in table["splits"]:
            for rows in search.without(version.table_files(name, split)):
                writer.write(_rehashed(rows, hashes), split)


def _rehashed(rows: pa.Table, hashes: Mapping[str, str]) -> pa.Table:
    """A list of the version's files with the sha256 of those that changed; a crawl keeps their length."""
    if not hashes or not {"path", "sha256"} <= set(rows.schema.names):
        return rows
    values = [hashes.get(path, old) for path, old in zip(rows.column("path").to_pylist(), rows.column("sha256").to_pylist(), strict=True)]
    return rows.set_column(rows.schema.get_field_index("sha256"), "sha256", pa.array(values, pa.string()))


def _card(version: PublishedVersion, search: Search) -> tuple[str, dict[str, Any]]:
    """Text and front matter of a version's card, without erased addresses and without what staging writes itself."""
    try:
        text = (version.path / CARD).read_text(encoding="utf-8")
    except FileNotFoundError:
        return "", {}
    front: dict[str, Any] = {}
    if text.startswith("---\n"):
        header, _, text = text.removeprefix("---\n").partition("\n---\n")
        front = {name: value for name, value in (yaml.safe_load(header) or {}).items() if name != "configs"}
    return search.text(text.strip()), search.values(front)


def _upstream(record: BuildRecord, replaced: Mapping[tuple[VersionKey, str], tuple[str, str]]) -> dict[str, Any]:
    def renamed(asset: str, partition: str | None, entry: Mapping[str, str]) -> dict[str, str]:
        # A record does not say whether what it read is partitioned: the same partition, or none.
        for part in dict.fromkeys((partition, None)):
            found = replaced.get((VersionKey(asset, part, entry["version"]), entry["data_version"]))
            if found:
                return {"version": found[0], "data_version": found[1]}
        return dict(entry)

    return {
        asset: renamed(asset, record.partition, entry) if "version" in entry else {part: renamed(asset, part, one) for part, one in entry.items()}
        for asset, entry in record.inputs["upstream"].items()
    }
