"""Examples for people: source and translation side by side, and the histogram of length ratios."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from foundation.store import PublishedVersion

_SHOWN = 400


def side_by_side(translated_chats: PublishedVersion, translated_instructions: PublishedVersion, n: int = 10) -> list[dict[str, str]]:
    """Up to ``n`` examples, chats and instructions in turn, in the order of their ids: the same versions give the same.

    Each has ``kind``, ``id``, ``category``, ``source``, ``translation``, ``engine`` and ``licence``; texts are whole.
    """
    chats = [
        _example("chat", row, "", chat_text(row, "source_"), chat_text(row, ""))
        for row in translated_chats.scan("chats").head(n).collect().to_dicts()
    ]
    instructions = [
        _example("instruction", row, row["category"] or "", instruction_text(row, "source_"), instruction_text(row, ""))
        for row in translated_instructions.scan("instructions").head(n).collect().to_dicts()
    ]
    mixed: list[dict[str, str]] = []
    for index in range(max(len(chats), len(instructions))):
        mixed += [rows[index] for rows in (chats, instructions) if index < len(rows)]
    return mixed[:n]


def preview(pairs: Sequence[tuple[str, str]], headings: tuple[str, str] = ("English", "Italian")) -> str:
    """A Markdown table of source and translation."""
    lines = [f"| {headings[0]} | {headings[1]} |", "|---|---|"]
    return "\n".join([*lines, *(f"| {_cell(source)} | {_cell(translation)} |" for source, translation in pairs)])


def length_ratio_histogram(ratios: Sequence[float], low: float, high: float) -> bytes:
    """A PNG image of the length ratios and the two thresholds."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3), dpi=90, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.hist([min(max(ratio, 0.0), 2.5) for ratio in ratios], bins=50, range=(0, 2.5), color="#4a6fa5")
    for threshold in (low, high):
        axes.axvline(threshold, color="#b5482a", linestyle="--", linewidth=1)
    axes.set_xlabel("characters, translation to source (worst text of each row)")
    axes.set_ylabel("rows")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _example(kind: str, row: dict[str, object], category: str, source: str, translation: str) -> dict[str, str]:
    return {
        "kind": kind,
        "id": str(row["id"]),
        "category": category,
        "source": source,
        "translation": translation,
        "engine": str(row["engine"]),
        "licence": str(row["licence"]),
    }


def chat_text(row: Mapping[str, Any], prefix: str) -> str:
    """A chat as a reader sees it; ``prefix`` is ``source_`` for the original, empty for the translation."""
    return "\n\n".join(f"{message['role']}: {message['content']}" for message in row[f"{prefix}messages"])


def instruction_text(row: Mapping[str, Any], prefix: str) -> str:
    """An instruction with its context and answer, likewise."""
    return "\n\n".join(row[f"{prefix}{name}"] for name in ("instruction", "context", "response") if row[f"{prefix}{name}"])


def _cell(text: str) -> str:
    short = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    return short.replace("|", "\\|").replace("\n", "<br>")
