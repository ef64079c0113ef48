"""Rows as Markdown, for people who look at a version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

CELL_CHARACTERS = 90


def markdown_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table; long cells are cut, line ends become spaces."""
    if not rows:
        return "(no rows)"
    names = list(rows[0])
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    lines += [f"| {' | '.join(_cell(row[name]) for name in names)} |" for row in rows]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    text = " ".join(str(value).split()).replace("|", "\\|")
    return text if len(text) <= CELL_CHARACTERS else f"{text[: CELL_CHARACTERS - 1]}…"
