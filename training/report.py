"""The training workshop's part of the HTML report: plain rows out of published tables."""

from __future__ import annotations

from typing import Any

from foundation.store import PublishedVersion
from training.evaluation.candidates import label_of, place_of


def bits_per_byte_table(language_report: PublishedVersion) -> list[dict[str, Any]]:
    """One row per model and form: bits per byte by text set, and the change in percent against its base in the form that is fair."""
    scores = {(row["model"], row["form"], row["text"]): row for row in language_report.read("bits_per_byte").iter_rows(named=True)}
    changes = {(row["model"], row["form"], row["text"]): row["change_percent"] for row in language_report.read("changes").iter_rows(named=True)}
    texts = sorted({text for _, _, text in scores})
    rows = []
    for model, form in sorted({(model, form) for model, form, _ in scores}, key=lambda key: place_of(*key)):
        row: dict[str, Any] = {"model": label_of(model, form)}
        for text in texts:
            score = scores[model, form, text]
            row[text] = score["bits_per_byte"]
            row[f"{text}_interval"] = f"{score['low']:.3f} to {score['high']:.3f}"
            row[f"{text}_change_percent"] = changes.get((model, form, text), 0.0)
        rows.append(row)
    return rows


def answer_measures_table(language_report: PublishedVersion) -> list[dict[str, Any]]:
    """One row per model that answers: what was measured on its answers to the fixed prompts."""
    rows = language_report.read("answer_measures").to_dicts()
    return sorted(rows, key=lambda row: place_of(row["model"]))


def before_after(language_report: PublishedVersion) -> list[dict[str, str]]:
    """One row per fixed prompt: the answer of each model that answers, the base first."""
    frame = language_report.read("generations")
    answers = {(row["prompt"], row["model"]): row["answer"] for row in frame.iter_rows(named=True)}
    models = sorted(frame["model"].unique(), key=place_of)
    prompts = frame["prompt"].unique().sort().to_list()
    return [{"prompt": prompt, **{model: answers.get((prompt, model), "") for model in models}} for prompt in prompts]
