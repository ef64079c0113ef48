"""Builds of the trained models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pyarrow as pa

from foundation.stages import StageContext, StageReport
from foundation.store import PublishedVersion, TableSpec
from training.base import link_tree, origin_of
from training.builds.examples import Prepared, prepare
from training.plots import loss_curve
from training.recipes import Job, Outcome, train_adapter, train_full
from training.settings import AdaptationSettings, ChatSettings, EvalitaSettings, InstructionSettings
from training.tokens import read_rows

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


def build_adapted(context: StageContext) -> StageReport:
    """``adapted_model``, and ``adapted_chat_model`` where it has a recipe of its own."""
    chat = context.asset == "adapted_chat_model"
    settings = cast(AdaptationSettings, next(iter(context.settings.values())))
    base, tokens = context.input("chat_base_model" if chat else "base_model"), context.input("adaptation_tokens")
    table = "chat_tokens" if chat and "chat_tokens" in tokens.tables else "tokens"
    rows, validation = (read_rows(tokens.scan(table, split)) for split in ("train", "validation"))
    job = Job(base.files, str(base), rows, context.staging.files, context.work, context.seed, context.progress, validation)
    return _report(context, base, train_adapter(job, settings), {"method": "QLoRA", "merge": settings.merge})


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
    return _tune_adapter(context, cast(InstructionSettings, context.settings["training.instruction"]))


def build_chat(context: StageContext) -> StageReport:
    """``chat_model``."""
    return _tune_adapter(context, cast(ChatSettings, context.settings["training.chat"]))


def build_evalita(context: StageContext) -> StageReport:
    """``evalita_model``: all weights move, tasks take turns."""
    settings = cast(EvalitaSettings, context.settings["training.evalita"])
    prepared = prepare(context.asset, context.settings, context.inputs, context.seed)
    outcome = train_full(_job(context, prepared), settings)
    return _report(context, prepared.source, outcome, {"method": "full fine-tuning", **prepared.about})


def _tune_adapter(context: StageContext, settings: AdaptationSettings) -> StageReport:
    prepared = prepare(context.asset, context.settings, context.inputs, context.seed)
    outcome = train_adapter(_job(context, prepared), settings)
    return _report(context, prepared.source, outcome, {"method": "QLoRA", "merge": settings.merge, **prepared.about})


def _job(context: StageContext, prepared: Prepared) -> Job:
    """Fine-tuning starts from the merged weights of the adapted model."""
    rows = prepared.examples.packed(prepared.row_tokens)
    base = prepared.source.files / "merged"
    return Job(
        base, str(prepared.source), rows, context.staging.files, context.work, context.seed, context.progress, template=prepared.template
    )


def _report(context: StageContext, source: PublishedVersion, outcome: Outcome, about: dict[str, Any]) -> StageReport:
    fitted = outcome.fitted
    with context.staging.table(LOG) as table:
        table.write(list(fitted.log))
    _card(context, source, f"{about['method']} from `{source}`: {len(fitted.log)} steps, {fitted.tokens:,} tokens.")
    statistics = {
        **about,
        "steps": len(fitted.log),
        "tokens": fitted.tokens,
        "first_loss": round(fitted.log[0]["loss"], 4),
        "final_loss": round(fitted.final_loss(), 4),
        "trainable_parameters": fitted.trainable,
        "parameters": outcome.parameters,
    }
    for name, value in (("validation_loss_before", outcome.validation_before), ("validation_loss_after", outcome.validation_after)):
        if value is not None:
            statistics[name] = round(value, 4)
    observations = {
        "tokens_per_second": round(fitted.tokens_per_second, 1),
        "fitting_seconds": round(fitted.seconds, 1),
        "resumed_at_step": fitted.resumed_at,
        "peak_memory_mb": outcome.peak_memory_mb,
    }
    return StageReport(
        statistics=statistics,
        observations=observations,
        previews={"Log": _log_preview(fitted.log)},
        plots={"Training loss": loss_curve(fitted.log, context.asset)},
    )


def _card(context: StageContext, source: PublishedVersion, text: str) -> None:
    folder = source.files / "merged" if (source.files / "merged").is_dir() else source.files
    origin = origin_of(folder)
    context.staging.card(
        f"# {context.asset}\n\n{text}\n\nBase: {origin['name']} ({origin['source']}), licence {origin['licence']}.",
        license=origin["licence"].lower().replace(" ", "-"),
    )


def _log_preview(log: Sequence[Any]) -> str:
    head = "| step | tokens | loss | learning rate |\n|---|---|---|---|\n"
    every = max(1, len(log) // 10)
    shown = [entry for index, entry in enumerate(log) if index % every == 0 or index == len(log) - 1]
    return head + "\n".join(f"| {row['step']} | {row['tokens']} | {row['loss']:.4f} | {row['learning_rate']:.2e} |" for row in shown)
