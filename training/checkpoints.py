"""Checkpoint folders: what may be loaded, how models and tokenizers are read from and written to them.

Only safetensors are read, never pickles, and never code that comes with a model.
"""

from __future__ import annotations

import importlib
import json
import logging
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from training.architectures import architecture_of
from training.errors import CheckpointError
from training.weights import weights_digest

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
WANTED = ("*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json", "tokenizer*.json",
          "tokenizer.model", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "*.jinja", "LICENSE*")  # fmt: skip
"""What is taken over from a foreign checkpoint; nothing else of it is copied."""
ATTENTION = {"eager": "eager", "sdpa": "sdpa", "flex": "flex_attention"}
"""transformers' name of each attention kernel that keeps packed documents apart."""


def check_checkpoint(folder: Path) -> None:
    """See that a folder is a 16- or 32-bit safetensors checkpoint whose tokenizer has an end token.

    Raises:
        CheckpointError: it is not, with what to do about it.
    """
    config = _config(folder)
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        pickles = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
        raise CheckpointError(
            f"{folder} holds {f'only pickled weights ({pickles[0]}), which can run code' if pickles else 'no weights'}; "
            "give a checkpoint in safetensors"
        )
    if "auto_map" in config:
        raise CheckpointError(f"{folder}/config.json asks for code of its own (auto_map); only models that transformers knows are loaded")
    if "quantization_config" in config:
        raise CheckpointError(f"{folder} is already quantized; give the 16-bit checkpoint, quantization is done here")
    if index := next(iter(folder.glob("*.safetensors.index.json")), None):
        shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        missing = sorted(shard for shard in shards if not (folder / shard).is_file())
        if missing:
            raise CheckpointError(f"{folder} lacks the weight files {missing} that {index.name} lists; copy the whole checkpoint")
    if load_tokenizer(folder).eos_token_id is None:
        raise CheckpointError(f"the tokenizer in {folder} has no end token (eos_token); answers could never end. Set it in tokenizer_config.json")


def check_base(folder: Path) -> None:
    """See that a folder is a checkpoint that can be trained here: one of a known family, whose tokenizer is its own.

    Raises:
        CheckpointError: it is not, with what to do about it.
    """
    config = _config(folder)
    architecture_of(config, f"{folder}/config.json")  # first: of an unknown family transformers may not even read the tokenizer
    check_checkpoint(folder)
    tokens, rows = len(load_tokenizer(folder)), int(config.get("vocab_size") or 0)
    if tokens > rows:
        raise CheckpointError(f"the tokenizer in {folder} has {tokens} tokens, and the embedding {rows} rows (vocab_size); the two are of different models")


def check_length(folder: Path, tokens: int, key: str) -> None:
    """See that a model has positions for rows of so many tokens.

    Raises:
        CheckpointError: it was made for shorter texts.
    """
    longest = _config(folder).get("max_position_embeddings")
    if longest is not None and tokens > int(longest):
        raise CheckpointError(f"{key} is {tokens} tokens, and the model in {folder} reads at most {longest} (max_position_embeddings); lower {key}, or take a base with a longer context")


def check_digest(folder: Path, expected: str | None, name: str) -> str:
    """The digest of a checkpoint's weights, seen to be the expected one where one is named.

    Raises:
        CheckpointError: these are other weights.
    """
    found = weights_digest(folder)
    if expected not in (None, found):
        raise CheckpointError(
            f"{name}: its weights have sha256 {found}, and weights_sha256 of the profile is {expected}; this is not the base that was named. "
            "Get that one, or change weights_sha256 if the other is meant"
        )
    return found


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); a checkpoint folder with config.json is needed") from error


def load_config(folder: Path) -> PreTrainedConfig:
    """The configuration of a checkpoint as transformers understands it.

    Raises:
        CheckpointError: transformers cannot read it.
    """
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{folder}/config.json cannot be read: {error}") from error


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a checkpoint.

    Raises:
        CheckpointError: transformers cannot read it.
    """
    from transformers import AutoTokenizer

    if (folder / "tokenizer.model").is_file() and not (folder / "tokenizer.json").is_file():
        _import_sentencepiece_format()
    try:
        return AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"the tokenizer in {folder} cannot be read: {error}") from error


def _import_sentencepiece_format() -> None:
    """The description of SentencePiece's files, where its package brings one that the installed protobuf is too old for.

    transformers has a description of its own, but no longer falls back to it.
    """
    name = "sentencepiece.sentencepiece_model_pb2"
    try:
        importlib.import_module(name)
    except Exception as error:
        if type(error).__name__ not in ("VersionError", "ImportError", "ModuleNotFoundError"):
            raise
        sys.modules[name] = importlib.import_module("transformers.utils.sentencepiece_model_pb2_new")


def load_model(
    folder: Path, device: torch.device | str = "cpu", *, dtype: Literal["stored", "float32"] = "float32", own_logits: bool = False
) -> PreTrainedModel:
    """A causal language model in evaluation mode.

    ``float32`` widens stored 16-bit weights without loss, so that the same file gives the same numbers on any machine.
    ``own_logits``: the model is only asked for its own logits, so that it may change them as it likes.

    Raises:
        CheckpointError: transformers cannot read it, or its logits are not those of its output embeddings.
    """
    import torch
    from transformers import AutoModelForCausalLM

    without_bars()
    try:
        model = AutoModelForCausalLM.from_pretrained(
            str(folder),
            dtype="auto" if dtype == "stored" else torch.float32,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            attn_implementation="sdpa",
        )
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"the model in {folder} cannot be read: {error}") from error
    ready: Any = model.eval() if own_logits else _ready(model, folder)
    return ready.to(device)


def load_quantized(folder: Path, device: torch.device | str = "cpu", *, compute_dtype: str = "float32") -> PreTrainedModel:
    """A causal language model quantized to NF4 with double quantization while it is read (bitsandbytes)."""
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    import_quantizer()
    without_bars()
    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=getattr(torch, compute_dtype),
    )
    model = AutoModelForCausalLM.from_pretrained(
        str(folder),
        dtype=torch.float32,
        quantization_config=quantization,
        device_map={"": str(device)},
        use_safetensors=True,
        local_files_only=True,
        trust_remote_code=False,
        attn_implementation="sdpa",
    )
    modules: Iterator[Any] = model.modules()
    for module in modules:
        if hasattr(module, "support_avx512bf16_for_cpu"):
            # On CPUs with AVX512BF16, evaluation would repack the weights in place for an inference kernel of other
            # precision; training on afterwards, and comparing with another CPU, both want the plain path.
            module.support_avx512bf16_for_cpu = False
    return _ready(model, folder)


def import_quantizer() -> Any:
    """bitsandbytes, imported so that it neither fetches nor misses a kernel of the Hub.

    On CPUs with AVX512BF16 its import asks the package ``kernels`` for compiled code of the Hub, whatever version is
    there today, and warns where that fails; it has no switch. ``load_quantized`` does not use that kernel.
    """
    if "bitsandbytes" in sys.modules:
        return sys.modules["bitsandbytes"]
    log = logging.getLogger("bitsandbytes.backends.cpu.ops")
    absent = object()
    before: Any = sys.modules.get("kernels", absent)
    blocked: dict[str, Any] = sys.modules  # None in place of a module makes its import fail
    blocked["kernels"] = None
    log.addFilter(_not_the_kernel)
    try:
        import bitsandbytes
    finally:
        log.removeFilter(_not_the_kernel)
        if before is absent:
            del sys.modules["kernels"]
        else:
            sys.modules["kernels"] = before
    return bitsandbytes


def _not_the_kernel(record: logging.LogRecord) -> bool:
    return "Failed to load CPU gemm_4bit_forward" not in record.getMessage()


def without_bars() -> None:
    """No bar per loaded tensor: the build shows bars of its own for what takes long."""
    from transformers.utils import logging

    logging.disable_progress_bar()


def _ready(model: PreTrainedModel, folder: Path) -> PreTrainedModel:
    for key in ("final_logit_softcapping", "logits_scaling", "logit_scale"):
        if getattr(model.config, key, None) not in (None, 1, 1.0):
            raise CheckpointError(f"{folder}: {model.config.model_type} changes its logits ({key}), which the chunked loss does not know; use a LLaMA-like model")
    model.config.use_cache = False  # with a cache, packed documents see one another and nothing warns
    return model.eval()


def save_checkpoint(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path, dtype: str) -> None:
    """Write weights in the given type, tokenizer and chat template; a plain ``from_pretrained`` reads them back."""
    import torch

    model = model.to(getattr(torch, dtype))
    model.config.dtype = getattr(torch, dtype)
    model.config.use_cache = True  # what a reader of the file wants; loading here switches it off again
    model.save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))


def stored_dtype(folder: Path) -> str:
    """The type of the weights as config.json names it; float32 where it says nothing."""
    config = _config(folder)
    return str(config.get("dtype") or config.get("torch_dtype") or "float32").removeprefix("torch.")


def copy_checkpoint(source: Path, target: Path) -> None:
    """Copy the wanted files of a foreign checkpoint; a link would let its owner change a published version."""
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted({path for pattern in WANTED for path in source.glob(pattern)}):
        shutil.copyfile(path, target / path.name)


def device_of(choice: str) -> torch.device:
    """The device that a run key names; ``auto`` takes a GPU where there is one.

    Raises:
        CheckpointError: a GPU is asked for and there is none.
    """
    import torch

    if choice == "cuda" and not torch.cuda.is_available():
        raise CheckpointError("device is cuda, and torch sees no GPU; set device to auto or cpu")
    return torch.device("cuda" if choice != "cpu" and torch.cuda.is_available() else "cpu")


@contextmanager
def torch_threads(threads: int | None) -> Iterator[None]:
    """Run with so many CPU threads; ``None`` leaves torch's own choice."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
