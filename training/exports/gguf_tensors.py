"""Tensors of a LLaMA-family checkpoint as llama.cpp wants them: names, order of rows, types.

After llama.cpp's ``convert_hf_to_gguf.py`` (MIT), whose form is what llama.cpp reads; the names are those of the
package ``gguf``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from training.architectures import Architecture
from training.errors import ExportError

if TYPE_CHECKING:
    import gguf
    import numpy as np
    import torch

GgufType = Literal["f16", "q8_0"]
ROPE_FACTORS = "rope_freqs.weight"
F16_LARGEST = 65504.0


def gguf_names(architecture: Architecture, layers: int) -> gguf.TensorNameMap:
    """The map from names of transformers to names of GGUF."""
    import gguf

    arch = next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture.gguf)
    return gguf.get_tensor_name_map(arch, layers)


def gguf_name(names: gguf.TensorNameMap, name: str) -> str:
    """The GGUF name of one tensor.

    Raises:
        ExportError: GGUF has no place for it.
    """
    found = names.get_name(name, try_suffixes=(".weight", ".bias"))
    if found is None:
        raise ExportError(f"GGUF has no name for the tensor {name}; this model cannot be written in that form, use the merged safetensors")
    return str(found)


def permuted(weights: np.ndarray, heads: int) -> np.ndarray:
    """Rows of Q or K (or their biases) in the order of the original LLaMA release: the two halves of a head interleaved.

    Without this nothing fails; the model is merely far worse.
    """
    halves = weights.reshape(heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:])
    return halves.swapaxes(1, 2).reshape(weights.shape)


def heads_to_permute(architecture: Architecture, name: str, config: Any) -> int | None:
    """How many heads the rows of a tensor are to be permuted by; ``None`` where they stay."""
    if not architecture.permuted:
        return None
    if ".q_proj." in name:
        return int(config.num_attention_heads)
    return int(config.num_key_value_heads) if ".k_proj." in name else None


def encoded(name: str, tensor: torch.Tensor, kind: GgufType, heads: int | None) -> tuple[np.ndarray, gguf.GGMLQuantizationType]:
    """The data of one tensor and its type: vectors stay fp32, matrices become F16, or Q8_0 where rows fill its blocks of 32.

    Raises:
        ExportError: a weight is not finite, or too large for F16.
    """
    import gguf
    import numpy as np

    data = tensor.float().numpy()
    largest = float(np.abs(data).max(initial=0.0))
    if not math.isfinite(largest):
        raise ExportError(f"{name} holds weights that are not finite; look at the training log")
    if heads is not None:
        data = permuted(data, heads)
    if data.ndim == 1:
        return np.ascontiguousarray(data, dtype=np.float32), gguf.GGMLQuantizationType.F32
    block, _ = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType.Q8_0]
    if kind == "q8_0" and data.shape[-1] % block == 0:
        return gguf.quants.quantize(data, gguf.GGMLQuantizationType.Q8_0), gguf.GGMLQuantizationType.Q8_0
    if largest > F16_LARGEST:
        raise ExportError(f"{name} holds a weight of {largest:g}, and F16 ends at {F16_LARGEST:g}; use --type q8_0 or the merged safetensors")
    return np.ascontiguousarray(data, dtype=np.float16), gguf.GGMLQuantizationType.F16


def rope_factors(parameters: Mapping[str, Any], head_dim: int) -> np.ndarray:
    """By what llama.cpp divides each rotary frequency, for the scaling of Llama 3.1 and later (``rope_type: llama3``).

    Short waves stay, long ones are stretched by ``factor``, those between change smoothly (Llama 3.1, ``apply_scaling``).
    """
    import numpy as np

    frequencies = 1.0 / parameters["rope_theta"] ** (np.arange(0, head_dim, 2, dtype=np.float64) / head_dim)
    factor, low, high = (float(parameters[key]) for key in ("factor", "low_freq_factor", "high_freq_factor"))
    context = float(parameters["original_max_position_embeddings"])
    waves = 2 * math.pi / frequencies
    smooth = np.clip((context / waves - low) / (high - low), 0.0, 1.0)
    return (1.0 / ((1 - smooth) / factor + smooth)).astype(np.float32)
