"""The training workshop's part of the HTML report: plain rows out of published tables."""

from __future__ import annotations

from typing import Any

from foundation.store import PublishedVersion
from training.language_report import place_of


def bits_per_byte_table(language_report: PublishedVersion) -> list[dict[str, Any]]:
    """One row per model: bits per byte by text set, and the change in percent against the 16-bit base."""
    scores = language_report.read("bits_per_byte")
    values = {(row["model"], row["text"]): row["bits_per_byte"] for row in scores.iter_rows(named=True)}
    texts = scores["text"].unique().sort().to_list()
    rows = []
    for model in sorted(scores["model"].unique(), key=place_of):
        row: dict[str, Any] = {"model": model}
        for text in texts:
            value, base = values[model, text], values["base_model", text]
            row[text] = value
            row[f"{text}_change_percent"] = round(100 * (value / base - 1), 1)
        rows.append(row)
    return rows


def before_after(language_report: PublishedVersion) -> list[dict[str, str]]:
    """One row per fixed prompt: the answer of each model that answers, the base first."""
    frame = language_report.read("generations")
    answers = {(row["prompt"], row["model"]): row["answer"] for row in frame.iter_rows(named=True)}
    models = sorted(frame["model"].unique(), key=place_of)
    prompts = frame["prompt"].unique().sort().to_list()
    return [{"prompt": prompt, **{model: answers.get((prompt, model), "") for model in models}} for prompt in prompts]
