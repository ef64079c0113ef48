"""Model comparison: every measure of every model, and of its versions before, in one table beside what it is compared with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from foundation.store import TableSpec
from training.evaluation.candidates import BASE_MODEL

if TYPE_CHECKING:
    import polars as pl

BITS = "bits_per_byte"
PROMPTS = "fixed_prompts"
COMPARISON = TableSpec(
    name="comparison",
    schema=pa.schema(
        [
            *(pa.field(name, pa.string(), nullable=False) for name in ("model", "form", "version", "measure", "set")),
            pa.field("present", pa.bool_(), nullable=False),
            *(pa.field(name, pa.float64()) for name in ("value", "low", "high", "base_value", "difference_percent")),
            pa.field("same_text", pa.bool_(), nullable=False),
        ]
    ),
    key=("model", "form", "version", "measure", "set"),
    decimals={**dict.fromkeys(("value", "low", "high", "base_value"), 4), "difference_percent": 2},
    description="Bits per byte against the model's base in the same form (lower is better), measures of answers to fixed prompts against the "
    "base model, EVALITA scores against each task's baseline (higher is better). `present` is false for versions of earlier reports; "
    "`same_text` is false where an earlier report scored other text, so that values must not be set side by side.",
)


@dataclass(frozen=True)
class Reported:
    """What one language report found, with the version of every model in it."""

    bits_per_byte: pl.DataFrame
    changes: pl.DataFrame
    answer_measures: pl.DataFrame
    versions: Mapping[str, str]
    texts: Mapping[str, frozenset[str]]
    """The passages of each text set, by their keys."""


@dataclass(frozen=True)
class Scored:
    """The scores of one EVALITA report (model, task, metric, score, low, high, baseline), with the version of every model in it."""

    scores: pl.DataFrame
    versions: Mapping[str, str]


def compare(present: Reported, scored: Scored, earlier: Sequence[Reported] = (), earlier_scored: Sequence[Scored] = ()) -> list[dict[str, Any]]:
    """Rows of the comparison, in the table's order. A version that several reports hold is shown as the newest has it.

    Args:
        present: the language report of today.
        scored: the EVALITA report of today.
        earlier: language reports before it, newest first.
        earlier_scored: likewise.
    """
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    for reported in (present, *earlier):
        for row in (*_bits(reported, present), *_answers(reported)):
            rows.setdefault(_key(row), {**row, "present": reported is present})
    for scores in (scored, *earlier_scored):
        for row in _evalita(scores):
            rows.setdefault(_key(row), {**row, "present": scores is scored})
    return [rows[key] for key in sorted(rows)]


def _key(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(row[name] for name in COMPARISON.key)


def _bits(reported: Reported, present: Reported) -> Iterator[dict[str, Any]]:
    against = {(row["model"], row["form"], row["text"]): (row["against"], row["against_form"]) for row in reported.changes.iter_rows(named=True)}
    values = {(row["model"], row["form"], row["text"]): row["bits_per_byte"] for row in reported.bits_per_byte.iter_rows(named=True)}
    for row in reported.bits_per_byte.iter_rows(named=True):
        model, form, text = row["model"], row["form"], row["text"]
        base = values[*against.get((model, form, text), (model, form)), text]
        same = reported.texts.get(text) == present.texts.get(text)
        yield _row(model, form, reported.versions, BITS, text, row[BITS], row["low"], row["high"], base, same_text=same)


def _answers(reported: Reported) -> Iterator[dict[str, Any]]:
    rows = {row["model"]: row for row in reported.answer_measures.iter_rows(named=True)}
    base: Mapping[str, Any] = rows.get(BASE_MODEL, {})
    for model, row in rows.items():
        for share in ("target_language", "ended"):
            bounds = (row[f"{share}_low"], row[f"{share}_high"])
            yield _row(model, "", reported.versions, f"{share}_share", PROMPTS, row[f"{share}_share"], *bounds, base.get(f"{share}_share"))
        for measure in ("repetition", "mean_words"):
            yield _row(model, "", reported.versions, measure, PROMPTS, row[measure], None, None, base.get(measure))


def _evalita(scored: Scored) -> Iterator[dict[str, Any]]:
    for row in scored.scores.iter_rows(named=True):
        yield _row(row["model"], "", scored.versions, row["metric"], row["task"], row["score"], row["low"], row["high"], row["baseline"])


def _row(
    model: str,
    form: str,
    versions: Mapping[str, str],
    measure: str,
    name: str,
    value: float | None,
    low: float | None,
    high: float | None,
    base: float | None,
    *,
    same_text: bool = True,
) -> dict[str, Any]:
    difference = None if value is None or not base else 100 * (value / base - 1)
    return {
        "model": model, "form": form, "version": versions.get(model, ""), "measure": measure, "set": name, "value": value, "low": low,
        "high": high, "base_value": base, "difference_percent": difference, "same_text": same_text,
    }  # fmt: skip
