"""How much faster other rules are tried on a snapshot than the snapshot is built.

    python -m benchmarks.corpus_what_if [--json] [--documents 3000] [--folder DIR]

A snapshot of Italian pages of Debian packages is built once, by one worker: documents (trafilatura), signals, decisions; benchmark
overlap is not looked for, which would take longer. Its seconds are kept with the builds, so that another run only measures what-if:
each rule set of the project in a fresh process, five times; the median of the first calls counts, of the slowest rule set. Importing
is apart: it takes longer than judging. Wall-clock seconds on both sides. Pages are software manuals: right for throughput, no
measure of quality on the web.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
from pathlib import Path
from typing import Any

from benchmarks.harvest_input import load_pages, write_pages
from benchmarks.harvest_run import CRAWL
from benchmarks.running import ROOT, run_side

RULES = ("transumanza", "clean_mc4_it", "clean_mc4_it_code", "fineweb2_ita")
RUNS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--documents", type=int, default=3_000, help="pages of the snapshot, nearly all of which become documents (default 3000)")
    parser.add_argument("--folder", type=Path, help="where the snapshot is built and kept (default: below the cache)")
    parser.add_argument("--cache", type=Path, default=ROOT / ".transumanza" / "cache", help="downloads")
    options = parser.parse_args()
    folder = (options.folder or options.cache / "benchmarks" / "what_if").resolve()
    measured = measure(folder / str(options.documents), folder / "packages", options.cache.resolve(), options.documents)
    print(json.dumps(measured) if options.json else _table(measured))


def measure(folder: Path, packages: Path, cache: Path, pages: int) -> dict[str, Any]:
    """All figures; see ``_table`` for what they mean."""
    home = folder / "home"
    built = _built(folder, home, packages, cache, pages)
    runs = {rules: [run_side([sys.executable, "-m", "benchmarks.what_if_run", str(home), rules]) for _ in range(RUNS)] for rules in RULES}

    def medians(name: str) -> dict[str, float]:
        return {rules: round(statistics.median(run[name] for run in found), 4) for rules, found in runs.items()}

    first, later, imports = (medians(f"{name}_seconds") for name in ("first", "next", "import"))
    seconds, slowest = built["build_seconds"], max(first.values())
    return {
        "ratio": round(sum(seconds.values()) / slowest, 1),
        "ratio_signals_decisions": round((seconds["signals"] + seconds["decisions"]) / slowest, 1),
        "ratio_later_calls": round(sum(seconds.values()) / max(later.values()), 1),
        "ratio_import_included": round(sum(seconds.values()) / (slowest + max(imports.values())), 1),
        "documents": runs[RULES[0]][0]["documents"],
        "build_seconds": seconds,
        "what_if_seconds": first,
        "what_if_seconds_later_calls": later,
        "import_seconds": imports,
        "passing": {rules: found[0]["passing_after"] for rules, found in runs.items()},
        "machine": {"cpus": os.cpu_count(), "processor": platform.machine(), "load": [round(load, 2) for load in os.getloadavg()]},
    }


def _built(folder: Path, home: Path, packages: Path, cache: Path, pages: int) -> dict[str, Any]:
    """The snapshot, built or found built; what the builds say of themselves."""
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "cache").exists():
        (home / "cache").symlink_to(cache)
    if not (folder / "crawl").is_dir():
        write_pages(load_pages(cache, packages).target[:pages], folder / "crawl.part", 4, CRAWL)
        (folder / "crawl.part").rename(folder / "crawl")
    return run_side([sys.executable, "-m", "benchmarks.harvest_run", str(folder / "crawl"), str(home), "trafilatura", str(folder / "pages")])


def _table(measured: dict[str, Any]) -> str:
    rows = [
        ("ratio", "seconds of documents, signals and decisions for one second of what-if"),
        ("ratio_signals_decisions", "the same of signals and decisions alone"),
        ("ratio_later_calls", "as the first, of calls after the first in a process"),
        ("ratio_import_included", "as the first, importing counted as what-if"),
        ("documents", "documents of the snapshot"),
    ]
    return "\n".join(f"{name:24} {measured[name]:>8}  {meaning}" for name, meaning in rows)


if __name__ == "__main__":
    main()
