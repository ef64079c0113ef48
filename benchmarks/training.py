"""QLoRA through TRL's SFTTrainer and through Transumanza: the same model, packed rows, start of the fp32 adapter and tokens.

    python -m benchmarks.training [--json] [--steps 8] [--rounds 2] [--row-tokens 512] [--model smollm2|tiny] [--switches] [--gpu]

Each side runs in a process of its own with one thread, the sides by turns; the first two steps of a process do not count. `ratio_cpu`:
our tokens per CPU second over TRL's, each the median step of all rounds, NF4 unpacked for each use as TRL does; CPU time, since other
processes disturb it less. `ratio_cpu_unpacked`: ours with `nf4_weights: unpacked`. `ratio_wall`, `ratio_wall_unpacked`: the same by the clock.
`loss_difference`: the largest difference of any step's loss, all of them after the same tokens.

With `--gpu` (`benchmarks.training_gpu`): LLaMA shapes of 7B and 13B with random weights, QLoRA r=64 at 1,024 and 4,096 tokens, and the
table of the speed switches. Without a GPU it says so.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.running import run_side
from benchmarks.training_gpu import measure_gpu

ROOT = Path(__file__).resolve().parents[1]
WARM_STEPS = 2
ONE_THREAD = ("env", "OMP_NUM_THREADS=1", "MKL_NUM_THREADS=1")
CPU_SWITCHES: dict[str, dict[str, Any]] = {
    "nf4_weights: unpacked": {"nf4_weights": "unpacked"},
    "attention: eager": {"attention": "eager"},
    "gradient_checkpointing: true": {"gradient_checkpointing": True},
    "loss_chunk_tokens: 128": {"loss_chunk_tokens": 128},
    "compile: true": {"compile": True},
}
"""flex attention has no backward pass on a CPU."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--steps", type=int, default=8, help="steps of a round, two of which do not count (default 8)")
    parser.add_argument("--rounds", type=int, default=2, help="times that each side runs (default 2)")
    parser.add_argument("--row-tokens", type=int, default=512)
    parser.add_argument("--model", choices=("smollm2", "tiny"), default="smollm2")
    parser.add_argument("--gpu", action="store_true", help="measure on the GPU as well")
    parser.add_argument("--only-gpu", action="store_true", help="measure on the GPU alone")
    parser.add_argument("--switches", action="store_true", help="measure the speed switches on the CPU, and nothing else of it")
    options = parser.parse_args()
    measured: dict[str, Any] = {}
    if options.switches:
        with tempfile.TemporaryDirectory(prefix="training-") as folder:
            measured["switches"] = measure_switches(Path(folder), options.model, options.steps, options.row_tokens)
    elif not options.only_gpu:
        with tempfile.TemporaryDirectory(prefix="training-") as folder:
            measured = measure(Path(folder), options.model, options.steps, options.rounds, options.row_tokens)
    measured["gpu"] = measure_gpu() if options.gpu or options.only_gpu else "not asked for; add --gpu"
    print(json.dumps(measured) if options.json else "\n".join(f"{name:>24}  {value}" for name, value in measured.items()))


def measure(folder: Path, model: str, steps: int, rounds: int, row_tokens: int) -> dict[str, Any]:
    """The figures on CPU; see the module docstring."""
    prepare(folder, model, steps, row_tokens)
    sides: dict[str, list[dict[str, Any]]] = {"trl": [], "ours": [], "ours-unpacked": []}
    arguments = {"trl": "trl", "ours": "{}", "ours-unpacked": '{"nf4_weights": "unpacked"}'}
    for _ in range(rounds):
        for side, runs in sides.items():
            runs.append(run_side([*ONE_THREAD, sys.executable, "-m", "benchmarks.training_run", arguments[side], str(folder)]))
    speed = {side: row_tokens / statistics.median(second for run in runs for second in run["seconds"][WARM_STEPS:]) for side, runs in sides.items()}
    cpu = {side: statistics.median(second for run in runs for second in run["cpu_seconds"][WARM_STEPS:]) for side, runs in sides.items()}
    losses = {side: runs[0]["losses"] for side, runs in sides.items()}
    memory = {side: max(run["peak_memory_mb"] for run in runs) for side, runs in sides.items()}
    return {
        "ratio_cpu": round(cpu["trl"] / cpu["ours"], 3),
        "ratio_cpu_unpacked": round(cpu["trl"] / cpu["ours-unpacked"], 3),
        "ratio_wall": round(speed["ours"] / speed["trl"], 3),
        "ratio_wall_unpacked": round(speed["ours-unpacked"] / speed["trl"], 3),
        "tokens_per_cpu_second": {side: round(row_tokens / value, 1) for side, value in cpu.items()},
        "tokens_per_second": {side: round(value, 1) for side, value in speed.items()},
        "peak_memory_mb": memory,
        "loss_difference": max(abs(a - b) for side in ("ours", "ours-unpacked") for a, b in zip(losses["trl"], losses[side], strict=True)),
        "final_loss": {side: round(values[-1], 4) for side, values in losses.items()},
        "tokens": steps * row_tokens,
        "model": model,
        "row_tokens": row_tokens,
        "versions": sides["trl"][0]["versions"],
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}",
    }


def measure_switches(folder: Path, model: str, steps: int, row_tokens: int) -> dict[str, Any]:
    """Tokens per second, memory and loss of each speed switch on this CPU, in CPU time too, against the plain run."""
    prepare(folder, model, steps, row_tokens)
    plain: dict[str, Any] = {}
    table: dict[str, Any] = {}
    for name, switches in {"plain": {}, **CPU_SWITCHES}.items():
        run = run_side([*ONE_THREAD, sys.executable, "-m", "benchmarks.training_run", json.dumps(switches), str(folder)])
        plain = plain or run
        seconds, cpu = (statistics.median(run[key][WARM_STEPS:]) for key in ("seconds", "cpu_seconds"))
        table[name] = {
            "tokens_per_second": round(row_tokens / seconds, 1),
            "tokens_per_cpu_second": round(row_tokens / cpu, 1),
            "peak_memory_mb": run["peak_memory_mb"],
            "loss_difference": max(abs(a - b) for a, b in zip(run["losses"], plain["losses"], strict=True)),
        }
        print(f"{name}: {table[name]}", file=sys.stderr)
    return table


def prepare(folder: Path, model: str, steps: int, row_tokens: int) -> None:
    """The base, packed rows of the pages that come with the project, and the start of the adapter."""
    import yaml

    from foundation.settings import load_yaml
    from foundation.sources.downloads import Downloads
    from training.adapters.lora import quantized_with_adapter
    from training.base import publish_base
    from training.checkpoints import load_tokenizer
    from training.packing import pack_split
    from training.settings import LoraSettings, SmolLM2Base, TinyBase

    cache = Path(os.environ.get("TRANSUMANZA_HOME", ROOT / ".transumanza")) / "cache"
    publish_base(SmolLM2Base() if model == "smollm2" else TinyBase(), folder / "base", Downloads(cache))
    tokenizer = load_tokenizer(folder / "base")
    try:
        pages = load_yaml((ROOT / "samples/web/pages.yaml").read_text(encoding="utf-8"))["pages"]
    except (OSError, yaml.YAMLError) as error:
        raise RuntimeError(f"the pages of the project cannot be read: {error}") from error
    documents = [[*tokenizer(page["text"])["input_ids"], tokenizer.eos_token_id] for page in pages if page["language"] == "ita"]
    rows = list(pack_split(documents * (1 + steps * row_tokens // sum(map(len, documents))), row_tokens))[:steps]
    document = [{"input_ids": list(row.input_ids), "document_lengths": list(row.document_lengths)} for row in rows]
    (folder / "rows.json").write_text(json.dumps(document), encoding="utf-8")
    adapted = quantized_with_adapter(folder / "base", LoraSettings(rank=16, alpha=32), "cpu", compute_dtype="float32", seed=7)
    adapted.save_pretrained(str(folder / "adapter"))


if __name__ == "__main__":
    main()
