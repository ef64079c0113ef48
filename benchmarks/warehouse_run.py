"""One measurement of the warehouse benchmark, a process each; prints one JSON object.

    warehouse_run publish FOLDER ROWS ROUNDS   publishing rows in memory, and pyarrow writing the same, in turn
    warehouse_run open FOLDER VERSIONS         opening one version of an asset among many
    warehouse_run diff FOLDER ROWS             comparing two versions of a table; peak memory is this process's
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.running import cpu_seconds
from benchmarks.warehouse_input import DOCUMENTS, MEASURES, document_batches, measure_batches
from foundation.store import BuildRecord, PublishedVersion, Store, TableSpec
from foundation.store.writing import ROW_GROUP_BYTES, SHARD_BYTES

REF = "benchmark"


def main(kind: str, folder: str, count: int, rounds: int = 1) -> None:
    if kind == "publish":
        measured = _publish(Path(folder), count, rounds)
    else:
        measured = _open(Path(folder), count) if kind == "open" else _diff(Path(folder), count)
    print(json.dumps(measured))


def published(store: Store, asset: str, spec: TableSpec, batches: Iterable[pa.RecordBatch], fingerprint: str) -> PublishedVersion:
    """Publish a table as a stage does: validated, hashed, flushed, recorded, referenced."""
    with store.stage(asset) as staging:
        with staging.table(spec) as table:
            for batch in batches:
                table.write(batch)
        version = staging.complete({})
        record = BuildRecord(
            fingerprint=fingerprint, asset=asset, partition=None, version=version, data_version=version,
            inputs={"code_version": "1", "config": {}, "seed": 1, "upstream": {}, "user_files": {}, "facts": {}, "secrets": {}},
            gates=(), statistics={}, observations={}, profile=REF, run="benchmark", started_at="2026-01-01T00:00:00+00:00", seconds=0.0, environment={},
        )  # fmt: skip
        store.publish(staging, record, ref=REF)
    return store.published(record)


def _publish(folder: Path, rows: int, rounds: int) -> dict[str, Any]:
    """Seconds of each side in every round, the one that begins changing from round to round."""
    batches = list(document_batches(rows))
    size = sum(batch.nbytes for batch in batches)
    sides = {"publish": lambda place: _ours(place, batches), "pyarrow": lambda place: _plain(place, batches)}
    for name, side in sides.items():  # what is loaded, compiled or allocated once
        side(folder / f"first-{name}")
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    cpu: dict[str, list[float]] = {name: [] for name in sides}
    written = {}
    for turn in range(rounds):
        for name in sorted(sides, reverse=bool(turn % 2)):
            place = folder / f"{turn}-{name}"
            os.sync()  # what the round before left to the disk is not this one's
            begun, worked = time.perf_counter(), cpu_seconds()
            written[name] = sides[name](place)
            seconds[name].append(time.perf_counter() - begun)
            cpu[name].append(cpu_seconds() - worked)
            shutil.rmtree(place)
    return {"bytes": size, "rows": rows, "written": written, "seconds": seconds, "cpu_seconds": cpu}


def _ours(place: Path, batches: Sequence[pa.RecordBatch]) -> int:
    return published(Store(place), "documents", DOCUMENTS, batches, "1" * 32).bytes


def _plain(place: Path, batches: Sequence[pa.RecordBatch]) -> int:
    """The same row groups and files by pyarrow alone, flushed to disk."""
    place.mkdir(parents=True)
    files: list[Path] = []
    writer, shard_bytes = None, 0
    for group in _groups(batches):
        if writer is None or shard_bytes + group.nbytes > SHARD_BYTES:
            if writer is not None:
                writer.close()
            files.append(place / f"train-{len(files):05d}.parquet")
            writer, shard_bytes = pq.ParquetWriter(files[-1], DOCUMENTS.schema, compression="zstd", write_page_index=True, use_content_defined_chunking=True), 0
        writer.write_table(group, row_group_size=group.num_rows)
        shard_bytes += group.nbytes
    assert writer is not None
    writer.close()
    for path in (*files, place):
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
    return sum(path.stat().st_size for path in files)


def _groups(batches: Sequence[pa.RecordBatch]) -> Iterator[pa.Table]:
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(one.nbytes for one in waiting) >= ROW_GROUP_BYTES:
            yield pa.Table.from_batches(waiting)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting)


def _open(folder: Path, versions: int) -> dict[str, Any]:
    """One version is published; the others are copies of it under other names, since only their number matters."""
    store = Store(folder)
    first = published(store, "measures", MEASURES, measure_batches(1_000, changed=False), "0" * 32)
    record = store.record("measures", ref=REF)
    asset = store.folder("measures")
    for index in range(1, versions):
        name = f"{index:016x}"
        shutil.copytree(first.path, asset / "v" / name, copy_function=os.link)
        made = replace(record, fingerprint=f"{index:032x}", version=name, data_version=name)
        (asset / "builds" / f"{made.fingerprint}.json").write_text(made.to_json(), encoding="utf-8")
    opened = _seconds(lambda: Store(folder).resolve("measures", ref=REF).read("measures").height)
    found = _seconds(lambda: store.published(store.find("measures", None, first.version[:12])).read("measures").height)
    return {"versions": len(list((asset / "v").iterdir())), "open_seconds": opened, "find_seconds": found}


def _seconds(action: Any, times: int = 3) -> float:
    """The least of a few: what the action takes where nothing else disturbs it."""
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        action()
        taken.append(time.perf_counter() - begun)
    return round(min(taken), 4)


def _diff(folder: Path, rows: int) -> dict[str, Any]:
    from foundation.store.diff import diff

    store = Store(folder)
    before, after = (
        published(store, "measures", MEASURES, measure_batches(rows, changed=changed), str(int(changed)) * 32) for changed in (False, True)
    )
    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    begun = time.perf_counter()
    found = diff(before, after).tables["measures"]
    seconds = time.perf_counter() - begun
    return {
        "seconds": round(seconds, 2),
        "rows": [found.rows_before, found.rows_after],
        "added": found.added,
        "removed": found.removed,
        "changed": found.changed,
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3),
        "peak_before_mb": round(before_mb),
    }


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
