"""Builds of the evaluation group."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, cast

from foundation.language.settings import LanguageSettings, TemplateSettings
from foundation.stages import StageContext, StageReport
from training.answers import ANSWERS, Asking, answer_items, choose_items
from training.bits_per_byte import TextSet, passages
from training.builds.inputs import columns_of, text_frame
from training.checkpoints import torch_threads
from training.comparison import COMPARISON, compare
from training.language_report import (
    ADAPTER_ON_NF4,
    BASE_ON_NF4,
    BITS_PER_BYTE,
    GENERATIONS,
    IN_DOMAIN,
    Candidate,
    italian_improves,
    place_of,
    relative_change,
    report,
)
from training.plots import bits_per_byte_bars
from training.settings import EvaluationSettings

TUNED = ("instruction_model", "chat_model", "evalita_model")


def build_language_report(context: StageContext) -> StageReport:
    """``language_report``."""
    import polars as pl

    settings = cast(EvaluationSettings, context.settings["training.evaluation"])
    language = cast(LanguageSettings, context.settings["language"])
    started = time.monotonic()
    with torch_threads(settings.threads):
        result = report(_candidates(context, settings), _text_sets(context, settings, language), language.prompts, settings, context.progress)
    with context.staging.table(BITS_PER_BYTE) as table:
        table.write(result.scores)
    with context.staging.table(GENERATIONS) as table:
        table.write(result.generations)
    context.staging.card(f"# {context.asset}\n\nBits per byte on held-out text and answers to fixed prompts, measured on the exported files.")
    texts = sorted({row["text"] for row in result.scores})
    return StageReport(
        statistics={"change_percent": _changes(result.scores, texts)},
        gates=[italian_improves(result.scores, settings.min_improvement_percent)],
        observations={"seconds": round(time.monotonic() - started, 1)},
        previews={"Bits per byte": _score_table(result.scores, texts), "Answers": _answer_table(result.generations)},
        plots={"Bits per byte": bits_per_byte_bars(pl.DataFrame(sorted(result.scores, key=lambda row: place_of(row["model"]))))},
    )


def _candidates(context: StageContext, settings: EvaluationSettings) -> list[Candidate]:
    base, adapted = context.input("base_model"), context.input("adapted_model")
    candidates = [
        Candidate("base_model", base.files, answers=True),
        Candidate("adapted_model", adapted.files / "merged", answers=True),
        *(Candidate(name, context.input(name).files / "merged", answers=name != "evalita_model") for name in TUNED),
    ]
    if settings.compare_quantized:
        candidates += [
            Candidate(BASE_ON_NF4, base.files, quantized=True),
            Candidate(ADAPTER_ON_NF4, base.files, quantized=True, adapter=adapted.files / "adapter"),
        ]
    return candidates


def _text_sets(context: StageContext, settings: EvaluationSettings, language: LanguageSettings) -> list[TextSet]:
    foreign = context.input("evaluation_text")
    sets = (
        (IN_DOMAIN, language.short_code, text_frame(context.input("clean_corpus"), "text", "validation")),
        ("out_of_source", language.short_code, text_frame(foreign, "text", "target")),
        ("source_language", language.identification.source_label, text_frame(foreign, "text", "source")),
    )
    return [
        TextSet(name, code, passages(frame, settings.passages, settings.passage_characters, context.seed)) for name, code, frame in sets
    ]


def _changes(scores: Sequence[dict[str, Any]], texts: Sequence[str]) -> dict[str, dict[str, float]]:
    models = sorted({row["model"] for row in scores} - {"base_model"})
    return {
        model: {text: round(100 * relative_change(scores, model, "base_model", text), 2) for text in texts} for model in models
    }


def _score_table(scores: Sequence[dict[str, Any]], texts: Sequence[str]) -> str:
    values = {(row["model"], row["text"]): row["bits_per_byte"] for row in scores}
    lines = [f"| model | {' | '.join(texts)} |", "|---" * (len(texts) + 1) + "|"]
    for model in sorted({row["model"] for row in scores}, key=place_of):
        lines.append(f"| {model} | {' | '.join(f'{values[model, text]:.3f}' for text in texts)} |")
    return "\n".join(lines)


def _answer_table(generations: Sequence[dict[str, str]]) -> str:
    lines = ["| prompt | model | answer |", "|---|---|---|"]
    for row in sorted(generations, key=lambda row: (row["prompt"], place_of(row["model"]))):
        answer = row["answer"].replace("|", "\\|").replace("\n", " ")[:200]
        lines.append(f"| {row['prompt']} | {row['model']} | {answer} |")
    return "\n".join(lines)


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
        folder = context.input("evalita_model").files / "merged"
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


def build_comparison(context: StageContext) -> StageReport:
    """``model_comparison``."""
    scores = columns_of(context.input("evalita_report"), "scores", ("model", "task", "metric", "score", "baseline")).collect()
    rows = compare(context.input("language_report").read("bits_per_byte"), scores)
    with context.staging.table(COMPARISON) as table:
        table.write(rows)
    context.staging.card(f"# {context.asset}\n\nEvery measure of every model beside what it is compared with.")
    lines = ["| model | measure | set | value | compared with | difference % |", "|---|---|---|---|---|---|"]
    lines += [f"| {' | '.join(_cell(value) for value in row.values())} |" for row in rows]
    return StageReport(statistics={"rows": len(rows)}, previews={"Comparison": "\n".join(lines)})


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
