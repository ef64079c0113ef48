"""The warehouse: what publishing costs beside writing Parquet, opening one version among many, comparing two versions.

    python -m benchmarks.warehouse [--json] [--rows 60000] [--rounds 5] [--versions 10000] [--diff-rows 1000000] [--folder DIR]

Publishing checks schema, order and keys, hashes every value and every file, flushes, records and references; pyarrow beside it
writes the same row groups with the same options (zstd, page index, content-defined chunking) to the same disk and flushes them.
Both take turns in one process; the best round of each counts, since other work on the machine only ever adds. The folder
decides which disk is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.running import run_side


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--rows", type=int, default=60_000, help="documents that are published, some 4 kB each (default 60000)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of both sides (default 5)")
    parser.add_argument("--versions", type=int, default=10_000, help="versions that one is opened among (default 10000)")
    parser.add_argument("--diff-rows", type=int, default=1_000_000, help="rows of each version that is compared (default 1000000)")
    parser.add_argument("--folder", type=Path, help="where stores are made (default: a temporary folder)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="warehouse-", dir=options.folder) as folder:
        measured = measure(Path(folder), options.rows, options.rounds, options.versions, options.diff_rows)
    print(json.dumps(measured) if options.json else _table(measured))


def measure(folder: Path, rows: int, rounds: int, versions: int, diff_rows: int) -> dict[str, Any]:
    """All figures; see ``_table`` for what they mean."""
    publish = _side("publish", folder, rows, rounds)
    best = {name: min(taken) for name, taken in publish["seconds"].items()}
    cpu = {name: min(taken) for name, taken in publish["cpu_seconds"].items()}
    opened = _side("open", folder, versions)
    compared = _side("diff", folder, diff_rows)
    return {
        "overhead_publish": round(best["publish"] / best["pyarrow"], 3),
        "overhead_publish_cpu": round(cpu["publish"] / cpu["pyarrow"], 3),
        "publish_mb_per_s": round(publish["bytes"] / best["publish"] / 1e6, 1),
        "pyarrow_mb_per_s": round(publish["bytes"] / best["pyarrow"] / 1e6, 1),
        "open_seconds": opened["open_seconds"],
        "find_seconds": opened["find_seconds"],
        "diff_seconds": compared["seconds"],
        "diff_peak_mb": compared["peak_mb"],
        "publish": {**publish, "seconds": _rounded(publish["seconds"]), "cpu_seconds": _rounded(publish["cpu_seconds"])},
        "open": opened,
        "diff": compared,
        "machine": {"cpus": os.cpu_count(), "processor": platform.machine(), "load": [round(load, 2) for load in os.getloadavg()]},
    }


def _side(kind: str, folder: Path, *counts: int) -> dict[str, Any]:
    place = folder / kind
    place.mkdir()
    return run_side([sys.executable, "-m", "benchmarks.warehouse_run", kind, str(place), *map(str, counts)])


def _rounded(seconds: dict[str, list[float]]) -> dict[str, list[float]]:
    return {name: [round(taken, 3) for taken in each] for name, each in seconds.items()}


def _table(measured: dict[str, Any]) -> str:
    rows = [
        ("overhead_publish", "seconds of publishing, against pyarrow writing the same"),
        ("overhead_publish_cpu", "the same in CPU seconds"),
        ("publish_mb_per_s", "megabytes of rows in memory, published in a second"),
        ("pyarrow_mb_per_s", "the same, written by pyarrow"),
        ("open_seconds", f"to open a version by its reference among {measured['open']['versions']:,}, and read it"),
        ("find_seconds", "the same by the beginning of its name"),
        ("diff_seconds", f"to compare two versions of {measured['diff']['rows'][0]:,} rows"),
        ("diff_peak_mb", "memory of the process that compares"),
    ]
    return "\n".join(f"{name:20} {measured[name]:>9}  {meaning}" for name, meaning in rows)


if __name__ == "__main__":
    main()
