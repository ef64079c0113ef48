"""Fitting: one loop for adapters and for full fine-tuning, exact to resume.

The rows of a step follow from seed and step number alone; the loss is the mean over all targets of the effective batch.
A checkpoint holds the trained weights, the optimizer's state, torch's random state and the log, as safetensors and
JSON; a run that was killed goes on from the last one and ends with the same weights as one that was not.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from training.checkpoints import import_quantizer
from training.errors import TrainingError
from training.loss import target_count, token_losses
from training.packing import Row, collate
from training.settings import FitSettings

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel

Progress = Callable[[int | None, str, str], tqdm]
CHECKPOINT = "checkpoint"
REPLACED = f"{CHECKPOINT}.old"
"""The checkpoint before, which stands in for the last one if a run is killed between two renames."""


@dataclass(frozen=True)
class Fitted:
    """What a run did. ``log`` has one entry per step: step, tokens seen, targets, loss, learning rate, gradient norm."""

    log: Sequence[Mapping[str, Any]]
    tokens: int
    seconds: float
    resumed_at: int
    trainable: int

    @property
    def tokens_per_second(self) -> float:
        """Speed of the steps that this process ran."""
        before = self.log[self.resumed_at - 1]["tokens"] if self.resumed_at else 0
        return (self.tokens - before) / max(self.seconds, 1e-9)

    def final_loss(self, steps: int = 5) -> float:
        """Mean loss of the last steps."""
        tail = [entry["loss"] for entry in self.log[-steps:]]
        return sum(tail) / len(tail)


def learning_rate(settings: FitSettings, step: int, steps: int) -> float:
    """The rate of a step (counted from 0): linear warm-up, then cosine or linear decay to 0, or constant."""
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / (settings.warmup_steps + 1)
    share = (step - settings.warmup_steps) / max(1, steps - settings.warmup_steps)
    factor = {"constant": 1.0, "linear": 1 - share, "cosine": 0.5 * (1 + math.cos(math.pi * share))}[settings.schedule]
    return settings.learning_rate * factor


def step_count(settings: FitSettings, rows: int) -> int:
    """Optimizer steps of a run over so many rows."""
    return settings.steps or max(1, math.ceil(rows * settings.epochs / settings.rows_per_step))


def step_rows(rows: Sequence[Row], step: int, per_step: int, seed: int) -> list[Row]:
    """The rows of a step: each pass over the data in an order of its own that seed and pass number fix."""
    import numpy as np

    chosen: list[Row] = []
    orders: dict[int, Any] = {}
    for place in range(step * per_step, (step + 1) * per_step):
        epoch, index = divmod(place, len(rows))
        order = orders.setdefault(epoch, np.random.default_rng([seed, epoch]).permutation(len(rows)))
        chosen.append(rows[int(order[index])])
    return chosen


def fit(
    model: PreTrainedModel | PeftModel,
    rows: Sequence[Row],
    settings: FitSettings,
    *,
    seed: int,
    pad_token: int,
    work: Path,
    progress: Progress,
    stop_after: int | None = None,
) -> Fitted:
    """Train the parameters of ``model`` that require gradients, in place.

    Args:
        model: with or without a PEFT adapter, on its device.
        rows: packed rows.
        work: folder of the checkpoint; where it holds one of this run, the run goes on from there.
        stop_after: end after this step with a checkpoint, as if killed; for tests.

    Raises:
        TrainingError: no rows, no targets in a step, or a loss that is not finite.
    """
    import torch

    if not rows:
        raise TrainingError("there are no rows to train on; look at the counts of the dataset asset upstream")
    device = next(model.parameters()).device
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    optimizer = _optimizer(list(trained.values()), settings)
    steps = step_count(settings, len(rows))
    start, log = _resume(work, trained, optimizer)
    _prepare(model, settings)
    clock = time.monotonic()
    with progress(steps, "fitting", "step") as bar:
        bar.update(start)
        for step in range(start, min(steps, stop_after or steps)):
            entry = _step(model, trained, optimizer, step_rows(rows, step, settings.rows_per_step, seed), settings, step, steps, pad_token, device)
            entry["tokens"] += log[-1]["tokens"] if log else 0
            log.append(entry)
            bar.set_postfix_str(f"loss {entry['loss']:.3f}", refresh=False)
            bar.update()
            done = step + 1
            if done < steps and (done % settings.checkpoint_steps == 0 or done == stop_after):
                _save(work, done, log, trained, optimizer)
    model.eval()
    if device.type == "cuda":
        torch.cuda.synchronize()
    trainable = sum(parameter.numel() for parameter in trained.values())
    return Fitted(log, log[-1]["tokens"], time.monotonic() - clock, start, trainable)


def _prepare(model: Any, settings: FitSettings) -> None:
    model.train()
    if settings.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model.enable_input_require_grads()


def _optimizer(parameters: list[Any], settings: FitSettings) -> torch.optim.Optimizer:
    keys: dict[str, Any] = {
        "lr": settings.learning_rate,
        "betas": (0.9, settings.beta2),
        "weight_decay": settings.weight_decay,
    }
    if settings.optimizer == "adamw":
        import torch

        return torch.optim.AdamW(parameters, **keys)
    bitsandbytes = import_quantizer()
    kind = {"paged_adamw_32bit": "PagedAdamW32bit", "paged_adamw_8bit": "PagedAdamW8bit"}[settings.optimizer]
    return getattr(bitsandbytes.optim, kind)(parameters, **keys)


def _step(
    model: PreTrainedModel | PeftModel,
    trained: Mapping[str, torch.nn.Parameter],
    optimizer: torch.optim.Optimizer,
    rows: Sequence[Row],
    settings: FitSettings,
    step: int,
    steps: int,
    pad_token: int,
    device: torch.device,
) -> dict[str, Any]:
    """One optimizer step; returns its log entry with the tokens of this step."""
    import torch

    size = settings.micro_rows
    batches = [collate(rows[start : start + size], pad_token, device) for start in range(0, len(rows), size)]
    targets = sum(target_count(batch) for batch in batches)
    if not targets:
        raise TrainingError(f"step {step + 1}: none of its {len(rows)} rows has a target; look at the loss mask of the examples")
    rate = learning_rate(settings, step, steps)
    for group in optimizer.param_groups:
        group["lr"] = rate
    total = 0.0
    for batch in batches:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=settings.compute_dtype == "bfloat16"):
            loss = token_losses(model, batch, settings.loss_chunk_tokens).sum() / targets
        loss.backward()
        total += float(loss.detach())
    norm = float(torch.nn.utils.clip_grad_norm_(trained.values(), settings.max_gradient_norm))
    if not math.isfinite(total) or not math.isfinite(norm):
        raise TrainingError(f"step {step + 1}: loss {total}, gradient norm {norm}; lower the learning rate or compute in float32")
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    tokens = sum(row.tokens for row in rows)
    return {"step": step + 1, "tokens": tokens, "targets": targets, "loss": total, "learning_rate": rate, "gradient_norm": norm}


def _save(
    work: Path, step: int, log: Sequence[Mapping[str, Any]], trained: Mapping[str, torch.nn.Parameter], optimizer: torch.optim.Optimizer
) -> None:
    """Write a checkpoint beside the old one, then put it in its place; a whole one exists at every moment."""
    import torch
    from safetensors.torch import save_file

    part, final, old = work / f"{CHECKPOINT}.part", work / CHECKPOINT, work / REPLACED
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    tensors = {f"weight/{name}": parameter.detach().cpu().contiguous() for name, parameter in trained.items()}
    tensors["random/cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random/cuda"] = torch.cuda.get_rng_state()
    state = optimizer.state_dict()
    scalars = _without_tensors("optimizer", state["state"], tensors)
    save_file(tensors, part / "state.safetensors")
    document = {"step": step, "log": list(log), "scalars": scalars, "groups": state["param_groups"]}
    (part / "state.json").write_text(json.dumps(document), encoding="utf-8")
    if final.is_dir():
        shutil.rmtree(old, ignore_errors=True)
        final.rename(old)
    part.rename(final)
    shutil.rmtree(old, ignore_errors=True)


def _without_tensors(path: str, values: Mapping[Any, Any], tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
    """A nested optimizer state without its tensors, which go into ``tensors`` under their path; the rest is JSON."""
    import torch

    plain: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, torch.Tensor):
            tensors[f"{path}/{key}"] = value.detach().cpu().clone()
        elif isinstance(value, Mapping):
            plain[str(key)] = _without_tensors(f"{path}/{key}", value, tensors)
        else:
            plain[str(key)] = value
    return plain


def _resume(
    work: Path, trained: Mapping[str, torch.nn.Parameter], optimizer: torch.optim.Optimizer
) -> tuple[int, list[dict[str, Any]]]:
    """Load the checkpoint of a killed run; the step to go on with and its log, or 0 and nothing."""
    import torch
    from safetensors.torch import load_file

    folder = next((work / name for name in (CHECKPOINT, REPLACED) if (work / name / "state.json").is_file()), None)
    if folder is None:
        return 0, []
    document = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    tensors = load_file(folder / "state.safetensors")
    state: dict[str, Any] = document["scalars"]
    with torch.no_grad():
        for name, parameter in trained.items():
            parameter.copy_(tensors[f"weight/{name}"])
    for name, tensor in tensors.items():
        kind, *keys = name.split("/")
        if kind == "optimizer":
            place = state
            for key in keys[:-1]:
                place = place.setdefault(key, {})
            place[keys[-1]] = tensor
    by_index = {int(index): values for index, values in state.items()}
    optimizer.load_state_dict({"state": by_index, "param_groups": document["groups"]})
    torch.set_rng_state(tensors["random/cpu"])
    if "random/cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["random/cuda"])
    return int(document["step"]), document["log"]
