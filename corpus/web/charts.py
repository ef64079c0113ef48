"""Small charts for people: horizontal bars as PNG bytes."""

from __future__ import annotations

import io
from collections.abc import Sequence


def bars(title: str, entries: Sequence[tuple[str, int]], *, logarithmic: bool = False) -> bytes:
    """A PNG of one bar for each (label, value), the first on top; at most 50 kB."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 0.5 + 0.28 * max(len(entries), 3)), dpi=90, layout="constrained")
    axes = figure.add_subplot()
    labels = [label for label, _ in entries]
    values = [value for _, value in entries]
    drawn = axes.barh(range(len(entries)), values, color="#3b7a57")
    axes.set_yticks(range(len(entries)), labels, fontsize=8)
    axes.bar_label(drawn, [f"{value:,}" for value in values], padding=3, fontsize=8)
    axes.invert_yaxis()
    axes.set_title(title, fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="x", labelsize=8)
    axes.margins(x=0.15)
    if logarithmic:
        axes.set_xscale("log")
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()
