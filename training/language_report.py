"""What a training line did to a model's Italian and English: bits per byte and answers to fixed prompts, from the
exported files as a user would load them."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from foundation.store import GateResult, TableSpec
from training.adapters.lora import quantized_with_saved_adapter
from training.bits_per_byte import TextSet, measure
from training.checkpoints import device_of, load_model, load_quantized, load_tokenizer
from training.conversations import encode_prompt
from training.fitting import Progress
from training.generation import greedy_answers
from training.settings import EvaluationSettings
from training.templates import render_chat

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

IN_DOMAIN = "in_domain"
BASE_ON_NF4, ADAPTER_ON_NF4 = "base_model on NF4", "adapter on NF4"
ORDER = ("base_model", "adapted_model", "instruction_model", "chat_model", "evalita_model", BASE_ON_NF4, ADAPTER_ON_NF4)
"""The order in which models are shown: the line of their making, then the quantized forms."""
BITS_PER_BYTE = TableSpec(
    name="bits_per_byte",
    schema=pa.schema(
        [
            pa.field("model", pa.string(), nullable=False),
            pa.field("text", pa.string(), nullable=False),
            pa.field("language", pa.string(), nullable=False),
            pa.field("bits_per_byte", pa.float64(), nullable=False),
            pa.field("bytes", pa.int64(), nullable=False),
            pa.field("tokens", pa.int64(), nullable=False),
            pa.field("documents", pa.int64(), nullable=False),
        ]
    ),
    key=("model", "text"),
    decimals={"bits_per_byte": 4},
    description="Bits per byte of each exported model on each held-out text set; lower is better.",
)
GENERATIONS = TableSpec(
    name="generations",
    schema=pa.schema([pa.field(name, pa.string(), nullable=False) for name in ("model", "prompt", "answer")]),
    key=("model", "prompt"),
    description="Greedy answers to the language file's fixed prompts, each model in its own chat template.",
)


@dataclass(frozen=True)
class Candidate:
    """A model to report on: a checkpoint folder, or with ``quantized`` its NF4 form, with an adapter or bare."""

    name: str
    folder: Path
    quantized: bool = False
    adapter: Path | None = None
    answers: bool = False

    def load(self, device: Any) -> PreTrainedModel | PeftModel:
        """The model, read from its files."""
        if not self.quantized:
            return load_model(self.folder, device)
        if self.adapter is not None:
            return quantized_with_saved_adapter(self.folder, self.adapter, device)
        return load_quantized(self.folder, device)


@dataclass(frozen=True)
class LanguageReport:
    """Rows of the two tables."""

    scores: list[dict[str, Any]]
    generations: list[dict[str, Any]]


def report(
    candidates: Sequence[Candidate], texts: Sequence[TextSet], prompts: Sequence[str], settings: EvaluationSettings, progress: Progress
) -> LanguageReport:
    """Score every candidate on every text set, and let those that answer answer the prompts."""
    scores: list[dict[str, Any]] = []
    generations: list[dict[str, Any]] = []
    device = device_of(settings.device)
    total = len(candidates) * sum(len(text.passages) for text in texts) + len(prompts) * sum(item.answers for item in candidates)
    with progress(total, "held-out text and prompts", "text") as bar:
        for candidate in candidates:
            bar.set_postfix_str(candidate.name, refresh=False)
            model, tokenizer = candidate.load(device), load_tokenizer(candidate.folder)
            for text in texts:
                score = measure(model, tokenizer, text.passages, settings.window_tokens, bar)
                scores.append({"model": candidate.name, "text": text.name, "language": text.language, **vars(score)})
            if candidate.answers and prompts:
                ids = [prompt_ids(tokenizer, prompt) for prompt in prompts]
                answers = greedy_answers(model, tokenizer, ids, max_tokens=settings.answer_tokens, batch=settings.batch, bar=bar)
                generations += [
                    {"model": candidate.name, "prompt": prompt, "answer": answer} for prompt, answer in zip(prompts, answers, strict=True)
                ]
            del model
            gc.collect()
    return LanguageReport(
        sorted(scores, key=lambda row: (row["model"], row["text"])), sorted(generations, key=lambda row: (row["model"], row["prompt"]))
    )


def prompt_ids(tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[int]:
    """A question in the model's own chat template; as it stands where the model has none."""
    if not tokenizer.chat_template:
        return encode_prompt(tokenizer, prompt)
    return encode_prompt(tokenizer, render_chat(tokenizer, [{"role": "user", "content": prompt}], prompt=True))


def place_of(model: str) -> tuple[int, str]:
    """Sorts models for people, the base first."""
    return (ORDER.index(model) if model in ORDER else len(ORDER), model)


def relative_change(scores: Sequence[Mapping[str, Any]], model: str, base: str, text: str) -> float:
    """Change of bits per byte of a model against a base on one text set; -0.05 is five percent better."""
    values = {row["model"]: row["bits_per_byte"] for row in scores if row["text"] == text}
    return values[model] / values[base] - 1


def italian_improves(scores: Sequence[Mapping[str, Any]], min_percent: float | None) -> GateResult:
    """The gate: the exported adapted model needs fewer bits than the 16-bit base on held-out text of its corpus."""
    change = round(100 * relative_change(scores, "adapted_model", "base_model", IN_DOMAIN), 2)
    return GateResult(
        name="italian_improves",
        passed=min_percent is None or change <= -min_percent,
        value=change,
        threshold=None if min_percent is None else -min_percent,
        description="Change of bits per byte in percent on in-domain text, adapted export against 16-bit base; negative is better.",
    )
