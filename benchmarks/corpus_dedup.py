"""Near duplicates: speed against datatrove's MinHash, recall and false links over planted pairs, memory at a million documents.

    python -m benchmarks.corpus_dedup [--json] [--pages 1000] [--pairs 4000] [--documents 1000000] [--folder DIR]

Seconds are CPU seconds of one worker, those of child processes included; both sides have loaded their libraries before the
clock starts. Texts are software manuals out of Debian packages, and texts of their sentences, shuffled (see ``dedup_input``).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.dedup_input import Pair, boilerplate, jaccard, page_texts, planted, sentences, write_made_signals
from benchmarks.peers import DATATROVE, peer_python
from benchmarks.running import run_side
from corpus.web.settings import SignalSettings
from foundation.settings import PROFILES_ROOT

ROOT = Path(__file__).resolve().parents[1]
GROWTH = 4
"""How many times more documents the larger table of the memory measurement has."""
BOILERPLATE_TEXTS = 1_500
FALSE_BELOW = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--pages", type=int, default=1_000, help="texts that both sides hash and cluster (default 1000)")
    parser.add_argument("--pairs", type=int, default=4_000, help="planted pairs of each kind (default 4000)")
    parser.add_argument("--documents", type=int, default=1_000_000, help="rows of the memory measurement (default 1000000)")
    parser.add_argument("--folder", type=Path, help="where inputs and results are made (default: a temporary folder)")
    parser.add_argument("--cache", type=Path, default=ROOT / ".transumanza" / "cache", help="downloads and the peer's environment")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dedup-", dir=options.folder) as folder:
        measured = measure(Path(folder), options.cache, options.pages, options.pairs, options.documents)
    print(json.dumps(measured) if options.json else _table(measured))


def measure(folder: Path, cache: Path, pages: int, pairs: int, documents: int) -> dict[str, Any]:
    """All figures; see ``_table`` for what they mean."""
    texts = page_texts(cache, folder / "packages", pages)
    speed = _speed(folder, cache, texts)
    quality = _quality(folder, sentences(page_texts(cache, folder / "packages", 10 * pages)), pairs)
    memory = {rows: _memory(folder, rows) for rows in (documents // GROWTH, documents)}
    large = memory[documents]
    return {
        **speed,
        **quality,
        "peak_mb": round(large["peak_bytes"] / 1e6),
        "memory_growth": round(large["peak_bytes"] / memory[documents // GROWTH]["peak_bytes"], 3),
        "memory": memory,
        "peer": list(DATATROVE),
        "machine": {"cpus": os.cpu_count(), "processor": platform.machine(), "load": [round(load, 2) for load in os.getloadavg()]},
    }


def _speed(folder: Path, cache: Path, texts: Sequence[str]) -> dict[str, Any]:
    """Both sides on the same texts, in turn."""
    python = peer_python("datatrove", DATATROVE, cache / "peers")
    language = str(yaml.safe_load((PROFILES_ROOT / "languages" / "ita.yaml").read_text(encoding="utf-8"))["code"])
    source = _write(texts, folder / "pages.jsonl")
    stock = run_side([str(python), str(ROOT / "benchmarks" / "peers" / "datatrove_minhash.py"), str(source), str(folder / "stock"), language])
    ours = _ours("texts", source, folder / "pages")
    totals = {name: side["signature_seconds"] + side["cluster_seconds"] for name, side in (("stock", stock), ("ours", ours))}
    return {
        "ratio_signatures": round(stock["signature_seconds"] / ours["signature_seconds"], 1),
        "ratio_total": round(totals["stock"] / totals["ours"], 1),
        "documents_per_cpu_second": {
            "stock_signatures": round(len(texts) / stock["signature_seconds"], 1),
            "signatures": round(len(texts) / ours["signature_seconds"], 1),
            "stock_total": round(len(texts) / totals["stock"], 1),
            "total": round(len(texts) / totals["ours"], 1),
        },
        "texts": {"documents": len(texts), "mean_characters": round(sum(map(len, texts)) / len(texts))},
        "duplicates_of_pages": {"stock": _repeated(stock["clusters"]), "ours": _repeated(ours["clusters"])},
        "page_links": _judged(texts, ours["near_links"]),
    }


def _quality(folder: Path, pool: Sequence[str], pairs: int) -> dict[str, Any]:
    """Recall over planted pairs and false links among all texts."""
    texts, planted_pairs = planted(pool, pairs, pairs)
    texts += boilerplate(pool, BOILERPLATE_TEXTS)
    ours = _ours("texts", _write(texts, folder / "planted.jsonl"), folder / "planted")
    sets = ours["clusters"]
    uniform, near_80 = planted_pairs[:pairs], planted_pairs[pairs:]
    links = _judged(texts, ours["near_links"])
    found_80 = _recall(near_80, sets)
    theory_80 = sum(_theory(pair.jaccard) for pair in near_80) / len(near_80)
    return {
        "recall": round(_recall(uniform, sets), 4),
        "recall_theory": round(sum(_theory(pair.jaccard) for pair in uniform) / len(uniform), 4),
        "recall_at_080": round(found_80, 4),
        "theory_at_080": round(theory_80, 4),
        "off_theory_at_080": round(abs(found_80 - theory_80), 4),
        "false_links": round(links["false"] / max(links["links"], 1), 6),
        "links": {**links, "exact": ours["exact_links"], "compared_pairs": ours["compared_pairs"], "documents": len(texts), "sentences": len(pool)},
    }


def _memory(folder: Path, rows: int) -> dict[str, Any]:
    source = folder / f"signals-{rows}.parquet"
    write_made_signals(source, rows)
    measured = _ours("table", source, folder / f"memory-{rows}")
    source.unlink()
    return measured


def _theory(jaccard_similarity: float) -> float:
    """The share of pairs that agree in a whole band."""
    settings = SignalSettings()
    return float(1 - (1 - jaccard_similarity**settings.band_rows) ** (settings.permutations // settings.band_rows))


def _recall(pairs: Sequence[Pair], sets: Sequence[str]) -> float:
    return sum(sets[pair.first] == sets[pair.second] for pair in pairs) / len(pairs)


def _judged(texts: Sequence[str], links: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """Links of near duplicates by their true similarity."""
    true = [jaccard(texts[one], texts[other]) for one, other in links]
    return {"links": len(true), "false": sum(value < FALSE_BELOW for value in true), "least_jaccard": round(min(true, default=1.0), 4)}


def _repeated(clusters: Sequence[Any]) -> int:
    """Documents that are copies of another one: all of a cluster but one. -1 stands for no cluster."""
    inside = [name for name in clusters if name != -1]
    return len(inside) - len(set(inside))


def _write(texts: Sequence[str], path: Path) -> Path:
    path.write_text("".join(json.dumps(text) + "\n" for text in texts), encoding="utf-8")
    return path


def _ours(kind: str, source: Path, folder: Path) -> dict[str, Any]:
    folder.mkdir(parents=True)
    return run_side([sys.executable, "-m", "benchmarks.dedup_run", kind, str(source), str(folder)])




def _table(measured: dict[str, Any]) -> str:
    rows = [
        ("ratio_signatures", "signatures per core, against datatrove's stage 1 on the same texts"),
        ("ratio_total", "signatures and clusters, against its stages 1 to 3"),
        ("recall", "of planted pairs with a similarity drawn from [0.8, 1]"),
        ("recall_at_080", "of planted pairs with a similarity of 0.80"),
        ("theory_at_080", "1 - (1 - s^8)^14 of the same pairs"),
        ("false_links", f"of links of near duplicates, those below a similarity of {FALSE_BELOW}"),
        ("peak_mb", "memory of clustering the large table"),
        ("memory_growth", f"peak memory on {GROWTH} times the documents"),
    ]
    return "\n".join(f"{name:18} {measured[name]:>9}  {meaning}" for name, meaning in rows)


if __name__ == "__main__":
    main()
