"""Tiny random checkpoints, one for each model that ``docs/base-models.md`` lists, as their makers lay them out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tests.training.conftest import SENTENCES
from training.checkpoints import load_tokenizer
from training.exports.gguf_vocabulary import PRE_TOKENIZERS
from training.templates import CHAT_TEMPLATES

TEXT = [*SENTENCES, *(sentence.lower() for sentence in SENTENCES), "The sheep (1,200 of them) don't walk back; def f(x): return x ** 2"] * 4


@dataclass(frozen=True)
class Family:
    """How one model is made: its config class, what of its config differs, its tokenizer, its chat template."""

    model: str
    config: str
    tokenizer: Callable[[Path], None]
    template: str
    different: Mapping[str, Any]


def sentencepiece_files(folder: Path) -> None:
    """``tokenizer.model`` alone, as LLaMA 2 and the first Mistral come; transformers makes the rest of it."""
    import sentencepiece

    text = folder / "text.txt"
    text.write_text("\n".join(TEXT), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(folder / "tokenizer"), vocab_size=420, model_type="bpe", byte_fallback=True, pad_id=-1,
        normalization_rule_name="identity", split_digits=True, allow_whitespace_only_pieces=True, remove_extra_whitespaces=False, minloglevel=2,
    )  # fmt: skip
    text.unlink()
    (folder / "tokenizer.vocab").unlink()
    config = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "add_bos_token": True, "add_eos_token": False, "legacy": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")


def byte_level_files(pre: str, specials: Mapping[str, str], normalizer: str | None = None) -> Callable[[Path], None]:
    """A trained byte-level BPE that cuts text as llama.cpp's ``pre`` does."""

    def write(folder: Path) -> None:
        from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
        from transformers import PreTrainedTokenizerFast

        tokenizer = Tokenizer(models.BPE())
        made = []
        for step in PRE_TOKENIZERS[pre]:
            if step["type"] == "Split":
                made.append(pre_tokenizers.Split(Regex(step["pattern"]["Regex"]), "isolated"))
            elif step["type"] == "Digits":
                made.append(pre_tokenizers.Digits(individual_digits=True))
            else:
                made.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=step["use_regex"]))
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(made)
        if normalizer:
            tokenizer.normalizer = getattr(normalizers, normalizer)()
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=sorted(set(specials.values())), initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False)
        tokenizer.train_from_iterator(TEXT, trainer)
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, **specials).save_pretrained(folder)

    return write


LLAMA3 = byte_level_files("llama-bpe", {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"})
SMOLLM2 = byte_level_files("smollm", {"unk_token": "<|endoftext|>", "bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "pad_token": "<|im_end|>"})
QWEN = byte_level_files("qwen2", {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}, "NFC")
LLAMA3_SCALING = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 128}
FAMILIES = (
    Family("LLaMA 2", "LlamaConfig", sentencepiece_files, "llama2", {"num_key_value_heads": 4}),
    Family("Llama 3", "LlamaConfig", LLAMA3, "chatml", {"rope_parameters": {"rope_type": "default", "rope_theta": 500000.0}}),
    Family("Llama 3.1", "LlamaConfig", LLAMA3, "chatml", {"rope_parameters": LLAMA3_SCALING}),
    Family("Llama 3.2", "LlamaConfig", LLAMA3, "chatml", {"rope_parameters": {**LLAMA3_SCALING, "factor": 32.0}, "tie_word_embeddings": True}),
    Family("SmolLM2", "LlamaConfig", SMOLLM2, "chatml", {"tie_word_embeddings": True}),
    Family("Mistral 7B", "MistralConfig", sentencepiece_files, "llama2", {"sliding_window": 256}),
    Family("Qwen2", "Qwen2Config", QWEN, "chatml", {"vocab_size": 448}),
    Family("Qwen2.5", "Qwen2Config", QWEN, "chatml", {"vocab_size": 448, "tie_word_embeddings": True}),
    Family("Qwen3", "Qwen3Config", QWEN, "chatml", {"vocab_size": 448, "head_dim": 32, "tie_word_embeddings": True}),
)
"""Names as in ``training.architectures``."""


def write_family(family: Family, folder: Path) -> None:
    """Write the checkpoint, in bf16; its weights are larger than usual, so that logits differ between tokens."""
    import transformers

    folder.mkdir(parents=True)
    family.tokenizer(folder)
    tokenizer = load_tokenizer(folder)
    shared: dict[str, Any] = {
        "vocab_size": len(tokenizer), "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "tie_word_embeddings": False,
        "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "initializer_range": 0.2,
    }  # fmt: skip
    config = getattr(transformers, family.config)(**{**shared, **family.different})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        model = transformers.AutoModelForCausalLM.from_config(config)
        with torch.no_grad():
            for name, parameter in _vectors(model):
                parameter.add_(0.1 * torch.randn(parameter.shape)) if "norm" in name else parameter.normal_(0, 0.2)
    model.to(torch.bfloat16).save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATES[family.template], encoding="utf-8")


def _vectors(model: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Parameter]]:
    """Norms and biases: they start as ones and zeros, with which a mistake about them would not show."""
    return ((name, parameter) for name, parameter in model.named_parameters() if parameter.ndim == 1)
