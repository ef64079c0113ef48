"""Plots of the training group as PNG bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from training.evaluation.candidates import label_of, place_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def loss_curve(log: Sequence[Mapping[str, Any]], title: str) -> bytes:
    """Training loss (nats per target) over tokens seen."""
    points = [(entry["tokens"], entry["loss"]) for entry in log]
    return _line(points, title, "tokens seen", "loss (nats per token)", marker=".")


def held_out_curve(points: Sequence[Mapping[str, float]], title: str) -> bytes:
    """Bits per byte on held-out text over training steps; the point at step 0 is the model before training."""
    places = [(point["step"], point["bits_per_byte"]) for point in points]
    return _line(places, title, "optimizer steps", "bits per byte, held out", marker="o")


def _line(points: Sequence[tuple[float, float]], title: str, across: str, up: str, *, marker: str) -> bytes:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.plot(*zip(*points, strict=True), marker=marker, linewidth=1)
    axes.set(title=title, xlabel=across, ylabel=up)
    axes.grid(alpha=0.3)
    return _png(figure)


def bits_per_byte_bars(scores: Sequence[Mapping[str, Any]]) -> bytes:
    """One group of bars per text set, one bar with its interval per model and form; lower is better."""
    from matplotlib.figure import Figure

    keys = sorted({(row["model"], row["form"]) for row in scores}, key=lambda key: place_of(*key))
    texts = sorted({row["text"] for row in scores})
    rows = {(row["model"], row["form"], row["text"]): row for row in scores}
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(keys)
    for index, key in enumerate(keys):
        found = [rows[*key, text] for text in texts]
        places = [group - 0.4 + (index + 0.5) * width for group in range(len(texts))]
        values = [row["bits_per_byte"] for row in found]
        errors = [[max(row["bits_per_byte"] - row["low"], 0) for row in found], [max(row["high"] - row["bits_per_byte"], 0) for row in found]]
        axes.bar(places, values, width, label=label_of(*key), yerr=errors, error_kw={"linewidth": 0.8, "capsize": 1.5})
    axes.set_xticks(range(len(texts)), texts)
    axes.set(title="Bits per byte on held-out text (lower is better), 95 % intervals", ylabel="bits per byte")
    figure.legend(*axes.get_legend_handles_labels(), fontsize=7, loc="outside right upper")
    return _png(figure)


def comparison_plot(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Bits per byte of models and of their versions before, one panel per text set; versions before are pale, and left out where they
    were scored on other text."""
    from matplotlib.figure import Figure

    shown = [row for row in rows if row["measure"] == "bits_per_byte" and row["same_text"]]
    texts = sorted({row["set"] for row in shown})
    order = sorted({(row["model"], row["form"], not row["present"], row["version"]) for row in shown}, key=lambda key: (*place_of(*key[:2]), *key[2:]))
    places = {key: index for index, key in enumerate(order)}
    figure = Figure(figsize=(9, 1.2 + 0.26 * len(order)), layout="constrained")
    for axes, text in zip(figure.subplots(1, len(texts), sharey=True, squeeze=False)[0], texts, strict=True):
        for row in (row for row in shown if row["set"] == text):
            place = places[row["model"], row["form"], not row["present"], row["version"]]
            axes.plot([row["low"], row["high"]], [place, place], color="tab:blue" if row["present"] else "lightsteelblue", linewidth=1.5)
            axes.plot([row["value"]], [place], "o", color="tab:blue" if row["present"] else "lightsteelblue", markersize=5)
        axes.set(title=text, xlabel="bits per byte")
        axes.grid(alpha=0.3)
    first = figure.axes[0]
    first.set_yticks(range(len(order)), [f"{label_of(model, form)} {version[:8]}{' (before)' if past else ''}" for model, form, past, version in order], fontsize=7)
    first.invert_yaxis()
    return _png(figure)


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=90)
    return stream.getvalue()
