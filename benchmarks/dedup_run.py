"""Transumanza's side of the near-duplicate benchmark, a process for each measurement; prints one JSON object.

    dedup_run texts TEXTS.jsonl FOLDER     hash texts into a signals table, then cluster: CPU seconds of both, clusters, links
    dedup_run table SIGNALS.parquet FOLDER cluster a table: seconds and peak memory
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.running import cpu_seconds
from corpus.web.duplicates import CLUSTERS, Clusters, cluster
from corpus.web.duplicates.links import read_links
from corpus.web.minhash import hashes
from corpus.web.settings import DuplicateSettings, SignalSettings
from foundation.execution import Engine
from foundation.store.writing import TableWriter


def main(kind: str, source: str, folder: str) -> None:
    measured = _texts(Path(source), Path(folder)) if kind == "texts" else _table(Path(source), Path(folder))
    print(json.dumps(measured))


def _texts(source: Path, folder: Path) -> dict[str, Any]:
    texts = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    settings = SignalSettings()
    # As the peer loads its tokenizer before: the compiled loops, and what Arrow imports with its first list.
    hashes("una frase che fa partire il compilatore", settings)
    pa.array([[1]], pa.list_(pa.uint32()))
    before = cpu_seconds()
    found = [hashes(text, settings) for text in texts]
    table = pa.table(
        {
            "document_id": [f"{place:032x}" for place in range(len(texts))],
            "normalized_sha256": [row.normalized_sha256 for row in found],
            "signature": pa.array([row.signature for row in found], pa.list_(pa.uint32())),
            "bands": pa.array([row.bands for row in found], pa.list_(pa.uint64())),
        }
    )
    pq.write_table(table, folder / "signals.parquet", compression="zstd", row_group_size=16_384)
    signatures = cpu_seconds() - before
    (folder / "first").mkdir(exist_ok=True)  # clustering's loops compile once in an installation, as the peer's package did
    pq.write_table(table.slice(0, 64), folder / "first" / "signals.parquet")
    _cluster(folder / "first" / "signals.parquet", folder / "first")
    before = cpu_seconds()
    clusters = _cluster(folder / "signals.parquet", folder)
    clustering = cpu_seconds() - before
    sets = pq.read_table(sorted((folder / "table").glob("*.parquet"))).column("cluster_id").to_pylist()
    links = np.concatenate([read_links(path).pairs for path in sorted((folder / "work" / "near").glob("*.npz"))])
    pairs = np.unique(np.sort(links, axis=1), axis=0)
    exact = sum(len(read_links(path).pairs) for path in sorted((folder / "work" / "equal").glob("*.npz")))
    return {
        "signature_seconds": signatures,
        "cluster_seconds": clustering,
        "clusters": sets,
        "near_links": pairs.tolist(),
        "exact_links": exact,
        "compared_pairs": clusters.summary.compared_pairs,
    }


def _table(source: Path, folder: Path) -> dict[str, Any]:
    wall, before = time.perf_counter(), cpu_seconds()
    start = _peak_bytes()
    clusters = _cluster(source, folder)
    work = sum(path.stat().st_size for path in (folder / "work").rglob("*") if path.is_file())
    summary = clusters.summary
    return {
        "documents": summary.documents,
        "clusters": sum(summary.sizes.values()),
        "start_bytes": start,
        "peak_bytes": _peak_bytes(),
        "work_bytes": work,
        "cpu_seconds": cpu_seconds() - before,
        "wall_seconds": time.perf_counter() - wall,
    }


def _cluster(source: Path, folder: Path) -> Clusters:
    """Cluster and write the table, as the build of the asset does, with one worker."""
    found = cluster({"SAMPLE-2026-01": [source]}, DuplicateSettings(), folder / "work", Engine())
    with TableWriter(CLUSTERS, folder / "table") as table:
        for rows in found.tables():
            table.write(rows)
    return found


def _peak_bytes() -> int:
    """Most resident memory since this program was loaded (``ru_maxrss`` would count the parent's, which started it)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024



if __name__ == "__main__":
    main(*sys.argv[1:])
