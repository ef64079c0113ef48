"""Builds of the trained models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pyarrow as pa

from foundation.stages import StageContext, StageReport
from foundation.store import PublishedVersion, TableSpec
from training.base import origin_of
from training.builds.examples import Prepared, prepare
from training.builds.merges import checkpoint_of, judging_of, merged_weights
from training.linking import link_tree
from training.plots import held_out_curve, loss_curve
from training.recipes import Job, Outcome
from training.row_files import RowFile, stream_rows
from training.running.runners import run_training
from training.running.trackers import TrackedRun
from training.settings import (
    AdaptationSettings,
    ChatSettings,
    EvalitaSettings,
    FitSettings,
    InstructionSettings,
    RunningSettings,
)
from training.weights import weights_digest

LOG = TableSpec(
    name="log",
    schema=pa.schema(
        [
            pa.field("step", pa.int64(), nullable=False),
            pa.field("tokens", pa.int64(), nullable=False),
            pa.field("targets", pa.int64(), nullable=False),
            pa.field("loss", pa.float64(), nullable=False),
            pa.field("learning_rate", pa.float64(), nullable=False),
            pa.field("gradient_norm", pa.float64(), nullable=False),
        ]
    ),
    key=("step",),
    decimals={"loss": 5, "learning_rate": 10, "gradient_norm": 5},
    description="One row per optimizer step: tokens seen so far, targets of the step, mean loss in nats per target.",
)

METHODS = {"qlora": "QLoRA", "lora": "LoRA", "full": "full fine-tuning"}


def build_adapted(context: StageContext) -> StageReport:
    """``adapted_model``, and ``adapted_chat_model`` where it has a recipe of its own."""
    chat = context.asset == "adapted_chat_model"
    settings = next(section for section in context.settings.values() if isinstance(section, AdaptationSettings))
    base, tokens = context.input("chat_base_model" if chat else "base_model"), context.input("adaptation_tokens")
    table = "chat_tokens" if chat and "chat_tokens" in tokens.tables else "tokens"
    files = {split: context.work / f"rows-{split}.arrow" for split in ("train", "validation")}
    for split, path in files.items():
        stream_rows(path, tokens.scan(table, split))
    rows, validation = (RowFile(path) for path in files.values())
    job = Job(base.files, str(base), rows, context.staging.files, context.work, context.seed, context.progress, validation)
    outcome = _train(context, job, settings)
    return _report(context, base, outcome, _about(settings))


def link_adapted(context: StageContext) -> StageReport:
    """``adapted_chat_model`` where both lines are one recipe: the files of ``adapted_model``, linked, nothing trained."""
    source = context.input("adapted_model")
    link_tree(source.files, context.staging.files)
    log = source.read("log")
    with context.staging.table(LOG) as table:
        table.write(log)
    _card(context, source, "The same recipe as `adapted_model`, so the same files.")
    rows = log.to_dicts()
    return StageReport(
        statistics={**source.statistics, "linked_from": str(source)},
        previews={"Log": _log_preview(rows)},
        plots={"Training loss": loss_curve(rows, source.asset)},
    )


def build_instruction(context: StageContext) -> StageReport:
    """``instruction_model``."""
    return _tune(context, cast(InstructionSettings, context.settings["training.instruction"]))


def build_chat(context: StageContext) -> StageReport:
    """``chat_model``."""
    return _tune(context, cast(ChatSettings, context.settings["training.chat"]))


def build_evalita(context: StageContext) -> StageReport:
    """``evalita_model``: tasks take turns."""
    settings = cast(EvalitaSettings, context.settings["training.evalita"])
    return _tune(context, settings)


def _tune(context: StageContext, settings: InstructionSettings | ChatSettings | EvalitaSettings) -> StageReport:
    prepared = prepare(context.asset, context.settings, context.inputs, context.seed)
    job = _job(context, prepared, settings.packing)
    outcome = _train(context, job, settings)
    return _report(context, prepared.source, outcome, {**_about(settings), **prepared.about})


def _train(context: StageContext, job: Job, settings: FitSettings) -> Outcome:
    running = cast(RunningSettings, context.settings["training.running"])
    run = TrackedRun(context.asset, context.work.name[:12], context.cache.parent)
    job = replace(job, judging=judging_of(context, settings))
    return run_training(job, settings, running, run=run, label=f"{context.asset}: training")


def _about(settings: FitSettings) -> dict[str, Any]:
    """What the statistics say of the method."""
    return {"method": METHODS[settings.method], **({} if settings.method == "full" else {"merge": settings.merge})}


def _job(context: StageContext, prepared: Prepared, packing: str) -> Job:
    """Fine-tuning starts from the merged weights of the adapted model."""
    rows = prepared.examples.packed(prepared.row_tokens, by_length=packing == "by_length")
    base = merged_weights(prepared.source)
    return Job(
        base, str(prepared.source), rows, context.staging.files, context.work, context.seed, context.progress, template=prepared.template
    )


def _report(context: StageContext, source: PublishedVersion, outcome: Outcome, about: dict[str, Any]) -> StageReport:
    fitted, merges = outcome.fitted, outcome.merges
    with context.staging.table(LOG) as table:
        table.write(list(fitted.log))
    _card(context, source, f"{about['method']} from `{source}`: {len(fitted.log)} steps, {fitted.tokens:,} tokens.")
    statistics = {
        **about,
        "steps": len(fitted.log),
        "tokens": fitted.tokens,
        "targets": sum(entry["targets"] for entry in fitted.log),
        "base_weights_sha256": origin_of(checkpoint_of(source))["weights_sha256"],
        "first_loss": round(fitted.log[0]["loss"], 4),
        "final_loss": round(fitted.final_loss(), 4),
        "trainable_parameters": fitted.trainable,
        "parameters": outcome.parameters,
    }
    for name, value in (("validation_loss_before", outcome.validation_before), ("validation_loss_after", outcome.validation_after)):
        if value is not None:
            statistics[name] = round(value, 4)
    merged = context.staging.files / "merged"
    if merged.is_dir():
        statistics["weights_sha256"] = weights_digest(merged)
    if merges is not None:
        statistics["merging"] = merges.statistics()
    observations = {
        "tokens_per_second": round(fitted.tokens_per_second, 1),
        "fitting_seconds": round(fitted.seconds, 3),
        "resumed_at_step": fitted.resumed_at,
        "peak_memory_mb": outcome.peak_memory_mb,
        "micro_rows": fitted.micro_rows,
        "model_flops_utilization": None if fitted.mfu is None else round(fitted.mfu, 4),
        "hardware": dict(outcome.hardware),
        "runner": cast(RunningSettings, context.settings["training.running"]).runner,
        **({"held_out_curve": list(outcome.curve)} if outcome.curve else {}),
    }
    plots = {"Training loss": loss_curve(fitted.log, context.asset)}
    if outcome.curve:
        plots["Held-out bits per byte"] = held_out_curve(outcome.curve, context.asset)
    return StageReport(
        statistics=statistics,
        observations=observations,
        gates=[] if merges is None else [merges.gate()],
        previews={"Log": _log_preview(fitted.log), **({} if merges is None else {"Merging": merges.table()})},
        plots=plots,
    )


def _card(context: StageContext, source: PublishedVersion, text: str) -> None:
    origin = origin_of(checkpoint_of(source))
    context.staging.card(
        f"# {context.asset}\n\n{text}\n\nBase: {origin['name']} ({origin['source']}), licence {origin['licence']}.",
        license=origin["licence"].lower().replace(" ", "-"),
    )


def _log_preview(log: Sequence[Any]) -> str:
    head = "| step | tokens | loss | learning rate |\n|---|---|---|---|\n"
    every = max(1, len(log) // 10)
    shown = [entry for index, entry in enumerate(log) if index % every == 0 or index == len(log) - 1]
    return head + "\n".join(f"| {row['step']} | {row['tokens']} | {row['loss']:.4f} | {row['learning_rate']:.2e} |" for row in shown)
