"""Stages that publish model assets without training: a tiny checkpoint, changed on demand."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from foundation.stages import Stage, StageContext, StageReport
from training.checkpoints import load_model, load_tokenizer, save_checkpoint

MODELS = ("adapted_model", "instruction_model", "chat_model", "evalita_model")


def model_stage(asset: str, checkpoint: Path, scale: float) -> Stage:
    """A model whose output weights are those of a checkpoint times ``scale``: the larger, the surer of its random guesses, so the worse."""

    def build(context: StageContext) -> StageReport:
        model, tokenizer = load_model(checkpoint), load_tokenizer(checkpoint)
        if scale != 1:
            model.get_output_embeddings().weight.data.mul_(scale)
        folder = context.staging.files if asset == "base_model" else context.staging.files / "merged"
        save_checkpoint(model, tokenizer, folder, "float32")
        return StageReport()

    version = hashlib.sha256(str(scale).encode()).hexdigest()[:8]
    upstream = () if asset == "base_model" else ("base_model",)
    return Stage(asset=asset, version=version, group="training", build=build, upstream=upstream, reproducible=False)


def model_stages(checkpoint: Path, **scales: float) -> tuple[Stage, ...]:
    """The base and all models made of it, each as it is or scaled."""
    return tuple(model_stage(asset, checkpoint, scales.get(asset, 1.0)) for asset in ("base_model", *MODELS))


def run_all(run: Callable[[str], object], assets: tuple[str, ...]) -> None:
    """Make assets, in order."""
    for asset in assets:
        run(asset)
