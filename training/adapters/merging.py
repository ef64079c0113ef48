"""Merging an adapter into full weights.

Never into the 4-bit weights themselves: rounding back to 4 bits loses nearly the whole update and only warns.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from training.adapters.lora import without_checkpointing_warning
from training.checkpoints import (
    import_quantizer,
    load_model,
    load_quantized,
    load_tokenizer,
    save_checkpoint,
    stored_dtype,
)
from training.errors import MergeError

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

MergeTarget = Literal["base16", "dequantized"]


def merge_adapter(base: Path, adapter: Path, target: Path, into: MergeTarget, *, template: str | None = None) -> None:
    """Write the merged checkpoint, in the base's own type, and see that what was written is what was merged.

    Args:
        base: the 16-bit checkpoint that the adapter was trained over (in NF4).
        adapter: a PEFT adapter folder.
        target: where the merged checkpoint goes.
        into: the 16-bit base, or the dequantized NF4 weights.
        template: a chat template for the tokenizer; ``None`` keeps the base's.

    Raises:
        MergeError: the merged weights are not finite, or differ after reading them back.
    """
    import_quantizer()  # before peft, which imports it its own way
    from peft import PeftModel

    model = load_model(base) if into == "base16" else dequantized(base)
    with without_checkpointing_warning():
        adapted = PeftModel.from_pretrained(model, str(adapter))
    merged = merge(adapted)
    tokenizer = load_tokenizer(base)
    if template is not None:
        tokenizer.chat_template = template
    save_checkpoint(merged, tokenizer, target, stored_dtype(base))
    check_saved(merged, target)


def merge(model: PeftModel) -> PreTrainedModel:
    """The adapter added to plain weights.

    Raises:
        MergeError: the weights under the adapter are quantized, or the sum is not finite.
    """
    quantized = next((name for name, module in model.named_modules() if type(module).__name__ in ("Linear4bit", "Linear8bitLt")), None)
    if quantized is not None:
        raise MergeError(
            f"{quantized} is quantized, and merging there loses the training to rounding; merge into the 16-bit base "
            "(base16) or into the dequantized one (dequantized)"
        )
    try:
        return model.merge_and_unload(safe_merge=True)
    except ValueError as error:
        raise MergeError(f"the merged weights are not finite ({error}); look at the training log for a diverging loss") from error


def dequantized(base: Path) -> PreTrainedModel:
    """The NF4 base as plain fp32 Linear layers: the very weights under the adapter during training."""
    model = load_quantized(base).dequantize()
    for attribute in ("hf_quantizer", "quantization_method"):
        if hasattr(model, attribute):
            setattr(model, attribute, None)
    return model.float()


def check_saved(model: PreTrainedModel, folder: Path) -> None:
    """Compare every written tensor with the model in memory.

    Raises:
        MergeError: a tensor is missing or differs.
    """
    import torch

    stored = load_model(folder, dtype="stored").state_dict()
    for name, tensor in model.state_dict().items():
        if name not in stored or not torch.equal(stored[name].cpu(), tensor.to(stored[name].dtype).cpu()):
            raise MergeError(f"{folder}: tensor {name} was not written as it was merged; look at the disk and build again")
