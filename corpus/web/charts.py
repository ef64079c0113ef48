"""Small charts for people, as PNG bytes: bars, waterfalls, heat maps. At most 50 kB each, which Dagster's event log bears."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GREEN, DARK, ORANGE, GREY = "#3b7a57", "#1f4d36", "#c4681c", "#8a968f"
"""What stays, totals, what goes, the rest: told apart in grey and by colour-blind eyes too."""
_SIZE = 8
Step = tuple[str, Literal["total", "loss"], float]
"""The name of a total or of what is lost on the way to the next one, and how much."""


def bars(
    title: str, entries: Sequence[tuple[str, float]], *, logarithmic: bool = False, said: Callable[[float], str] = "{:,}".format, color: str = GREEN
) -> bytes:
    """One bar for each (label, value), the first on top; ``said`` is how values are written beside them."""
    figure, axes = _canvas(title, max(len(entries), 3))
    labels = [label for label, _ in entries]
    values = [value for _, value in entries]
    drawn = axes.barh(range(len(entries)), values, color=color)
    axes.set_yticks(range(len(entries)), labels, fontsize=_SIZE)
    axes.bar_label(drawn, [said(value) for value in values], padding=3, fontsize=_SIZE)
    return _finished(figure, axes, "log" if logarithmic else None)


def waterfall(title: str, steps: Sequence[Step], *, logarithmic: bool = False) -> bytes:
    """Totals as whole bars; each loss hangs where the one before it ends. Labels say what is left, or how much goes."""
    figure, axes = _canvas(title, max(len(steps), 3))
    left = 0.0
    for place, (_, kind, value) in enumerate(steps):
        if kind == "total":
            left = value
            axes.barh(place, value, color=DARK)
            axes.annotate(f"{value:,.0f}", (value, place), (3, 0), textcoords="offset points", va="center", fontsize=_SIZE, fontweight="bold")
        else:
            axes.barh(place, value, left=left - value, color=ORANGE, edgecolor=ORANGE, linewidth=0.8)  # seen however small
            axes.annotate(f"−{value:,.0f}", (left, place), (3, 0), textcoords="offset points", va="center", fontsize=_SIZE)
            left -= value
    axes.set_yticks(range(len(steps)), [name for name, _, _ in steps], fontsize=_SIZE)
    return _finished(figure, axes, "symlog" if logarithmic else None)


def pairs(title: str, entries: Sequence[tuple[str, float, float]], names: tuple[str, str], *, said: Callable[[float], str]) -> bytes:
    """Two bars for each (label, first, second), such as before and after."""
    figure, axes = _canvas(title, 1.5 * max(len(entries), 2) + 1)
    for number, (name, color) in enumerate(zip(names, (GREY, GREEN), strict=True)):
        values = [(before, after)[number] for _, before, after in entries]
        drawn = axes.barh([place + 0.4 * number - 0.2 for place in range(len(entries))], values, height=0.38, color=color, label=name)
        axes.bar_label(drawn, [said(value) for value in values], padding=3, fontsize=_SIZE)
    axes.set_yticks(range(len(entries)), [entry[0] for entry in entries], fontsize=_SIZE)
    figure.legend(fontsize=_SIZE, frameon=False, loc="outside upper right", ncols=2)
    return _finished(figure, axes, None)


def heat_map(title: str, labels: Sequence[str], shares: Sequence[Sequence[float]]) -> bytes:
    """A square of shares between 0 and 1, with the percents of those from one half of a percent on."""
    from matplotlib.figure import Figure

    count = len(labels)
    figure = Figure(figsize=(2.4 + 0.36 * count, 1.6 + 0.3 * count), dpi=90, layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Greens", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(count), labels, fontsize=_SIZE, rotation=60, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(count), labels, fontsize=_SIZE)
    for row, values in enumerate(shares):
        for column, value in enumerate(values):
            if row != column and value >= 0.005:
                axes.text(column, row, f"{100 * value:.0f}", ha="center", va="center", fontsize=7, color="white" if value > 0.6 else "black")
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    axes.spines[:].set_visible(False)
    return _png(figure)


def _canvas(title: str, bars_high: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 0.5 + 0.28 * bars_high), dpi=90, layout="constrained")
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    return figure, figure.add_subplot()


def _finished(figure: Figure, axes: Axes, scale: Literal["log", "symlog"] | None) -> bytes:
    """The first bar on top. Bars are labelled, so that only a scale of powers needs its axis."""
    axes.margins(x=0.15, y=0.01)
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    if scale is None:
        axes.spines["bottom"].set_visible(False)
        axes.tick_params(axis="x", bottom=False, labelbottom=False)
    else:
        axes.set_xscale(scale)
        axes.tick_params(axis="x", labelsize=_SIZE)
    axes.tick_params(axis="y", length=0)
    return _png(figure)


def _png(figure: Figure) -> bytes:
    """A picture of few colours, which takes a third of the bytes."""
    from PIL import Image

    drawn, stream = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png")
    Image.open(drawn).convert("RGB").quantize(64, dither=Image.Dither.NONE).save(stream, format="png", optimize=True)
    return stream.getvalue()
