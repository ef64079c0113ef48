"""The models that a language report scores, each in one form: its export, or the quantized form it was trained in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.adapters.lora import quantized_with_saved_adapter
from training.checkpoints import load_model, load_quantized

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

BASE, EXPORT, NF4_BASE, ADAPTER_ON_NF4 = "base", "export", "nf4_base", "adapter_on_nf4"
"""Forms: the 16-bit base, what is exported from training (merged 16-bit weights, read back), the base in NF4 before any training,
and the adapter on the NF4 base, which is what was trained."""
BASE_MODEL, CHAT_BASE = "base_model", "chat_base_model"
ADAPTED, ADAPTED_CHAT = "adapted_model", "adapted_chat_model"
TUNED = ("instruction_model", "chat_model", "evalita_model")
_MODELS = (BASE_MODEL, CHAT_BASE, ADAPTED, ADAPTED_CHAT, *TUNED)
_FORMS = (BASE, EXPORT, NF4_BASE, ADAPTER_ON_NF4)


@dataclass(frozen=True)
class Candidate:
    """A model to report on: a checkpoint folder, in NF4 where the form says so, with an adapter or bare.

    ``base`` names the model and form that it is compared with; it is itself where there is none.
    """

    name: str
    form: str
    folder: Path
    base: tuple[str, str]
    adapter: Path | None = None
    answers: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """Model and form."""
        return (self.name, self.form)

    def load(self, device: Any) -> PreTrainedModel | PeftModel:
        """The model, read from its files."""
        if self.form not in (NF4_BASE, ADAPTER_ON_NF4):
            return load_model(self.folder, device)
        if self.adapter is not None:
            return quantized_with_saved_adapter(self.folder, self.adapter, device)
        return load_quantized(self.folder, device)


def place_of(model: str, form: str = EXPORT) -> tuple[int, int, str]:
    """Sorts models for people: the line of their making, the quantized forms behind."""
    quantized = form in (NF4_BASE, ADAPTER_ON_NF4)
    return (quantized, _MODELS.index(model) if model in _MODELS else len(_MODELS), model)


def label_of(model: str, form: str) -> str:
    """How a model in one form is shown."""
    return model if form in (BASE, EXPORT) else f"{model}, {form.replace('_', ' ')}"
