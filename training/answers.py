"""Answers to the rows of ``evalita_instructions``: which rows, how a checkpoint is asked, and the table of what it says.

Scoring is another workshop's. Servers are asked in ``training.server_answers``.
"""

from __future__ import annotations

import gc
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from foundation.language.prompts import PromptForm, render_instruction, user_message
from foundation.language.settings import TemplateSettings
from foundation.store import TableSpec
from training.checkpoints import device_of, load_model, load_tokenizer
from training.conversations import encode_prompt, seeded_order
from training.errors import TrainingError
from training.fitting import Progress
from training.generation import end_tokens, generate
from training.likelihood import choice_likelihoods, likeliest
from training.templates import render_chat

if TYPE_CHECKING:
    import polars as pl
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Item = Mapping[str, Any]
"""A row of ``evalita_instructions``: id, task, instruction, input, output and, to choose among them, choices."""

ANSWERS = TableSpec(
    name="answers",
    schema=pa.schema([pa.field(name, pa.string(), nullable=False) for name in ("model", "task", "id", "answer", "gold")]),
    key=("model", "id"),
    order=("model", "task", "id"),
    description="The model's answer to each chosen test item, beside the gold output; id is that of evalita_instructions.",
)


@dataclass(frozen=True)
class Asking:
    """How a model is asked.

    Attributes:
        form: the language file's instruction template, or a message in the model's own chat template.
        labels: how rows with ``choices`` are answered: like all others, or by the likeliest of their words.
        answer_tokens: longest generated answer.
        stop: texts that end a generated answer, beside the model's end token; they are no part of it.
        batch: prompts, or answers to choose from, at once.
    """

    form: PromptForm = "instruction"
    labels: Literal["generation", "likelihood", "likelihood_per_character"] = "generation"
    answer_tokens: int = 32
    stop: tuple[str, ...] = ()
    batch: int = 8


@dataclass(frozen=True)
class Answered:
    """Rows of the table, and how many prompts were longer than the model's context: their answer is empty."""

    rows: list[dict[str, str]]
    too_long: int


def choose_items(
    rows: pl.DataFrame, per_task: int | None, seed: int, *, tasks: Collection[str] = (), wordings: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Rows to answer, at most so many per task in seeded order; sorted by task and id. No names: all tasks, all wordings.

    Raises:
        TrainingError: there is none, or none of a named task or wording.
    """
    if not rows.height:
        raise TrainingError("evalita_instructions holds no test rows; nothing to answer")
    for column, names in (("task", tasks), ("wording", wordings)):
        if not names:
            continue
        known = set(rows[column])
        if unknown := sorted(set(names) - known):
            among = f" among those of {', '.join(sorted(tasks))}" if tasks and column == "wording" else ""
            raise TrainingError(f"evalita_instructions has no rows of {column} {unknown[0]!r}{among}; it has {', '.join(sorted(known))}")
        rows = rows.filter(rows[column].is_in(sorted(names)))
    chosen: list[dict[str, Any]] = []
    for (_task,), group in rows.group_by(["task"], maintain_order=True):
        by_id = {row["id"]: row for row in group.iter_rows(named=True)}
        chosen += [by_id[identifier] for identifier in seeded_order(by_id, seed)[:per_task]]
    return sorted(chosen, key=lambda row: (row["task"], row["id"]))


def answer_rows(model: str, items: Sequence[Item], answers: Sequence[str | None]) -> Answered:
    """Answers beside their items; none stands for a prompt that did not fit."""
    rows = [
        {"model": model, "task": item["task"], "id": item["id"], "answer": answer or "", "gold": item["output"]}
        for item, answer in zip(items, answers, strict=True)
    ]
    return Answered(rows, sum(answer is None for answer in answers))


def answer_items(
    name: str,
    folder: Path,
    items: Sequence[Item],
    templates: TemplateSettings,
    asking: Asking,
    progress: Progress,
    *,
    device: str = "auto",
    dtype: Literal["stored", "float32"] = "float32",
) -> Answered:
    """A checkpoint's answers, in the items' order.

    Raises:
        CheckpointError: the folder holds no model that can be asked.
        TrainingError: prompts are to be chats, and the model has no chat template; or answers leave no room for a prompt.
    """
    tokenizer = load_tokenizer(folder)
    if asking.form == "chat" and not tokenizer.chat_template:
        raise TrainingError(f"the tokenizer in {folder} has no chat template; ask in the instruction form, or give a chat model")
    model = load_model(folder, device_of(device), dtype=dtype, own_logits=True)
    context = _context(model, folder)
    if asking.answer_tokens >= context:
        raise TrainingError(f"{folder} sees {context} tokens, and answers may have {asking.answer_tokens}; allow fewer")
    prompts = [_prompt(tokenizer, templates, asking.form, item) for item in items]
    chosen = [asking.labels != "generation" and bool(item.get("choices")) for item in items]
    answers: list[str | None] = [None] * len(items)
    with progress(len(items), "EVALITA answers", "item") as bar:
        for places, answer in ((_places(chosen, True), _chosen), (_places(chosen, False), _generated)):
            found = answer(model, tokenizer, [(prompts[place], items[place]) for place in places], asking, context, bar)
            for place, text in zip(places, found, strict=True):
                answers[place] = text
    del model
    gc.collect()
    return answer_rows(name, items, answers)


def _places(flags: Sequence[bool], wanted: bool) -> list[int]:
    return [place for place, flag in enumerate(flags) if flag is wanted]


def _prompt(tokenizer: PreTrainedTokenizerBase, templates: TemplateSettings, form: PromptForm, item: Item) -> str:
    if form == "instruction":
        return render_instruction(templates, item["instruction"], item["input"])
    return render_chat(tokenizer, [{"role": "user", "content": user_message(item["instruction"], item["input"])}], prompt=True)


def _context(model: PreTrainedModel, folder: Path) -> int:
    context = getattr(model.config, "max_position_embeddings", None)
    if not isinstance(context, int):
        raise TrainingError(f"{folder}/config.json does not say how many tokens the model sees (max_position_embeddings); add it")
    return context


def _generated(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, asked: Sequence[tuple[str, Item]], asking: Asking, context: int, bar: Any
) -> list[str | None]:
    prompts = [encode_prompt(tokenizer, prompt) for prompt, _ in asked]
    fitting = [place for place, prompt in enumerate(prompts) if len(prompt) <= context - asking.answer_tokens]
    found = generate(
        model,
        tokenizer,
        [prompts[place] for place in fitting],
        max_tokens=asking.answer_tokens,
        batch=asking.batch,
        bar=bar,
        ends=end_tokens(model, tokenizer),
        stop=asking.stop,
    )
    answers: list[str | None] = [None] * len(asked)
    for place, answer in zip(fitting, found, strict=True):
        answers[place] = answer.text
    return answers


def _chosen(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, asked: Sequence[tuple[str, Item]], asking: Asking, context: int, bar: Any
) -> list[str | None]:
    if asking.labels == "generation":
        return []
    questions = [(prompt, item["choices"]) for prompt, item in asked]
    found = choice_likelihoods(model, tokenizer, questions, batch=asking.batch, context=context)
    bar.update(len(questions))
    return [None if values is None else likeliest(words, values, asking.labels) for (_, words), values in zip(questions, found, strict=True)]
