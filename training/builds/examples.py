"""The examples of the three fine-tuned models: which rows, in which form, in which order. Nothing is trained here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel

from foundation.language.settings import TemplateSettings
from foundation.stages import Inputs
from foundation.store import PublishedVersion
from training.builds.inputs import columns_of, without_overlap
from training.builds.merges import merged_weights
from training.checkpoints import check_length, load_tokenizer
from training.conversations import Examples, chat_examples, instruction_examples, seeded_order
from training.settings import ChatSettings, EvalitaSettings, InstructionSettings
from training.templates import chat_template, instruction_chat_template

if TYPE_CHECKING:
    import polars as pl
    from transformers import PreTrainedTokenizerBase

Sections = Mapping[str, BaseModel]


@dataclass(frozen=True)
class Prepared:
    """What a fine-tuning run starts with. ``source`` is the adapted model, ``about`` what its statistics say of the data."""

    source: PublishedVersion
    tokenizer: PreTrainedTokenizerBase
    examples: Examples
    template: str
    row_tokens: int
    about: Mapping[str, Any]


def prepare(asset: str, sections: Sections, inputs: Inputs, seed: int) -> Prepared:
    """The examples of ``instruction_model``, ``chat_model`` or ``evalita_model``.

    Raises:
        TrainingError: a column is missing upstream.
        CheckpointError: examples may be longer than the model reads.
        KeyError: the asset is none of the three.
    """
    makers: Mapping[str, Callable[[Sections, Inputs, int], Prepared]] = {
        "instruction_model": _instructions,
        "chat_model": _chats,
        "evalita_model": _evalita,
    }
    prepared = makers[asset](sections, inputs, seed)
    check_length(merged_weights(prepared.source), prepared.row_tokens, f"training.{asset.removesuffix('_model')}.max_tokens")
    return prepared


def _instructions(sections: Sections, inputs: Inputs, seed: int) -> Prepared:
    settings = cast(InstructionSettings, sections["training.instruction"])
    templates = cast(TemplateSettings, sections["language.templates"])
    source, data = (cast(PublishedVersion, inputs[asset]) for asset in ("adapted_model", "translated_instructions"))
    columns = ("id", "instruction", "context", "response")
    frame, overlapping = without_overlap(data, "instructions", columns, settings.exclude_benchmark_overlap)
    rows = _in_order(frame, seed)[: settings.max_examples]
    tokenizer = load_tokenizer(merged_weights(source))
    examples = instruction_examples(
        ({"instruction": row["instruction"], "input": row["context"], "answer": row["response"]} for row in rows),
        tokenizer,
        templates,
        settings.max_tokens,
    )
    return Prepared(
        source, tokenizer, examples, instruction_chat_template(templates), settings.max_tokens, _counts(examples, overlapping)
    )


def _chats(sections: Sections, inputs: Inputs, seed: int) -> Prepared:
    settings = cast(ChatSettings, sections["training.chat"])
    templates = cast(TemplateSettings, sections["language.templates"])
    source, data = (cast(PublishedVersion, inputs[asset]) for asset in ("adapted_chat_model", "translated_chats"))
    frame, overlapping = without_overlap(data, "chats", ("id", "messages"), settings.exclude_benchmark_overlap)
    template = chat_template(settings.template, templates.system_prompt if settings.system_prompt == "language" else "")
    tokenizer = load_tokenizer(merged_weights(source))
    tokenizer.chat_template = template
    rows = _in_order(frame, seed)[: settings.max_examples]
    examples = chat_examples((row["messages"] for row in rows), tokenizer, settings.max_tokens)
    about = {"template": settings.template, **_counts(examples, overlapping)}
    return Prepared(source, tokenizer, examples, template, settings.max_tokens, about)


def _evalita(sections: Sections, inputs: Inputs, seed: int) -> Prepared:
    settings = cast(EvalitaSettings, sections["training.evalita"])
    templates = cast(TemplateSettings, sections["language.templates"])
    source, data = (cast(PublishedVersion, inputs[asset]) for asset in ("adapted_model", "evalita_instructions"))
    frame = columns_of(data, "instructions", ("id", "task", "instruction", "input", "output"), "train").collect()
    rows = _by_turns(frame, seed)[: settings.max_examples]
    tokenizer = load_tokenizer(merged_weights(source))
    examples = instruction_examples(
        ({"instruction": row["instruction"], "input": row["input"], "answer": row["output"]} for row in rows),
        tokenizer,
        templates,
        settings.max_tokens,
    )
    about = {"tasks": frame["task"].n_unique(), **_counts(examples, 0)}
    return Prepared(source, tokenizer, examples, instruction_chat_template(templates), settings.max_tokens, about)


def _in_order(frame: pl.DataFrame, seed: int) -> list[dict[str, Any]]:
    """Rows in seeded order."""
    by_id = {row["id"]: row for row in frame.iter_rows(named=True)}
    return [by_id[identifier] for identifier in seeded_order(by_id, seed)]


def _by_turns(frame: pl.DataFrame, seed: int) -> list[dict[str, Any]]:
    """Rows of all tasks by turns, each task in seeded order: the first rows of a short run show every task."""
    tasks: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in _in_order(frame, seed):
        tasks[row["task"]].append(row)
    places = [(index, task, row) for task, rows in tasks.items() for index, row in enumerate(rows)]
    return [row for _, _, row in sorted(places, key=lambda place: place[:2])]


def _counts(examples: Examples, overlapping: int) -> dict[str, Any]:
    dropped = {**examples.dropped, **({"benchmark_overlap": overlapping} if overlapping else {})}
    return {"examples": len(examples.items), "example_targets": examples.targets, "dropped": dict(sorted(dropped.items()))}
