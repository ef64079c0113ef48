"""Fitting: one loop for adapters and for full fine-tuning, exact to resume, in one process or several.

The rows of a step follow from seed and step number alone; the loss is the mean over all targets of the effective batch, whatever
the number of processes and the size of their micro-batches. A run that was killed goes on from its last checkpoint and ends with
the same weights as one that was not. Instead of transformers' Trainer because of that: bitwise resume, a token counter of its own.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from training.checkpoints import import_quantizer
from training.errors import LossDiverged, Stopped, TrainingError
from training.loss import objective
from training.packing import Row, collate
from training.running.ranks import Ranks, current_ranks
from training.running.saved_state import RandomState, Reached, load_state, random_state, save_state, set_random_state
from training.settings import FitSettings
from training.speed import Workload, memory_mb, peak_flops, workload_of

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel

Progress = Callable[[int | None, str, str], tqdm]
Watch = Callable[[Mapping[str, Any]], None]
"""Told of every step: what the log has of it, and seconds, tokens per second, MFU, peak memory."""
LOSS_WINDOW = 20
"""Steps whose median loss a new one is held against."""


@dataclass(frozen=True)
class Fitted:
    """What a run did. ``log`` has one entry per step: step, tokens seen, targets, loss, learning rate, gradient norm.

    ``seconds`` and ``mfu`` are of all steps in the log, whichever process ran them; looks at held-out text, and steps that a kill undid,
    are not counted. ``micro_rows`` are those that memory sufficed for.
    """

    log: Sequence[Mapping[str, Any]]
    tokens: int
    seconds: float
    resumed_at: int
    trainable: int
    micro_rows: int = 1
    mfu: float | None = None

    @property
    def tokens_per_second(self) -> float:
        """Mean speed of all steps."""
        return self.tokens / max(self.seconds, 1e-9)

    def final_loss(self, steps: int = 5) -> float:
        """Mean loss of the last steps."""
        tail = [entry["loss"] for entry in self.log[-steps:]]
        return sum(tail) / len(tail)


@dataclass
class _Run:
    """What the steps of a run share; ``micro_rows`` shrinks where memory does not suffice."""

    objective: torch.nn.Module
    trained: Mapping[str, torch.nn.Parameter]
    optimizer: torch.optim.Optimizer
    settings: FitSettings
    ranks: Ranks
    sharded: bool
    pad_token: int
    device: torch.device
    work: Path
    micro_rows: int
    log: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    operations: float = 0.0

    def save(self, random: RandomState) -> None:
        """Write a checkpoint of the steps in the log."""
        reached = Reached(len(self.log), self.log, self.seconds, self.operations)
        save_state(self.work, reached, self.trained, self.optimizer, self.ranks, random=random)


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


def step_places(rows: int, step: int, per_step: int, seed: int) -> list[int]:
    """Which rows a step takes: each pass over the data in an order of its own that seed and pass number fix."""
    import numpy as np

    chosen: list[int] = []
    orders: dict[int, Any] = {}
    for place in range(step * per_step, (step + 1) * per_step):
        epoch, index = divmod(place, rows)
        if epoch not in orders:
            orders[epoch] = np.random.default_rng([seed, epoch]).permutation(rows)
        chosen.append(int(orders[epoch][index]))
    return chosen


def step_rows(rows: Sequence[Row], step: int, per_step: int, seed: int) -> list[Row]:
    """The rows of a step."""
    return [rows[place] for place in step_places(len(rows), step, per_step, seed)]


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
    stop: Callable[[], bool] = lambda: False,
    watch: Watch | None = None,
    loss: torch.nn.Module | None = None,
    look: Callable[[int], object] | None = None,
) -> Fitted:
    """Train the parameters of ``model`` that require gradients, in place.

    Args:
        model: with or without a PEFT adapter, on its device.
        rows: packed rows; every process gets all of them, and reads its share.
        work: folder of the checkpoint; where it holds one of this run, the run goes on from there.
        stop_after: end after this step with a checkpoint, as if killed; for tests.
        stop: asked after every step; true saves a checkpoint and raises ``Stopped``.
        watch: told of every step, in the first process.
        loss: ``objective(model)`` where it is sharded over processes already.
        look: called in every process with the steps done, before the first and after each; it may put the model into evaluation mode.

    Raises:
        TrainingError: no rows, no targets in a step, a batch that does not divide, or one row is too much for the memory.
        LossDiverged: a loss that is not finite, or far above those before; the state before that step is saved.
        Stopped: ``stop`` said so.
    """

    ranks = current_ranks()
    if not rows:
        raise TrainingError("there are no rows to train on; look at the counts of the dataset asset upstream")
    if settings.rows_per_step % ranks.size:
        raise TrainingError(f"rows_per_step {settings.rows_per_step} cannot be shared by {ranks.size} processes; make it a multiple of training.running.processes")
    device = next(model.parameters()).device
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    optimizer = _optimizer(list(trained.values()), settings)
    micro = min(settings.micro_rows, settings.rows_per_step // ranks.size)
    run = _Run(
        loss or objective(model, settings.loss_chunk_tokens), trained, optimizer, settings, ranks, loss is not None, pad_token, device, work, micro
    )
    steps = step_count(settings, len(rows))
    reached = load_state(work, trained, optimizer, ranks)
    start, run.log, run.seconds, run.operations = reached.step, [dict(entry) for entry in reached.log], reached.seconds, reached.operations
    _look(look, model, start)
    _prepare(model, settings)
    workload, peak = workload_of(model, full=settings.method == "full"), peak_flops(device) * ranks.size
    with progress(steps, "fitting", "step") as bar:
        bar.update(start)
        for step in range(start, min(steps, stop_after or steps)):
            began = time.monotonic()
            places = step_places(len(rows), step, settings.rows_per_step, seed)
            chosen = [rows[place] for place in places]
            entry = _step(run, chosen, places, step, steps)
            done = step + 1
            seconds = time.monotonic() - began
            run.seconds += seconds
            run.operations += workload.of(chosen, entry["targets"])
            bar.set_postfix_str(f"loss {entry['loss']:.3f}", refresh=False)
            bar.update()
            if watch is not None and ranks.first:
                watch(_speed(run, workload, peak, chosen, seconds, steps))
            _look(look, model, done)
            stopping = ranks.sums(float(stop()))[0] > 0
            if done < steps and (done % settings.checkpoint_steps == 0 or done == stop_after or stopping):
                began = time.monotonic()
                run.save(random_state())
                run.seconds += time.monotonic() - began
                if stopping:
                    raise Stopped(f"stopped on request after step {done} of {steps}, with a checkpoint; the same build goes on from there")
    model.eval()
    return Fitted(
        log=run.log,
        tokens=run.log[-1]["tokens"],
        seconds=run.seconds,
        resumed_at=start,
        trainable=sum(parameter.numel() for parameter in trained.values()),
        micro_rows=run.micro_rows,
        mfu=run.operations / (run.seconds * peak) if run.operations else None,
    )


def _look(look: Callable[[int], object] | None, model: Any, done: int) -> None:
    """Let the caller look at the model."""
    if look is not None:
        look(done)
        model.train()


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


def _step(run: _Run, rows: Sequence[Row], places: Sequence[int], step: int, steps: int) -> dict[str, Any]:
    """One optimizer step; its log entry, which is in the log by then."""
    import torch

    own = run.ranks.share(rows)
    targets = int(run.ranks.sums(sum(row.target_count for row in own))[0])
    if not targets:
        raise TrainingError(f"step {step + 1}: none of its {len(rows)} rows has a target; look at the loss mask of the examples")
    before = random_state()
    total = _gradients(run, own, targets, step)
    while total is None:
        run.micro_rows //= 2
        set_random_state(before)
        tqdm.write(f"step {step + 1}: out of memory; from here on {run.micro_rows} rows at a time, at the same effective batch of {run.settings.rows_per_step}")
        total = _gradients(run, own, targets, step)
    if not run.sharded:
        run.ranks.sum_gradients(run.trained.values())
    norm: Any = torch.nn.utils.clip_grad_norm_(run.trained.values(), run.settings.max_gradient_norm)
    norm = float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)
    _check(run, total, norm, places, step, before)
    rate = learning_rate(run.settings, step, steps)
    for group in run.optimizer.param_groups:
        group["lr"] = rate
    run.optimizer.step()
    run.optimizer.zero_grad(set_to_none=True)
    tokens = sum(row.tokens for row in rows) + (run.log[-1]["tokens"] if run.log else 0)
    entry = {"step": step + 1, "tokens": tokens, "targets": targets, "loss": total, "learning_rate": rate, "gradient_norm": norm}
    run.log.append(entry)
    return entry


def _gradients(run: _Run, rows: Sequence[Row], targets: int, step: int) -> float | None:
    """Gradients of the step's mean loss in this process, and that loss over all; ``None``: memory did not suffice, nothing is left of it.

    Raises:
        TrainingError: it does not suffice for one row either, or weights are sharded, where the processes cannot go back together.
    """
    import torch

    total = torch.zeros((), dtype=torch.float64, device=run.device)
    failed = False
    averaged = run.ranks.size if run.sharded else 1  # gloo has no plain sum of shares, so the average is made one
    try:
        for start in range(0, len(rows), run.micro_rows):
            batch = collate(rows[start : start + run.micro_rows], run.pad_token, run.device)
            with torch.autocast(run.device.type, dtype=torch.bfloat16, enabled=run.settings.compute_dtype == "bfloat16"):
                loss = run.objective(batch) / targets
            (loss * averaged).backward()
            total += loss.detach()
    except RuntimeError as error:  # torch.OutOfMemoryError is one, and a CPU raises it plain
        if not _out_of_memory(error):
            raise
        failed = True
    everywhere, failures = (float(total), float(failed)) if run.sharded and failed else run.ranks.sums(float(total), float(failed))
    if not failures:
        return everywhere
    if run.micro_rows == 1 or run.sharded:
        raise TrainingError(
            f"step {step + 1}: out of memory with {run.micro_rows} row(s) of {max(row.tokens for row in rows)} tokens at a time; set gradient_checkpointing, "
            "lower loss_chunk_tokens or micro_rows, shorten the rows, or train an adapter (method qlora)"
        )
    run.optimizer.zero_grad(set_to_none=True)
    if run.device.type == "cuda":
        torch.cuda.empty_cache()
    return None


def _out_of_memory(error: BaseException) -> bool:
    import torch

    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _check(run: _Run, loss: float, norm: float, places: Sequence[int], step: int, before: Mapping[str, torch.Tensor]) -> None:
    """Raise LossDiverged, the state before this step saved, where a loss cannot be trusted."""
    rise, recent = run.settings.max_loss_rise, [entry["loss"] for entry in run.log[-LOSS_WINDOW:]]
    finite = math.isfinite(loss) and math.isfinite(norm)
    level = statistics.median(recent) if rise is not None and len(recent) == LOSS_WINDOW else math.inf
    if finite and loss <= level + (rise or 0.0):
        return
    run.optimizer.zero_grad(set_to_none=True)
    run.save(before)
    how = "lower the learning rate or compute in float32" if not finite else "set max_loss_rise to null or higher to go on, or lower the learning rate to begin anew"
    against = "" if not finite else f" (median of the {LOSS_WINDOW} steps before: {level:.3f})"
    raise LossDiverged(
        f"step {step + 1}: loss {loss:.4g}{against}, gradient norm {norm:.4g}, on the training rows {sorted(places)}; "
        f"the state before that step is saved in {run.work}. Look at these rows; {how}"
    )


def _speed(run: _Run, workload: Workload, peak: float, rows: Sequence[Row], seconds: float, steps: int) -> dict[str, Any]:
    entry = run.log[-1]
    return {
        **entry,
        "steps": steps,
        "seconds": round(seconds, 4),
        "tokens_per_second": round(sum(row.tokens for row in rows) / seconds, 2),
        "mfu": round(workload.of(rows, entry["targets"]) / (seconds * peak), 4),
        "peak_memory_mb": memory_mb(run.device),
        "micro_rows": run.micro_rows,
    }
