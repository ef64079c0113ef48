"""The model families that can be trained here: decoders of the LLaMA kind, as transformers names them (``model_type``).

What belongs here is what differs between them for training and export. What was tried with each is in
``docs/base-models.md``, which a test compares with this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from training.errors import CheckpointError


@dataclass(frozen=True)
class Architecture:
    """One family.

    ``gguf`` is its name in GGUF files; ``permuted`` says whether llama.cpp wants the rows of Q and K in the order of
    the original LLaMA release, which transformers changed.
    """

    model_type: str
    models: tuple[str, ...]
    gguf: str
    permuted: bool
    note: str = ""


ARCHITECTURES: Mapping[str, Architecture] = {
    family.model_type: family
    for family in (
        Architecture("llama", ("LLaMA 2", "Llama 3", "Llama 3.1", "Llama 3.2", "SmolLM2"), "llama", True),
        Architecture(
            "mistral", ("Mistral 7B",), "llama", True, "GGUF knows no sliding window for it: beyond the window, llama.cpp attends to all tokens."
        ),
        Architecture("qwen2", ("Qwen2", "Qwen2.5"), "qwen2", False, "Q, K and V have biases; LoRA leaves them as they are."),
        Architecture("qwen3", ("Qwen3",), "qwen3", False, "Q and K are normalized per head."),
    )
}


def architecture_of(config: Mapping[str, Any], where: str) -> Architecture:
    """The family of a checkpoint, from its config.json.

    Raises:
        CheckpointError: it is of no family that was tried here.
    """
    kind = str(config.get("model_type"))
    if kind not in ARCHITECTURES:
        raise CheckpointError(
            f"{where}: model_type is {kind!r}; only decoders of the LLaMA family are trained here: {', '.join(ARCHITECTURES)} "
            "(docs/base-models.md)"
        )
    return ARCHITECTURES[kind]
