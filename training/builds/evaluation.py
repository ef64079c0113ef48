"""Builds of the EVALITA answers."""

from __future__ import annotations

import time
from typing import cast

from foundation.language.settings import TemplateSettings
from foundation.stages import StageContext, StageReport
from training.answers import ANSWERS, Asking, answer_items, choose_items
from training.builds.inputs import columns_of
from training.builds.merges import merged_weights
from training.checkpoints import torch_threads
from training.settings import EvaluationSettings


def build_evalita_answers(context: StageContext) -> StageReport:
    """``evalita_answers``."""
    settings = cast(EvaluationSettings, context.settings["training.evaluation"])
    templates = cast(TemplateSettings, context.settings["language.templates"])
    data = context.input("evalita_instructions")
    test = columns_of(data, "instructions", ("id", "task", "instruction", "input", "output"), "test").collect()
    items = choose_items(test, settings.evalita_rows_per_task, context.seed)
    started = time.monotonic()
    with torch_threads(settings.threads):
        asking = Asking(answer_tokens=settings.evalita_answer_tokens, batch=settings.batch)
        folder = merged_weights(context.input("evalita_model"))
        found = answer_items("evalita_model", folder, items, templates, asking, context.progress, device=settings.device)
    rows = found.rows
    with context.staging.table(ANSWERS) as table:
        table.write(rows)
    context.staging.card(f"# {context.asset}\n\nGreedy answers to EVALITA test items.")
    tasks = {task: sum(row["task"] == task for row in rows) for task in sorted({row["task"] for row in rows})}
    lines = [f"- {row['task']}: `{row['answer'][:80]!r}` (gold `{row['gold'][:80]!r}`)" for row in rows[:: max(1, len(rows) // 8)]]
    return StageReport(
        statistics={"answers": len(rows), "tasks": tasks, "prompts_longer_than_context": found.too_long},
        observations={"seconds": round(time.monotonic() - started, 1)},
        previews={"Answers": "\n".join(lines)},
    )
