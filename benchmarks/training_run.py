"""One side of the training benchmark, in a process of its own; prints one JSON object: seconds and loss of every step.

The side is ``trl``, or a JSON object of settings in which our run differs from the plain one.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.running import cpu_seconds

LEARNING_RATE, BETA2, MAX_NORM = 5e-4, 0.999, 1.0


class Clock:
    """Wall and CPU seconds of each step, the optimizer's included."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.cpu: list[float] = []
        self._last = (time.perf_counter(), cpu_seconds())

    def step(self) -> None:
        """A step has ended."""
        now = (time.perf_counter(), cpu_seconds())
        self.seconds.append(now[0] - self._last[0])
        self.cpu.append(now[1] - self._last[1])
        self._last = now


def main(side: str, folder: Path) -> None:
    rows = json.loads((folder / "rows.json").read_text(encoding="utf-8"))
    clock = Clock()
    losses = trl(folder, rows, clock) if side == "trl" else ours(folder, rows, clock, json.loads(side))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    versions = {name: version(name) for name in ("torch", "transformers", "peft", "bitsandbytes", "trl")}
    print(json.dumps({"seconds": clock.seconds, "cpu_seconds": clock.cpu, "losses": losses, "peak_memory_mb": peak, "versions": versions}))


def with_start(model: Any, folder: Path) -> Any:
    """The adapter's weights as they were saved, in fp32: the same on both sides, whatever a trainer did to their type."""
    import torch
    from peft import set_peft_model_state_dict
    from safetensors.torch import load_file

    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.float32)
    set_peft_model_state_dict(model, load_file(str(folder / "adapter" / "adapter_model.safetensors")))
    return model


def ours(folder: Path, rows: list[dict[str, Any]], clock: Clock, switches: dict[str, Any]) -> list[float]:
    import tempfile

    from training.adapters.lora import model_with_adapter
    from training.fitting import fit
    from training.packing import Row
    from training.recipes import compile_blocks
    from training.settings import AdaptationSettings

    settings = AdaptationSettings.model_validate({
        "steps": len(rows), "warmup_steps": 0, "schedule": "constant", "learning_rate": LEARNING_RATE, "max_gradient_norm": MAX_NORM,
        "beta2": BETA2, "checkpoint_steps": 10_000, "lora": {"rank": 16, "alpha": 32}, **switches,
    })  # fmt: skip
    model = model_with_adapter(folder / "base", settings, "cpu", seed=7)

    class Bar(tqdm):
        def update(self, n: float | None = 1) -> bool | None:
            if n:
                clock.step()
            return super().update(n)

    if settings.compile:
        compile_blocks(model)
    packed = [Row(row["input_ids"], row["document_lengths"]) for row in rows]
    fitted = fit(
        with_start(model, folder), packed, settings, seed=7, pad_token=2, work=Path(tempfile.mkdtemp(dir=folder)),
        progress=lambda total, label, unit: Bar(total=total, disable=True),
    )  # fmt: skip
    return [entry["loss"] for entry in fitted.log]


def trl(folder: Path, rows: list[dict[str, Any]], clock: Clock) -> list[float]:
    import os

    os.environ.update(HF_HUB_OFFLINE="1", WANDB_DISABLED="true")
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    from training.adapters.lora import quantized_with_adapter
    from training.checkpoints import load_tokenizer
    from training.fitting import step_places
    from training.settings import LoraSettings

    rows = [rows[place] for step in range(len(rows)) for place in step_places(len(rows), step, 1, 7)]

    class Watch(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            clock.__init__()  # type: ignore[misc]

        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock.step()

    # The same NF4 model and adapter; the trainer then turns the adapter to bf16, and with_start turns it back.
    model = quantized_with_adapter(folder / "base", LoraSettings(rank=16, alpha=32), "cpu", compute_dtype="float32", seed=7)
    data = Dataset.from_list([{"input_ids": row["input_ids"], "labels": row["input_ids"], "seq_lengths": row["document_lengths"]} for row in rows])
    config = SFTConfig(
        output_dir=str(folder / "work-trl"), max_steps=len(rows), per_device_train_batch_size=1, learning_rate=LEARNING_RATE,
        lr_scheduler_type="constant", warmup_steps=0, max_grad_norm=MAX_NORM, adam_beta2=BETA2, weight_decay=0.0, optim="adamw_torch",
        use_cpu=True, bf16=False, gradient_checkpointing=False, packing=False, padding_free=True, max_length=None, logging_steps=1,
        save_strategy="no", report_to="none", disable_tqdm=True, train_sampling_strategy="sequential",
        dataset_kwargs={"skip_prepare_dataset": True}, seed=7,
    )  # fmt: skip
    trainer = SFTTrainer(model=model, args=config, train_dataset=data, processing_class=load_tokenizer(folder / "base"), callbacks=[Watch()])
    with_start(trainer.model, folder)
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
