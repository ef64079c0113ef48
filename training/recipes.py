"""The two recipes: QLoRA (train an adapter over NF4, export adapter and merged weights) and full fine-tuning."""

from __future__ import annotations

import gc
import resource
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from training.adapters.lora import quantized_with_adapter, save_adapter
from training.adapters.merging import check_saved, merge_adapter
from training.base import ORIGIN
from training.checkpoints import device_of, load_model, load_tokenizer, save_checkpoint, stored_dtype, torch_threads
from training.fitting import Fitted, Progress, fit
from training.loss import target_count, token_losses
from training.packing import Row, collate
from training.settings import AdaptationSettings, FitSettings

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Outcome:
    """What a recipe did; validation losses are in nats per token, of the model in training, before and after."""

    fitted: Fitted
    parameters: int
    validation_before: float | None
    validation_after: float | None
    peak_memory_mb: int


@dataclass(frozen=True)
class Job:
    """What a recipe works on.

    ``base`` is a checkpoint folder and ``base_name`` its stable id; results go below ``output`` (``adapter``,
    ``merged``); ``template`` is the chat template of the result, ``None`` keeps the base's; ``work`` survives a kill.
    """

    base: Path
    base_name: str
    rows: Sequence[Row]
    output: Path
    work: Path
    seed: int
    progress: Progress
    validation: Sequence[Row] = ()
    template: str | None = None


def train_adapter(job: Job, settings: AdaptationSettings) -> Outcome:
    """QLoRA: an fp32 adapter over the base in NF4, then a merge into full 16-bit weights.

    Raises:
        TrainingError: nothing to train on, or a loss that is not finite.
        MergeError: the merged weights are not what the adapter and the base add up to.
    """
    with torch_threads(settings.threads):
        model = quantized_with_adapter(
            job.base, settings.lora, device_of(settings.device), compute_dtype=settings.compute_dtype, seed=job.seed
        )
        outcome = _fit(model, job, settings)
        save_adapter(model, job.output / "adapter", job.base_name)
        del model
        gc.collect()
        merge_adapter(job.base, job.output / "adapter", job.output / "merged", settings.merge, template=job.template)
    _keep_origin(job)
    return outcome


def train_full(job: Job, settings: FitSettings) -> Outcome:
    """Full fine-tuning of all weights, held in fp32 while they move and written in the base's type.

    Raises:
        TrainingError: nothing to train on, or a loss that is not finite.
    """
    with torch_threads(settings.threads):
        model = load_model(job.base, device_of(settings.device))
        model.requires_grad_(True)
        outcome = _fit(model, job, settings)
        tokenizer = load_tokenizer(job.base)
        if job.template is not None:
            tokenizer.chat_template = job.template
        save_checkpoint(model, tokenizer, job.output / "merged", stored_dtype(job.base))
        check_saved(model, job.output / "merged")
        del model
        gc.collect()
    _keep_origin(job)
    return outcome


def _fit(model: PreTrainedModel | PeftModel, job: Job, settings: FitSettings) -> Outcome:
    tokenizer = load_tokenizer(job.base)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    before = mean_loss(model, job.validation, settings, pad)
    fitted = fit(model, job.rows, settings, seed=job.seed, pad_token=pad, work=job.work, progress=job.progress)
    after = mean_loss(model, job.validation, settings, pad)
    parameters = load_parameter_count(job.base)
    return Outcome(fitted, parameters, before, after, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


def mean_loss(model: PreTrainedModel | PeftModel, rows: Sequence[Row], settings: FitSettings, pad_token: int) -> float | None:
    """Mean negative log-likelihood of all targets in nats; ``None`` without rows."""
    import torch

    if not rows:
        return None
    model.eval()
    device = next(model.parameters()).device
    nats, targets = 0.0, 0
    with torch.no_grad(), torch.autocast(device.type, dtype=torch.bfloat16, enabled=settings.compute_dtype == "bfloat16"):
        for row in rows:
            batch = collate([row], pad_token, device)
            nats += float(token_losses(model, batch, settings.loss_chunk_tokens).double().sum())
            targets += target_count(batch)
    return nats / max(targets, 1)


def load_parameter_count(folder: Path) -> int:
    """Parameters of a checkpoint, read from the headers of its weight files."""
    from math import prod

    from safetensors import safe_open

    total = 0
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="numpy") as tensors:
            total += sum(prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118
    return total


def _keep_origin(job: Job) -> None:
    """What the base is, and its licence, goes on with the weights made of it."""
    if (job.base / ORIGIN).is_file():
        shutil.copyfile(job.base / ORIGIN, job.output / "merged" / ORIGIN)
