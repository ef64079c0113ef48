"""The recipes: an adapter over NF4 or 16-bit weights, exported alone and merged, and full fine-tuning."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.store.builds import hardware
from training.adapters.choice import MergeChoice, Merging, publish_merge
from training.adapters.lora import model_with_adapter, save_adapter
from training.adapters.merging import check_saved, merge_adapter
from training.base import ORIGIN
from training.checkpoints import (
    ATTENTION,
    device_of,
    load_model,
    load_tokenizer,
    save_checkpoint,
    stored_dtype,
    torch_threads,
)
from training.errors import TrainingError
from training.evaluation.curve import CURVE, MAX_ROWS, HeldOutCurve, target_bytes
from training.fitting import Fitted, Progress, Watch, fit, step_count
from training.loss import causal_model, objective, target_count
from training.packing import Row, collate
from training.running.ranks import current_ranks
from training.running.sharding import release, sharded_objective, whole_weights
from training.settings import FitSettings, MergingSettings
from training.speed import memory_mb

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Outcome:
    """What a recipe did; validation losses are in nats per token, of the model in training, before and after.

    ``curve``: bits per byte on a slice of the validation rows by steps done; empty without validation rows. ``hardware``: of the machine
    that trained, which a build that follows a job need not share. ``merges``: how the merges measured, where the job has them judged.
    """

    fitted: Fitted
    parameters: int
    validation_before: float | None
    validation_after: float | None
    peak_memory_mb: int
    hardware: Mapping[str, Any]
    curve: Sequence[Mapping[str, Any]] = ()
    merges: MergeChoice | None = None


@dataclass(frozen=True)
class Judging:
    """How the merges of an adapter are judged: on which held-out passages, and how much worse than the adapter they may be."""

    texts: Sequence[str]
    limits: MergingSettings


@dataclass(frozen=True)
class Job:
    """What a recipe works on.

    ``base`` is a checkpoint folder and ``base_name`` its stable id; results go below ``output`` (``adapter``,
    ``merged``); ``template`` is the chat template of the result, ``None`` keeps the base's; ``work`` survives a kill. ``judging``: how
    an adapter's merges are chosen among, ``None`` takes the settings' unseen. ``sharded``: the weights are shared out over the processes
    (FSDP); ``stop`` and ``watch``: see ``fit``.
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
    judging: Judging | None = None
    sharded: bool = False
    stop: Callable[[], bool] = lambda: False
    watch: Watch | None = None


def train(job: Job, settings: FitSettings) -> Outcome:
    """Train by the method of the settings; every process of the run calls this, and the first one writes the results.

    Raises:
        TrainingError: nothing to train on, or settings that this device cannot follow.
        LossDiverged: a loss that cannot be trusted.
        Stopped: the run was asked to end, with a checkpoint.
        MergeError: the merged weights are not what the adapter and the base add up to.
    """
    device = device_of(settings.device)
    if settings.attention == "flex" and device.type == "cpu":
        raise TrainingError("attention is flex, which has no backward pass on CPUs (torch); set it to sdpa or eager")
    return train_full(job, settings) if settings.method == "full" else train_adapter(job, settings)


def train_adapter(job: Job, settings: FitSettings) -> Outcome:
    """QLoRA or LoRA: an adapter over the base in NF4 or in 16 bits, then the merges into full 16-bit weights, and a choice among them."""
    with torch_threads(settings.threads):
        model = model_with_adapter(job.base, settings, device_of(settings.device), seed=job.seed)
        outcome = _fit(model, job, settings)
        if current_ranks().first:
            save_adapter(model, job.output / "adapter", job.base_name)
            del model
            gc.collect()
            outcome = replace(outcome, merges=_merge(job, settings))
            _keep_origin(job)
    return outcome


def _merge(job: Job, settings: FitSettings) -> MergeChoice | None:
    """Leave merged weights in ``merged``: those of the choice, where there is one, or the settings' merge."""
    adapter, merged = job.output / "adapter", job.output / "merged"
    if job.judging is None:
        merge_adapter(job.base, adapter, merged, settings.merge, template=job.template)
        return None
    texts, limits = job.judging.texts, job.judging.limits
    merging = Merging(job.base, adapter, quantized=settings.method == "qlora", template=job.template)
    with job.progress((1 + len(merging.targets)) * len(texts), "measuring merges", "text") as bar:
        return publish_merge(merging, merged, job.work, texts, limits, settings.merge, device_of(settings.device), bar)


def train_full(job: Job, settings: FitSettings) -> Outcome:
    """Full fine-tuning of all weights, held in fp32 while they move and written in the base's type."""
    with torch_threads(settings.threads):
        device = device_of(settings.device)
        model: Any = load_model(job.base, device if not job.sharded else "cpu")
        model.set_attn_implementation(ATTENTION[settings.attention])
        model.requires_grad_(True)
        outcome = _fit(model, job, settings)
        weights = whole_weights(model) if job.sharded else None
        if current_ranks().first:
            if weights is not None:
                model = load_model(job.base)
                model.load_state_dict(weights, strict=False)  # tied weights appear once
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
    if settings.compile:
        compile_blocks(model)
    loss = sharded_objective(model, settings.loss_chunk_tokens, device_of(settings.device)) if job.sharded else None
    before = mean_loss(model, job.validation, settings, pad, loss)
    curve = _curve(lambda rows: mean_loss(model, rows, settings, pad, loss) or 0.0, job, settings, tokenizer)
    fitted = fit(
        model, job.rows, settings, seed=job.seed, pad_token=pad, work=job.work, progress=job.progress, stop=job.stop, watch=job.watch, loss=loss,
        look=curve,
    )  # fmt: skip
    after = mean_loss(model, job.validation, settings, pad, loss)
    points = curve.points if curve is not None else ()
    return Outcome(fitted, load_parameter_count(job.base), before, after, memory_mb(device_of(settings.device)), hardware(), points)


def _curve(
    loss: Callable[[Sequence[Row]], float], job: Job, settings: FitSettings, tokenizer: PreTrainedTokenizerBase
) -> HeldOutCurve | None:
    """Looks at the first validation rows while the model trains; ``None`` without any."""
    rows = [job.validation[place] for place in range(min(len(job.validation), MAX_ROWS))]
    if not rows:
        return None
    targets = sum(row.target_count for row in rows)
    steps = step_count(settings, len(job.rows))
    return HeldOutCurve(
        lambda: loss(rows) * targets, target_bytes(rows, tokenizer), steps, settings.look_steps, job.work / CURVE, writes=current_ranks().first
    )


def compile_blocks(model: Any) -> None:
    """Compile each block of the model, all of which share one piece of code."""
    for block in causal_model(model).get_decoder().layers:
        block.compile(dynamic=False)


def mean_loss(
    model: PreTrainedModel | PeftModel, rows: Sequence[Row], settings: FitSettings, pad_token: int, loss: torch.nn.Module | None = None
) -> float | None:
    """Mean negative log-likelihood of all targets in nats; ``None`` without rows. ``loss``: the model's objective where it is sharded."""
    import torch

    if not rows:
        return None
    model.eval()
    loss = loss or objective(model, settings.loss_chunk_tokens)
    device = next(model.parameters()).device
    nats, targets = 0.0, 0
    with torch.no_grad(), torch.autocast(device.type, dtype=torch.bfloat16, enabled=settings.compute_dtype == "bfloat16"):
        for row in rows:
            batch = collate([row], pad_token, device)
            nats += float(loss(batch))
            targets += target_count(batch)
    release(loss)
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
    if (job.base / ORIGIN).is_file() and (job.output / "merged").is_dir():
        shutil.copyfile(job.base / ORIGIN, job.output / "merged" / ORIGIN)
