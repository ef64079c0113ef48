"""Translating through argostranslate's own API and through Transumanza: the same package, beam, sentence splitter and text.

    python -m benchmarks.translation [--json] [--sentences 480] [--messages 60] [--data DIR] [--folder DIR]

`ratio_cpu`: seconds by the clock on all cores, int8, prose lines of Dolly answers, nothing cached, each side as it runs unless told
otherwise: Argos with CTranslate2's threads and batches of 32 tokens, ours with a process for each core. `ratio_cpu_thread`: CPU seconds
of one thread each, which other work on the machine hardly disturbs; `ratio_cpu_argos_1024`: the same with ARGOS_BATCH_SIZE=1024.
`identical`: share of sentences whose output tokens are the same in float32; `agreement_int8`: the same in int8; `ratio_chat`: CPU seconds
of one thread on real chats, with the cache and the protection of structure; `ratio_gpu`: float16, where there is a GPU. The package has
Argos's size and weights that are not trained (``translation_package``).
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

from benchmarks.running import run_side, run_sides
from benchmarks.translation_package import build

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("TRANSUMANZA_DATA", ROOT.parent / "shared" / "data"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--sentences", type=int, default=480, help="sentences of prose (default 480)")
    parser.add_argument("--messages", type=int, default=60, help="messages of real chats (default 60)")
    parser.add_argument("--data", type=Path, default=DATA, help="folder with dolly/ and chat/ (default: TRANSUMANZA_DATA, else the samples)")
    parser.add_argument("--folder", type=Path, help="where the package and results are made (default: a temporary folder)")
    options = parser.parse_args()
    if options.folder:
        measured = measure(options.folder, options.data, options.sentences, options.messages)
    else:
        with tempfile.TemporaryDirectory(prefix="translation-") as folder:
            measured = measure(Path(folder), options.data, options.sentences, options.messages)
    print(json.dumps(measured) if options.json else "\n".join(f"{name:>24}  {value}" for name, value in measured.items()))


def measure(folder: Path, data: Path, sentences: int, messages: int) -> dict[str, Any]:
    """All figures; see the module docstring."""
    instructions, chats, origin = _texts(data)
    package = build(folder / "package", [*instructions, *chats])
    prose = _prose(instructions, sentences)
    talk = chats[:messages]

    def command(name: str, texts: Sequence[str], compute_type: str, **chosen: Any) -> list[str]:
        place = Path(tempfile.mkdtemp(dir=folder))
        (place / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
        document = {"side": name, "texts": str(place / "texts.json"), "package": str(package), "folder": str(place), "compute_type": compute_type,
                    "device": "cpu", "batch_tokens": 1_024, "cache": False, "threads": 1, "meet": None, "peers": 1, **chosen}  # fmt: skip
        (place / "options.json").write_text(json.dumps(document), encoding="utf-8")
        return [sys.executable, "-m", "benchmarks.translation_run", str(place / "options.json")]

    def side(*arguments: Any, **chosen: Any) -> dict[str, Any]:
        return run_side(command(*arguments, **chosen))

    few = prose[: max(len(prose) // 3, 1)]
    exact = side("argos", few, "float32", batch_tokens=32), side("ours", few, "float32")
    theirs, ours = side("argos", prose, "int8", batch_tokens=32), side("ours", prose, "int8")
    larger = side("argos", prose, "int8")
    theirs_chat, ours_chat = side("argos", talk, "int8", batch_tokens=32), side("ours", talk, "int8", cache=True)
    cores = len(os.sched_getaffinity(0))
    meet = tempfile.mkdtemp(dir=folder)
    all_theirs = side("argos", prose, "int8", batch_tokens=32, threads=0)
    all_ours = run_sides([command("ours", prose[number::cores], "int8", meet=meet, peers=cores) for number in range(cores)])
    ours_seconds = max(one["ended"] for one in all_ours) - min(one["began"] for one in all_ours)
    measured = {
        "ratio_cpu": round(all_theirs["seconds"] / ours_seconds, 2),
        "ratio_cpu_thread": round(theirs["cpu_seconds"] / ours["cpu_seconds"], 2),
        "ratio_cpu_float32": round(exact[0]["cpu_seconds"] / exact[1]["cpu_seconds"], 2),
        "ratio_cpu_argos_1024": round(larger["cpu_seconds"] / ours["cpu_seconds"], 2),
        "identical": _agreement(*exact),
        "agreement_int8": _agreement(theirs, ours),
        "ratio_chat": round(theirs_chat["cpu_seconds"] / ours_chat["cpu_seconds"], 2),
        "tokens_per_second": round(sum(one["output_tokens"] for one in all_ours) / ours_seconds, 1),
        "argos_tokens_per_second": round(all_theirs["output_tokens"] / all_theirs["seconds"], 1),
        "tokens_per_cpu_second": round(ours["output_tokens"] / ours["cpu_seconds"], 1),
        "argos_tokens_per_cpu_second": round(theirs["output_tokens"] / theirs["cpu_seconds"], 1),
        "sentences": ours["sentences"],
        "output_tokens_per_sentence": round(ours["output_tokens"] / ours["sentences"], 1),
        "chat_messages": len(talk),
        "texts": origin,
        "ratio_gpu": None,
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}",
    }
    if _has_gpu():
        on_gpu = side("argos", prose, "float16", device="cuda", batch_tokens=32), side("ours", prose, "float16", device="cuda", batch_tokens=16_384)
        measured["ratio_gpu"] = round(on_gpu[0]["seconds"] / on_gpu[1]["seconds"], 2)
        measured["gpu_tokens_per_second"] = round(on_gpu[1]["output_tokens"] / on_gpu[1]["seconds"], 1)
    return measured


def _agreement(theirs: dict[str, Any], ours: dict[str, Any]) -> float:
    """Share of the sentences that both sides translated whose output tokens are the same."""
    shared = theirs["tokens"].keys() & ours["tokens"].keys()
    if len(shared) < 0.99 * len(theirs["tokens"]):
        raise RuntimeError(f"the sides did not get the same sentences: {len(shared)} of {len(theirs['tokens'])} are shared")
    return round(sum(theirs["tokens"][key] == ours["tokens"][key] for key in shared) / len(shared), 4)


def _texts(data: Path) -> tuple[list[str], list[str], str]:
    """Answers of instructions, and messages of chats."""
    places = (data, "user") if (data / "dolly").is_dir() and (data / "chat").is_dir() else (ROOT / "samples", "samples")
    answers = [row["response"] for path in sorted((places[0] / "dolly").glob("*.jsonl")) for row in _rows(path) if "response" in row]
    messages = []
    for path in sorted((places[0] / "chat").glob("*.jsonl")):
        for row in _rows(path):
            messages += [message["content"] for message in row["messages"]] if "messages" in row else list(row.get("data", []))
    return answers, messages, places[1]


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _prose(texts: Sequence[str], sentences: int) -> list[str]:
    """Lines of one sentence or two, of three words and more, without anything that is protected, until there are so many different sentences."""
    from benchmarks.translation_run import _sentence_rules
    from foundation.language.sentences import sentence_spans
    from translation.segmentation import segment

    rules = _sentence_rules()
    chosen: list[str] = []
    seen: set[str] = set()
    for line in (line.strip() for text in texts for line in text.split("\n")):
        parts = [line[start:end] for start, end in sentence_spans(line, rules)]
        plain = [piece.text for piece in segment(line, rules) if piece.sentence] == parts and "".join(parts) == "".join(parts).strip()
        from translation.protection import mask

        if 0 < len(parts) <= 2 and len(line.split()) >= 3 and plain and not any(mask(part).spans for part in parts) and not seen & set(parts):
            chosen.append(line)
            seen.update(parts)
        if len(seen) >= sentences:
            break
    return chosen


def _has_gpu() -> bool:
    import ctranslate2

    return bool(ctranslate2.get_cuda_device_count())


if __name__ == "__main__":
    main()
