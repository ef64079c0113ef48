"""LoRA adapters (peft) over a base quantized to NF4; trained and kept in fp32."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from training.checkpoints import import_quantizer, load_model, load_quantized
from training.settings import LoraSettings

if TYPE_CHECKING:
    import torch
    from peft import PeftModel


def quantized_with_adapter(base: Path, settings: LoraSettings, device: torch.device | str, *, compute_dtype: str, seed: int) -> PeftModel:
    """A base in NF4 with a fresh adapter that changes nothing yet.

    Only the adapter's weights require gradients, all of them fp32: peft's default, and the only choice of which a
    resumed run is the same run (bf16 adapters come back as fp32).
    """
    import_quantizer()  # before peft, which imports it its own way
    import torch
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

    model = load_quantized(base, device, compute_dtype=compute_dtype)
    model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    targets = settings.targets if isinstance(settings.targets, str) else list(settings.targets)
    config = LoraConfig(
        r=settings.rank, lora_alpha=settings.alpha, lora_dropout=settings.dropout, target_modules=targets, bias="none", task_type="CAUSAL_LM"
    )
    torch.manual_seed(seed)
    with without_checkpointing_warning():
        return get_peft_model(model, config, autocast_adapter_dtype=True)


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
