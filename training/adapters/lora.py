"""LoRA adapters (peft) over a base in NF4 or in 16 bits."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.checkpoints import ATTENTION, import_quantizer, load_model, load_quantized
from training.settings import FitSettings, LoraSettings

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel


def quantized_with_adapter(base: Path, settings: LoraSettings, device: torch.device | str, *, compute_dtype: str, seed: int) -> PeftModel:
    """A base in NF4 with a fresh adapter that changes nothing yet, as ``method: qlora`` trains it unless told otherwise."""
    fit = FitSettings.model_validate({"method": "qlora", "lora": settings.model_dump(), "compute_dtype": compute_dtype})
    return model_with_adapter(base, fit, device, seed=seed)


def model_with_adapter(base: Path, settings: FitSettings, device: torch.device | str, *, seed: int) -> PeftModel:
    """A base, in NF4 (qlora) or as it is (lora), with a fresh adapter that changes nothing yet.

    Only the adapter's weights require gradients, fp32 unless the settings say otherwise: peft's default, and the only choice of
    which a run that transformers' Trainer resumes is the same run (bf16 adapters come back to it as fp32).
    """
    import_quantizer()  # before peft, which imports it its own way
    model: Any
    if settings.method == "qlora":
        model = load_quantized(base, device, compute_dtype=settings.compute_dtype)
    else:
        model = load_model(base, device, dtype="stored" if settings.compute_dtype == "bfloat16" else "float32")
    return with_adapter(model, settings, seed=seed)


def with_adapter(model: Any, settings: FitSettings, *, seed: int) -> PeftModel:
    """A loaded base with a fresh adapter; see ``model_with_adapter``."""
    import torch
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

    model.requires_grad_(False)
    if settings.method == "qlora":
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
        if settings.nf4_weights == "unpacked":
            model = unpacked(model, settings.compute_dtype)
    model.set_attn_implementation(ATTENTION[settings.attention])
    lora = settings.lora
    targets = lora.targets if isinstance(lora.targets, str) else list(lora.targets)
    config = LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=targets, bias="none", task_type="CAUSAL_LM"
    )
    torch.manual_seed(seed)
    with without_checkpointing_warning():
        adapted: PeftModel = get_peft_model(model, config, autocast_adapter_dtype=True)
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(getattr(torch, settings.adapter_dtype))
    return adapted


def unpacked(model: PreTrainedModel, compute_dtype: str) -> PreTrainedModel:
    """The model with every NF4 weight unpacked once, in the type of the arithmetic: the numbers that each use would unpack.

    Three and a half times (fp32: seven times) the memory of the packed weights, and none of the time that unpacking takes.
    """
    import torch
    from bitsandbytes.functional import dequantize_4bit
    from bitsandbytes.nn import Linear4bit

    dtype = getattr(torch, compute_dtype)
    for name, module in list(model.named_modules()):
        if not isinstance(module, Linear4bit):
            continue
        weight: Any = module.weight
        plain = torch.nn.Linear(module.in_features, module.out_features, bias=module.bias is not None, device="meta")
        values = dequantize_4bit(weight.data, weight.quant_state).to(dtype)
        plain.weight = torch.nn.Parameter(values.reshape(module.out_features, module.in_features), requires_grad=False)
        if module.bias is not None:
            plain.bias = torch.nn.Parameter(module.bias.detach(), requires_grad=False)
        parent, _, own = name.rpartition(".")
        setattr(model.get_submodule(parent), own, plain)
    plain_model: Any = model
    plain_model.is_quantized, plain_model.is_loaded_in_4bit, plain_model.hf_quantizer = False, False, None
    if hasattr(plain_model.config, "quantization_config"):
        del plain_model.config.quantization_config
    return model


def save_adapter(model: PeftModel, folder: Path, base_name: str) -> None:
    """Write the adapter; its config names the base by a stable id, never by this machine's path."""
    model.save_pretrained(str(folder), save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)  # peft's own card repeats the path
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = base_name
    config["target_modules"] = sorted(config["target_modules"])  # peft writes a set, in the order of this process
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def quantized_with_saved_adapter(base: Path, adapter: Path, device: torch.device | str = "cpu", *, compute_dtype: str = "float32") -> PeftModel:
    """A published adapter on the NF4 base it was trained on, for evaluation."""
    import_quantizer()
    from peft import PeftModel

    model = load_quantized(base, device, compute_dtype=compute_dtype)
    with without_checkpointing_warning():
        return PeftModel.from_pretrained(model, str(adapter)).eval()


def on_base_with_saved_adapter(base: Path, adapter: Path, device: torch.device | str = "cpu") -> PeftModel:
    """A published adapter on the base in its own type, widened to fp32, for evaluation of what was trained without quantization."""
    import_quantizer()
    from peft import PeftModel

    model = load_model(base, device)
    with without_checkpointing_warning():
        return PeftModel.from_pretrained(model, str(adapter)).eval()


@contextmanager
def without_checkpointing_warning() -> Iterator[None]:
    """Silence one warning: peft reads a property of the model that transformers has renamed, and only peft can change that."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
        yield
