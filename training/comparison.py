"""Model comparison: every measure of every model in one table, beside what it is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from foundation.store import TableSpec

if TYPE_CHECKING:
    import polars as pl

COMPARISON = TableSpec(
    name="comparison",
    schema=pa.schema(
        [
            *(pa.field(name, pa.string(), nullable=False) for name in ("model", "measure", "set")),
            pa.field("value", pa.float64()),
            pa.field("base_value", pa.float64()),
            pa.field("difference_percent", pa.float64()),
        ]
    ),
    key=("model", "measure", "set"),
    decimals={"value": 4, "base_value": 4, "difference_percent": 2},
    description="Bits per byte against the 16-bit base (lower is better), EVALITA scores against each task's baseline (higher is better).",
)


def compare(bits_per_byte: pl.DataFrame, scores: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows of the comparison, in the table's order.

    Args:
        bits_per_byte: that table of ``language_report``.
        scores: that table of ``evalita_report``; columns model, task, metric, score, baseline.
    """
    base = {row["text"]: row["bits_per_byte"] for row in bits_per_byte.iter_rows(named=True) if row["model"] == "base_model"}
    rows = [
        _row(row["model"], "bits_per_byte", row["text"], row["bits_per_byte"], base.get(row["text"]))
        for row in bits_per_byte.iter_rows(named=True)
    ]
    rows += [_row(row["model"], row["metric"], row["task"], row["score"], row["baseline"]) for row in scores.iter_rows(named=True)]
    return sorted(rows, key=lambda row: (row["model"], row["measure"], row["set"]))


def _row(model: str, measure: str, name: str, value: float | None, base: float | None) -> dict[str, Any]:
    difference = None if value is None or not base else 100 * (value / base - 1)
    return {"model": model, "measure": measure, "set": name, "value": value, "base_value": base, "difference_percent": difference}
