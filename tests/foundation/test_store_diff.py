"""The difference between versions, against a comparison of dictionaries; and versions brought out of the store."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.settings import file_sha256
from foundation.store import PublishedVersion, Store, StoreError, TableSpec, matching
from foundation.store.diff import diff
from foundation.store.export import export_repository, export_tables

ROWS = TableSpec("rows", pa.schema([("id", pa.string()), ("text", pa.string()), ("size", pa.int64())]), key=("id",), splits=("train", "test"))
WIDER = TableSpec("rows", pa.schema([("id", pa.string()), ("text", pa.string()), ("size", pa.float64()), ("more", pa.string())]), key=("id",), splits=("train", "test"))

Table = dict[str, tuple[str, str | None, int | None]]
"""Split, text and size by id."""
TABLES = st.dictionaries(
    st.sampled_from([f"{number:02d}" for number in range(24)]),
    st.tuples(st.sampled_from(["train", "test"]), st.sampled_from([None, "", "a", "b"]), st.sampled_from([None, 0, 1])),
    max_size=24,
)


def publish(store: Store, rows: Table, spec: TableSpec = ROWS, statistics: dict[str, Any] | None = None) -> PublishedVersion:
    with store.stage("rows") as staging:
        with staging.table(spec) as table:
            for split in spec.splits:
                values = [{"id": key, "text": text, "size": size, "more": "m"} for key, (where, text, size) in sorted(rows.items()) if where == split]
                table.write([{name: row[name] for name in spec.schema.names} for row in values], split)
        version = staging.complete(statistics or {})
        path = store.place(staging, version)
    return PublishedVersion("rows", None, version, version, path)


@settings(max_examples=60, deadline=None)
@given(before=TABLES, after=TABLES, batch=st.sampled_from([1, 200, matching.BATCH_BYTES]))
def test_rows_are_compared_as_dictionaries_are(before: Table, after: Table, batch: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    store = Store(tmp_path_factory.mktemp("store"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matching, "BATCH_BYTES", batch)
        table = diff(publish(store, before), publish(store, after), examples=100).tables["rows"]
    shared = before.keys() & after.keys()
    changed = {key for key in shared if before[key][1:] != after[key][1:]}
    moved = {key for key in shared if before[key][0] != after[key][0]}
    assert (table.added, table.removed, table.changed, table.moved) == (len(after.keys() - shared), len(before.keys() - shared), len(changed), len(moved))
    columns = {name: sum(before[key][place] != after[key][place] for key in shared) for place, name in ((1, "text"), (2, "size"))}
    assert table.columns == {name: count for name, count in columns.items() if count}
    assert table.same == (before == after)
    named = {kind: {row["id"] for row in rows} if kind != "changed" else {row["key"]["id"] for row in rows} for kind, rows in table.examples.items()}
    expected = {"added": after.keys() - shared, "removed": before.keys() - shared, "changed": changed, "moved": moved}
    assert named == {kind: set(keys) for kind, keys in expected.items() if keys}


def test_schema_and_statistics(tmp_path: Path) -> None:
    store = Store(tmp_path)
    rows: Table = {"01": ("train", "a", 1), "02": ("test", "b", 2)}
    old = publish(store, rows, statistics={"rows": 2, "reasons": {"long": 1}})
    new = publish(store, rows, WIDER, statistics={"rows": 2, "reasons": {"long": 2, "short": 1}})
    found = diff(old, new)
    table = found.tables["rows"]
    assert table.columns_added == ["more"] and table.columns_removed == [] and set(table.retyped) == {"size"}
    assert table.same_rows and not table.same
    assert found.statistics == {"reasons.long": (1, 2), "reasons.short": (None, 1)}
    assert json.loads(json.dumps(found.as_dict()))["tables"]["rows"]["columns_added"] == ["more"]


def test_a_version_is_exported_as_it_stands(tmp_path: Path) -> None:
    version = publish(Store(tmp_path / "store"), {"01": ("train", "a", 1), "02": ("test", "b", None)})
    done = export_repository(version, tmp_path / "linked")
    copied = export_repository(version, tmp_path / "copied", copy=True)
    assert done.files == copied.files and done.linked > 0 and copied.linked == 0
    for folder in ("linked", "copied"):
        assert {path.relative_to(tmp_path / folder): file_sha256(path) for path in (tmp_path / folder).rglob("*") if path.is_file()} == {
            path.relative_to(version.path): file_sha256(path) for path in version.path.rglob("*") if path.is_file()
        }
    with pytest.raises(StoreError, match="not an empty folder"):
        export_repository(version, tmp_path / "linked")


def test_tables_in_other_formats(tmp_path: Path) -> None:
    rows: Table = {"01": ("train", 'a "quoted", text\nin lines', 1), "02": ("train", "", None), "03": ("test", None, 3)}
    version = publish(Store(tmp_path / "store"), rows)
    export_tables(version, tmp_path / "json", "jsonl")
    lines = [json.loads(line) for line in (tmp_path / "json/rows/train.jsonl").read_text(encoding="utf-8").splitlines()]
    assert lines == [{"id": "01", "text": 'a "quoted", text\nin lines', "size": 1}, {"id": "02", "text": "", "size": None}]
    export_tables(version, tmp_path / "csv", "csv", split="train")
    with (tmp_path / "csv/rows/train.csv").open(encoding="utf-8", newline="") as stream:
        assert [row["id"] for row in csv.DictReader(stream)] == ["01", "02"]
    assert not (tmp_path / "csv/rows/test.csv").exists()
    export_tables(version, tmp_path / "parquet", "parquet", tables=["rows"], split="test")
    assert pl.read_parquet(tmp_path / "parquet/rows/*.parquet")["id"].to_list() == ["03"]
    with pytest.raises(StoreError, match="nothing"):
        export_tables(version, tmp_path / "none", "csv", tables=["nothing"])


def test_a_damaged_file_is_not_exported(tmp_path: Path) -> None:
    version = publish(Store(tmp_path / "store"), {"01": ("train", "a", 1)})
    path = next(version.path.rglob("train-*.parquet"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(bytes(content))
    for export in (lambda: export_repository(version, tmp_path / "out"), lambda: export_tables(version, tmp_path / "out", "csv")):
        with pytest.raises(StoreError, match="sha256"):
            export()
        assert not (tmp_path / "out").exists() and [entry.name for entry in tmp_path.iterdir()] == ["store"]
