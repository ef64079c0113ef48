"""Answers of tuned models to EVALITA test items, greedy, in the form they were trained on; scoring is another workshop's."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from foundation.language.prompts import render_instruction
from foundation.language.settings import TemplateSettings
from foundation.store import TableSpec
from training.checkpoints import device_of, load_model, load_tokenizer
from training.conversations import encode_prompt, seeded_order
from training.errors import TrainingError
from training.fitting import Progress
from training.generation import greedy_answers
from training.settings import EvaluationSettings

if TYPE_CHECKING:
    import polars as pl

ANSWERS = TableSpec(
    name="answers",
    schema=pa.schema([pa.field(name, pa.string(), nullable=False) for name in ("model", "task", "id", "answer", "gold")]),
    key=("model", "id"),
    order=("model", "task", "id"),
    description="The model's answer to each chosen test item, beside the gold output; id is that of evalita_instructions.",
)


def choose_items(test: pl.DataFrame, per_task: int | None, seed: int) -> list[dict[str, Any]]:
    """Test rows, at most so many per task in seeded order; sorted by task and id.

    Raises:
        TrainingError: there is none.
    """
    if not test.height:
        raise TrainingError("evalita_instructions holds no test rows; nothing to answer")
    chosen: list[dict[str, Any]] = []
    for (_task,), rows in test.group_by(["task"], maintain_order=True):
        by_id = {row["id"]: row for row in rows.iter_rows(named=True)}
        chosen += [by_id[identifier] for identifier in seeded_order(by_id, seed)[:per_task]]
    return sorted(chosen, key=lambda row: (row["task"], row["id"]))


def answer_items(
    name: str, folder: Path, items: Sequence[dict[str, Any]], templates: TemplateSettings, settings: EvaluationSettings, progress: Progress
) -> tuple[list[dict[str, str]], int]:
    """A model's answers to EVALITA items, and how many prompts were longer than its context (their answer is empty)."""
    tokenizer = load_tokenizer(folder)
    model = load_model(folder, device_of(settings.device))
    limit = model.config.max_position_embeddings - settings.evalita_answer_tokens
    prompts = [encode_prompt(tokenizer, render_instruction(templates, item["instruction"], item["input"])) for item in items]
    fitting = [index for index, prompt in enumerate(prompts) if len(prompt) <= limit]
    with progress(len(fitting), "EVALITA answers", "item") as bar:
        found = greedy_answers(
            model,
            tokenizer,
            [prompts[index] for index in fitting],
            max_tokens=settings.evalita_answer_tokens,
            batch=settings.batch,
            bar=bar,
        )
    del model
    gc.collect()
    answers = dict(zip(fitting, found, strict=True))
    rows = [
        {"model": name, "task": item["task"], "id": item["id"], "answer": answers.get(index, ""), "gold": item["output"]}
        for index, item in enumerate(items)
    ]
    return rows, len(prompts) - len(fitting)
