"""Plots of the training group as PNG bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.figure import Figure


def loss_curve(log: Sequence[Mapping[str, Any]], title: str) -> bytes:
    """Training loss (nats per target) over tokens seen."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.plot([entry["tokens"] for entry in log], [entry["loss"] for entry in log], marker=".", linewidth=1)
    axes.set(title=title, xlabel="tokens seen", ylabel="loss (nats per token)")
    axes.grid(alpha=0.3)
    return _png(figure)


def bits_per_byte_bars(scores: pl.DataFrame) -> bytes:
    """One group of bars per text set, one bar per model; lower is better."""
    from matplotlib.figure import Figure

    models = scores["model"].unique(maintain_order=True).to_list()
    texts = scores["text"].unique(maintain_order=True).to_list()
    values = {(row["model"], row["text"]): row["bits_per_byte"] for row in scores.iter_rows(named=True)}
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(models)
    for index, model in enumerate(models):
        places = [group - 0.4 + (index + 0.5) * width for group in range(len(texts))]
        axes.bar(places, [values.get((model, text), 0.0) for text in texts], width, label=model)
    axes.set_xticks(range(len(texts)), texts)
    axes.set(title="Bits per byte on held-out text (lower is better)", ylabel="bits per byte")
    figure.legend(*axes.get_legend_handles_labels(), fontsize=7, loc="outside right upper")
    return _png(figure)


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=90)
    return stream.getvalue()
