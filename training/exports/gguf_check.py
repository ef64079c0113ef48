"""Reading a GGUF file back and comparing it with the checkpoint that it was written from.

The reader is transformers', which has its own idea of names, order of rows and dequantization. Three things it does
not take from the file are given to it: the config (it skips the width of Qwen3's heads and the scaling of Llama 3.1),
and how text is cut before merging. That the file says the same of these is checked on the metadata.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.architectures import architecture_of
from training.checkpoints import load_config, load_model, load_tokenizer
from training.errors import ExportError
from training.exports.gguf_file import head_dim_of
from training.exports.gguf_tensors import ROPE_FACTORS, GgufType, rope_factors

if TYPE_CHECKING:
    import gguf
    import torch
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase

PROBES = (
    "Il pastore conduce il gregge verso i pascoli alti; la sera, al rifugio, si racconta una storia.",
    "Perché «così»? Nel 1998 costava 3.50 €, l'anno dopo 4,20: un'altra città, più lontana.\n\n\t- È già qui?",
    "The sheep (about 1,200 of them) don't walk back until May. def f(x): return x ** 2  # 🐑",
)
"""What is encoded and scored: accents, digits, blanks, an emoji, code, two languages."""
MAX_DIVERGENCE = {"f16": 1e-5, "q8_0": 0.01}
"""Largest mean Kullback-Leibler divergence of the next token, nats. Measured on SmolLM2-135M: see docs/exports.md."""


@dataclass(frozen=True)
class GgufCheck:
    """What reading back found: the largest difference of logits, and the mean divergence of the next token in nats."""

    max_logit_difference: float
    mean_divergence: float


def check_gguf(path: Path, checkpoint: Path, kind: GgufType) -> GgufCheck:
    """Compare a GGUF file with its checkpoint: metadata, tokens, template, logits.

    Raises:
        ExportError: they differ; for logits, by more than the type allows.
    """
    tokenizer = load_tokenizer(checkpoint)
    _check_metadata(path, checkpoint)
    _check_tokens(path, tokenizer)
    found = _compare_logits(path, checkpoint, tokenizer)
    if not found.mean_divergence <= MAX_DIVERGENCE[kind]:  # also where it is not a number
        raise ExportError(
            f"{path}: read back, its next tokens diverge from those of {checkpoint} by {found.mean_divergence:.2g} nats on average, "
            f"allowed are {MAX_DIVERGENCE[kind]:g} for {kind} (largest difference of logits {found.max_logit_difference:.3g}); do not use it, and report the model"
        )
    return found


def _check_metadata(path: Path, checkpoint: Path) -> None:
    import gguf
    import numpy as np

    reader = gguf.GGUFReader(path)
    config = load_config(checkpoint)
    arch = _value(reader, "general.architecture")
    expected = {
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "block_count": config.num_hidden_layers,
        "feed_forward_length": config.intermediate_size,
        "attention.head_count": config.num_attention_heads,
        "attention.head_count_kv": config.num_key_value_heads,
        "attention.key_length": head_dim_of(config),
        "rope.dimension_count": head_dim_of(config),
        "vocab_size": config.vocab_size,
    }
    wrong = {key: found for key, value in expected.items() if (found := _value(reader, f"{arch}.{key}")) != value}
    if wrong:
        raise ExportError(f"{path}: metadata {wrong} are not those of {checkpoint}")
    if config.rope_parameters.get("rope_type") == "llama3":
        stored = next((tensor.data for tensor in reader.tensors if tensor.name == ROPE_FACTORS), None)
        if stored is None or not np.array_equal(stored, rope_factors(config.rope_parameters, head_dim_of(config))):
            raise ExportError(f"{path}: the scaling of positions ({ROPE_FACTORS}) is not that of {checkpoint}")


def _value(reader: gguf.GGUFReader, key: str) -> Any:
    field = reader.get_field(key)
    return None if field is None else field.contents()


def _check_tokens(path: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    from transformers import AutoTokenizer

    again = AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name, local_files_only=True)
    for part in ("normalizer", "pre_tokenizer"):
        setattr(again.backend_tokenizer, part, getattr(tokenizer.backend_tokenizer, part))
    vocabulary = again.get_vocab()
    moved = [token for token, index in tokenizer.get_vocab().items() if vocabulary.get(token) != index]
    if moved:
        raise ExportError(f"{path}: the token {moved[0]!r} (of {len(moved)}) has the id {vocabulary.get(moved[0])} after reading back")
    for text in _encodable(tokenizer):
        one, other = (_ids(each, text) for each in (tokenizer, again))
        if one != other:
            raise ExportError(f"{path}: {text!r} becomes the tokens {other} after reading back, and was {one}")
    if (again.chat_template or None) != (tokenizer.chat_template or None):
        raise ExportError(f"{path}: the chat template changed on its way")
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        if getattr(again, name) != getattr(tokenizer, name):
            raise ExportError(f"{path}: {name} is {getattr(again, name)} after reading back, and was {getattr(tokenizer, name)}")


def _encodable(tokenizer: PreTrainedTokenizerBase) -> Sequence[str]:
    """The probes, and one with the end token, which has to stay whole."""
    return (*PROBES, f"fine{tokenizer.eos_token}")


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _compare_logits(path: Path, checkpoint: Path, tokenizer: PreTrainedTokenizerBase) -> GgufCheck:
    import torch
    from transformers import AutoModelForCausalLM, GgufConfig

    rows = [torch.tensor([_ids(tokenizer, text)[:256]]) for text in PROBES]
    ours = _logits(load_model(checkpoint), rows)
    gc.collect()
    model = AutoModelForCausalLM.from_pretrained(
        str(path.parent),
        gguf_file=path.name,
        config=_as_in_the_file(checkpoint),
        quantization_config=GgufConfig(dequantize=True),  # else a GPU build may ask the Hub for a kernel
        dtype=torch.float32,
        local_files_only=True,
    )
    theirs = _logits(model.eval(), rows)
    differences, divergences = [], []
    for one, other in zip(ours, theirs, strict=True):
        differences.append(float((one - other).abs().max()))
        before, after = one.log_softmax(-1), other.log_softmax(-1)
        divergences.append((before.exp() * (before - after)).sum(-1))
    return GgufCheck(max(differences), float(torch.cat([row.flatten() for row in divergences]).mean()))


def _as_in_the_file(checkpoint: Path) -> PreTrainedConfig:
    """The config in the terms of the file, where Mistral is a llama: the reader knows it by no other name."""
    from transformers import AutoConfig

    values = load_config(checkpoint).to_dict()
    architecture = architecture_of(values, str(checkpoint))
    return AutoConfig.for_model(architecture.gguf, **{key: value for key, value in values.items() if key not in ("model_type", "architectures")})


def _logits(model: Any, rows: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    import torch

    with torch.inference_mode():
        return [model(input_ids=row, use_cache=False).logits.double() for row in rows]
