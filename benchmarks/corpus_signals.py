"""All signals of documents, against datatrove's Gopher, FineWeb and C4 filters with its Italian tokenizer; and do they agree?

    python -m benchmarks.corpus_signals [--json] [--documents 1000] [--word-lists DIR] [--folder DIR]

Both sides get the same texts (Italian pages of Debian packages, main text by resiliparse) and run in turn, three times,
in one process each; the median of each figure counts. Seconds are CPU seconds of measuring alone: imports, spaCy and compiling are left out on
both sides. Ours remembers words, and has met as many other documents before, as in a run of any length; `ratio_no_word_met` is
that of the first documents of a run. datatrove remembers nothing. Ours measures all signals: repetition, lines, sentences, word lists, MinHash signatures too; datatrove judges only,
stops at the first rule that fails within a filter, and every filter sees every document. Texts are software manuals: right for
throughput, no measure of quality on the web.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from benchmarks.harvest_input import TARGET
from benchmarks.peers import DATATROVE, peer_python
from benchmarks.running import run_side
from foundation.language.settings import LanguageSettings
from foundation.settings import PROFILES_ROOT
from foundation.sources.debian import DebianPackages

ROOT = Path(__file__).resolve().parents[1]
RUNS = 3
MIN_CHARACTERS = 200
END_MARKS = [".", "?", "!", '"']
"""C4's four (Raffel et al. 2020); datatrove has the straight apostrophe too."""
LONGEST_WORD = 250
"""As in rules/clean_mc4_it_code.yaml."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--documents", type=int, default=1_000, help="documents (default 1000)")
    parser.add_argument("--word-lists", type=Path, help="folder with the word lists `it` and `en` of LDNOOBW (default: none are looked for)")
    parser.add_argument("--folder", type=Path, help="where inputs and results are made (default: a temporary folder)")
    parser.add_argument("--cache", type=Path, default=ROOT / ".transumanza" / "cache", help="downloads and the peer's environment")
    options = parser.parse_args()
    if options.folder:
        options.folder.mkdir(parents=True, exist_ok=True)
        measured = measure(options.folder, options.cache, options.documents, options.word_lists)
    else:
        with tempfile.TemporaryDirectory(prefix="signals-") as folder:
            measured = measure(Path(folder), options.cache, options.documents, options.word_lists)
    print(json.dumps(measured) if options.json else _table(measured))


def measure(folder: Path, cache: Path, documents: int, word_lists: Path | None) -> dict[str, Any]:
    """All figures; see ``_table`` for what they mean."""
    python = peer_python("datatrove", DATATROVE, cache / "peers")
    texts = load_texts(cache, folder, 2 * documents)
    met = len(texts.read_text(encoding="utf-8").splitlines()) // 2
    lists = ",".join(str(word_lists / name) for name in ("it", "en")) if word_lists else ""
    peer = [str(python), str(ROOT / "benchmarks" / "peers" / "datatrove_filters.py"), str(texts), str(met), str(_settings(folder)), str(folder / "peer.json")]
    own = [sys.executable, "-m", "benchmarks.signals_run", str(texts), str(met), lists, str(folder / "own.json")]
    runs = [(run_side(peer), run_side(own)) for _ in range(RUNS)]
    stock = sorted((run for run, _ in runs), key=lambda run: sum(run["cpu_seconds"].values()))[RUNS // 2]
    ours = {name: sorted(run[name] for _, run in runs)[RUNS // 2] for name in runs[0][1]}
    agreement = _agreement(folder)
    total = ours["documents"]
    stock_seconds = sum(stock["cpu_seconds"].values())
    return {
        "ratio": round(stock_seconds / ours["cpu_seconds"], 2),
        "ratio_no_word_met": round(stock_seconds / ours["cpu_seconds_no_word_met"], 2),
        "agreement": min(agreement["same_reason"].values()),
        "judging_ratio": round(ours["cpu_seconds"] / ours["judging_seconds"], 1),
        "agreement_by_filter": agreement["same_reason"],
        "verdict_agreement_by_filter": agreement["same_verdict"],
        "dropped_by_filter": agreement["dropped"],
        "documents_per_cpu_second": {
            "ours": round(total / ours["cpu_seconds"], 1),
            "datatrove": round(total / stock_seconds, 1),
            **{name: round(total / seconds, 1) for name, seconds in stock["cpu_seconds"].items()},
        },
        "documents": total,
        "peer": list(DATATROVE),
        "machine": {"cpus": os.cpu_count(), "processor": platform.machine(), "load": [round(load, 2) for load in os.getloadavg()]},
    }


def load_texts(cache: Path, folder: Path, documents: int) -> Path:
    """A file with the texts of so many pages, one JSON string a line, in an order drawn by hash."""
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.html import HTMLTree

    output = folder / f"texts-{documents}.jsonl"
    if output.is_file():
        return output
    packages = DebianPackages(cache)
    paths = []
    for name, package in packages.obtain(list(TARGET)).items():
        target = folder / "packages" / name
        if not target.is_dir():
            packages.unpack(package, target)
        paths += [path for path in target.rglob("*.html") if path.is_file() and not path.is_symlink()]
    paths.sort(key=lambda path: hashlib.sha256(f"benchmark\x00{path.relative_to(folder).as_posix()}".encode()).hexdigest())
    texts: list[str] = []
    for path in paths:
        text = extract_plain_text(HTMLTree.parse_from_bytes(path.read_bytes(), "utf-8"), main_content=True, preserve_formatting=True).strip()
        if len(text) >= MIN_CHARACTERS and len(texts) < documents:
            texts.append(text)
    output.write_text("\n".join(json.dumps(text) for text in texts), encoding="utf-8")
    return output


def _settings(folder: Path) -> Path:
    language = LanguageSettings(**yaml.safe_load((PROFILES_ROOT / "languages" / "ita.yaml").read_text(encoding="utf-8")))
    path = folder / "thresholds.json"
    values = {
        "language": language.code,
        "stop_words": language.words.stop_words,
        "policy": [phrase for phrases in language.phrases.policy.values() for phrase in phrases],
        "end_marks": END_MARKS,
        "longest_word": LONGEST_WORD,
        "warm_up": "lorem: " * 20,
    }
    path.write_text(json.dumps(values), encoding="utf-8")
    return path


def _agreement(folder: Path) -> dict[str, dict[str, Any]]:
    peer, own = (json.loads((folder / name).read_text(encoding="utf-8")) for name in ("peer.json", "own.json"))
    pairs = {name: list(zip(peer[name], own[name], strict=True)) for name in peer}
    return {
        "same_reason": {name: round(sum(a == b for a, b in found) / len(found), 4) for name, found in pairs.items()},
        "same_verdict": {name: round(sum((a is None) == (b is None) for a, b in found) / len(found), 4) for name, found in pairs.items()},
        "dropped": {name: round(sum(a is not None for a, _ in found) / len(found), 4) for name, found in pairs.items()},
    }




def _table(measured: dict[str, Any]) -> str:
    rows = [
        ("ratio", "documents per core of all signals, against datatrove's filters"),
        ("ratio_no_word_met", "the same for the first documents of a run"),
        ("agreement", "of documents, those with the same reason, or none, under the same rules; the worst filter"),
        ("judging_ratio", "how many times faster judging from signals is than measuring them"),
    ]
    return "\n".join(f"{name:18} {measured[name]:>8}  {meaning}" for name, meaning in rows)


if __name__ == "__main__":
    main()
