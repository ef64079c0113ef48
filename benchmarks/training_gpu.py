"""The GPU part of the training benchmark: LLaMA shapes with random weights, QLoRA r=64 on packed rows, and the table of speed switches.

Every row of the table is a process of its own, so that one that runs out of memory costs no other.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.running import run_side

SHAPES: dict[str, dict[str, int]] = {
    "7B": {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32},
    "13B": {"hidden_size": 5120, "intermediate_size": 13824, "num_hidden_layers": 40, "num_attention_heads": 40, "num_key_value_heads": 40},
    "1B": {"hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22, "num_attention_heads": 32, "num_key_value_heads": 4},
    "tiny": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4},
}
"""LLaMA 2 7B and 13B, and TinyLlama's 1.1B; vocabulary 32,000."""
VOCABULARY = 32_000
STEPS, WARM_STEPS = 8, 3
MICRO_TOKENS = 8_192
"""Tokens of a forward pass: NF4 is unpacked once for so many."""
SWITCHES: dict[str, dict[str, Any]] = {
    "attention: sdpa": {"attention": "sdpa"},
    "attention: eager": {"attention": "eager"},
    "nf4_weights: unpacked": {"nf4_weights": "unpacked"},
    "nf4_weights: unpacked, compile: true": {"nf4_weights": "unpacked", "compile": True},
    "compile: true": {"compile": True},
    "gradient_checkpointing: true": {"gradient_checkpointing": True},
    "loss_chunk_tokens: 8192": {"loss_chunk_tokens": 8192},
}


def measure_gpu() -> dict[str, Any] | str:
    """Figures by shape and length, and the table of the speed switches; or what is missing here."""
    import torch

    if not torch.cuda.is_available():
        return "no GPU here: nothing was measured; on a machine with one run `python -m benchmarks.training --only-gpu --json`"
    table: dict[str, Any] = {"device": torch.cuda.get_device_name()}
    for shape in ("7B", "13B"):
        for row_tokens in (1024, 4096):
            table[f"{shape}, {row_tokens} tokens"] = _apart(shape, row_tokens, {})
    for name, switches in SWITCHES.items():
        table[f"7B, 1024 tokens, {name}"] = _apart("7B", 1024, switches)
    table["1B, 1024 tokens, method: full"] = _apart("1B", 1024, {"method": "full", "optimizer": "adamw"})
    return table


def _apart(shape: str, row_tokens: int, switches: dict[str, Any]) -> dict[str, Any] | str:
    options = {"shape": shape, "row_tokens": row_tokens, "switches": switches}
    try:
        return run_side([sys.executable, "-m", "benchmarks.training_gpu", json.dumps(options)])
    except RuntimeError as error:
        return f"failed: {str(error).strip().splitlines()[-1][:300]}"


def measure_shape(shape: str, row_tokens: int, switches: dict[str, Any], device: str = "cuda", micro_tokens: int = MICRO_TOKENS) -> dict[str, Any]:
    """Tokens per second (median step), MFU and peak memory of QLoRA r=64 on random weights and tokens."""
    import statistics

    import torch
    from tqdm import tqdm

    from training.adapters.lora import with_adapter
    from training.fitting import fit
    from training.packing import Row
    from training.recipes import compile_blocks
    from training.settings import FitSettings

    micro = max(1, micro_tokens // row_tokens)
    settings = FitSettings.model_validate({
        "method": "qlora", "steps": STEPS, "warmup_steps": 0, "schedule": "constant", "rows_per_step": micro, "micro_rows": micro,
        "compute_dtype": "bfloat16", "optimizer": "paged_adamw_32bit", "attention": "flex", "checkpoint_steps": 10_000, "max_loss_rise": None,
        "learning_rate": 1e-5, "lora": {"rank": 64, "alpha": 16}, **switches,
    })  # fmt: skip
    model: Any = _random_llama(SHAPES[shape], row_tokens, device, quantized=settings.method == "qlora")
    if settings.method == "full":
        model = model.float()
        model.requires_grad_(True)
        model.set_attn_implementation({"flex": "flex_attention"}.get(settings.attention, settings.attention))
    else:
        model = with_adapter(model, settings, seed=1)
    if settings.compile:
        compile_blocks(model)
    generator = torch.Generator().manual_seed(1)
    pieces = [row_tokens // 2, row_tokens // 4, row_tokens - row_tokens // 2 - row_tokens // 4]
    rows = [Row(torch.randint(3, VOCABULARY, (row_tokens,), generator=generator).tolist(), pieces) for _ in range(2 * micro)]
    told: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as work:
        fitted = fit(
            model, rows, settings, seed=1, pad_token=2, work=Path(work), watch=lambda entry: told.append(dict(entry)),
            progress=lambda total, label, unit: tqdm(total=total, disable=True),
        )  # fmt: skip
    kept = told[WARM_STEPS:]
    return {
        "tokens_per_second": round(statistics.median(entry["tokens_per_second"] for entry in kept)),
        "mfu": round(statistics.median(entry["mfu"] for entry in kept), 3),
        "peak_memory_mb": told[-1]["peak_memory_mb"],
        "micro_rows": fitted.micro_rows,
        "trainable_parameters": fitted.trainable,
    }


def _random_llama(shape: dict[str, int], context: int, device: str, *, quantized: bool) -> Any:
    """A LLaMA with random bf16 weights, its linear layers in NF4 with double quantization where wanted."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from training.checkpoints import import_quantizer

    quantizer = import_quantizer()
    config = LlamaConfig(vocab_size=VOCABULARY, max_position_embeddings=context, use_cache=False, **shape)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            model = LlamaForCausalLM(config)
    finally:
        torch.set_default_dtype(before)
    if not quantized:
        return model
    for name, module in list(model.named_modules()):
        if not isinstance(module, torch.nn.Linear) or name == "lm_head":
            continue
        packed = quantizer.nn.Linear4bit(module.in_features, module.out_features, bias=False, compute_dtype=torch.bfloat16, quant_type="nf4", device="meta")
        packed.weight = quantizer.nn.Params4bit(module.weight.data, requires_grad=False, quant_type="nf4", compress_statistics=True).to(device)
        parent, _, own = name.rpartition(".")
        setattr(model.get_submodule(parent), own, packed)
    known: Any = model
    known.is_loaded_in_4bit = known.is_quantized = True
    known.quantization_method = "bitsandbytes"
    return model


if __name__ == "__main__":
    chosen = json.loads(sys.argv[1])
    print(json.dumps(measure_shape(chosen["shape"], chosen["row_tokens"], chosen["switches"])))
