"""How fast a run is against what its device can do: floating-point operations of training, and the model FLOPs utilization (MFU).

Operations are those that the model needs, whatever is computed again to save memory: two per weight and token forwards, two for the
gradient of the input, two more for that of a weight that moves (Kaplan et al. 2020, arXiv 2001.08361, section 2.1); attention
counts what causal documents see, the output layer the tokens that are predicted. MFU as in PaLM (arXiv 2204.02311, appendix B).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from training.packing import Row

if TYPE_CHECKING:
    import torch

PEAK_TFLOPS = {
    "H200": 989.0, "H100 PCIe": 756.0, "H100 NVL": 835.0, "H100": 989.0, "A100": 312.0, "L40S": 362.0, "L4": 121.0, "A10G": 70.0, "A10": 125.0,
    "A6000": 155.0, "RTX 4090": 165.0, "RTX 3090": 71.0, "V100": 125.0, "T4": 65.0,
}  # fmt: skip
"""Dense bf16 (V100, T4: fp16) peak by the vendors' data sheets, in the order in which a device's name is looked for."""
MEASURED_SIZE = 1_024
"""Side of the square matrices whose product stands for the peak where no data sheet does."""


@dataclass(frozen=True)
class Workload:
    """What one token costs, in floating-point operations; ``attention`` per squared document length."""

    per_token: float
    per_target: float
    attention: float

    def of(self, rows: Sequence[Row], targets: int) -> float:
        """Operations of a training step over rows."""
        squares = sum(float(length) ** 2 for row in rows for length in row.document_lengths)
        return self.per_token * sum(row.tokens for row in rows) + self.per_target * targets + self.attention * squares


def workload_of(model: Any, *, full: bool) -> Workload:
    """What a model costs to train, counted over its linear layers; the adapter's are those that have ``lora_`` in their name."""
    from torch.nn import Linear

    config = model.config
    head = float(config.hidden_size * config.vocab_size)
    base = adapter = 0.0
    for name, module in model.named_modules():
        if not isinstance(module, Linear) or name.endswith("lm_head"):
            continue
        weights = float(module.in_features * module.out_features)
        if "lora_" in name:
            adapter += weights
        else:
            base += weights
    width = config.num_attention_heads * (getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)
    passes = 6 if full else 4
    return Workload(passes * base + 6 * adapter, passes * head, 6.0 * width * config.num_hidden_layers)


def training_operations(parameters: float, method: str) -> float:
    """Operations per token of a model known by its size alone: no gradient of the base's weights where an adapter is trained."""
    return (6.0 if method == "full" else 4.0) * parameters


def peak_flops(device: torch.device) -> float:
    """Peak operations a second: the vendor's bf16 figure of a known GPU, else what a large product of matrices reaches here."""
    import torch

    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        for part, tflops in PEAK_TFLOPS.items():
            if part in name:
                return tflops * 1e12
    return _measured_peak(device.type)


@cache
def _measured_peak(kind: str) -> float:
    import torch

    matrix = torch.ones(MEASURED_SIZE, MEASURED_SIZE, device=kind, dtype=torch.bfloat16 if kind == "cuda" else torch.float32)
    best = 0.0
    for _ in range(4):
        clock = time.perf_counter()
        product = matrix @ matrix
        float(product[0, 0])  # waits for a GPU
        best = max(best, 2 * MEASURED_SIZE**3 / (time.perf_counter() - clock))
    return best


def memory_mb(device: torch.device) -> int:
    """Peak memory so far: of the GPU, or of this process."""
    import resource

    import torch

    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) // 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
