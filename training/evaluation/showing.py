"""Reports as Markdown tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from training.evaluation.candidates import EXPORT, label_of, place_of

Rows = Sequence[Mapping[str, Any]]
_MAX_ANSWER = 200


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def score_table(scores: Rows) -> str:
    """Bits per byte with intervals: a line per model and form, a column per text set."""
    texts = sorted({row["text"] for row in scores})
    cells = {(row["model"], row["form"], row["text"]): f"{row['bits_per_byte']:.3f} ({row['low']:.3f} to {row['high']:.3f})" for row in scores}
    return markdown(["model", *texts], [[label_of(*key), *(cells.get((*key, text), "") for text in texts)] for key in _keys(scores)])


def change_table(changes: Rows) -> str:
    """Changes of bits per byte in percent with intervals: gain beside forgetting."""
    texts = sorted({row["text"] for row in changes})
    cells = {(row["model"], row["form"], row["text"]): f"{row['change_percent']:+.1f} % ({row['low']:+.1f} to {row['high']:+.1f})" for row in changes}
    against = {(row["model"], row["form"]): label_of(row["against"], row["against_form"]) for row in changes}
    rows = [[label_of(*key), against[key], *(cells.get((*key, text), "") for text in texts)] for key in _keys(changes)]
    return markdown(["model", "against", *texts], rows)


def measure_table(measures: Rows) -> str:
    """Measures of answers: a line per model."""
    rows = []
    for row in sorted(measures, key=lambda row: place_of(row["model"])):
        shares = [f"{100 * row[f'{name}_share']:.0f} % ({100 * row[f'{name}_low']:.0f} to {100 * row[f'{name}_high']:.0f})" for name in ("target_language", "ended")]
        rows.append([row["model"], str(row["prompts"]), *shares, *(_number(row[name], digits) for name, digits in (("repetition", 3), ("mean_words", 1)))])
    return markdown(["model", "prompts", "in the target language", "ended before the limit", "repeated 4-grams", "words"], rows)


def answer_table(generations: Rows) -> str:
    """Answers prompt by prompt, the base first."""
    rows = []
    for row in sorted(generations, key=lambda row: (row["prompt"], place_of(row["model"]))):
        answer = row["answer"].replace("|", "\\|").replace("\n", " ")[:_MAX_ANSWER]
        rows.append([row["prompt"], row["model"], answer])
    return markdown(["prompt", "model", "answer"], rows)


def harness_table(rows: Rows) -> str:
    """Scores of lm-eval, with its standard errors."""
    shown = [
        [row["task"], row["metric"], row["filter"], _number(row["value"], 4), _number(row["standard_error"], 4), str(row["examples"] or 0)] for row in rows
    ]
    return markdown(["task", "metric", "filter", "value", "standard error", "examples"], shown)


def _keys(rows: Rows) -> list[tuple[str, str]]:
    return sorted({(row["model"], row.get("form", EXPORT)) for row in rows}, key=lambda key: place_of(*key))


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
