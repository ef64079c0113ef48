"""The published tables of the workshop."""

from __future__ import annotations

import pyarrow as pa

from corpus.evalita.splits import SPLITS
from foundation.store import TableSpec

_SCORE_DECIMALS = dict.fromkeys(("score", "low", "high", "score_parsed", "baseline", "parse_failure_rate", "coverage"), 4)


def _texts(*names: str) -> list[pa.Field]:
    return [pa.field(name, pa.string(), nullable=False) for name in names]


def _flags(*names: str) -> list[pa.Field]:
    return [pa.field(name, pa.bool_(), nullable=False) for name in names]


def _numbers(*names: str) -> list[pa.Field]:
    return [pa.field(name, pa.float64()) for name in names]


ITEMS = TableSpec(
    "items",
    pa.schema([*_texts("item_id", "task", "split", "group_id", "fields", "label", "source", "revision", "licence"), *_flags("redistributable", "official_test")]),
    key=("item_id",),
    description="Items of all tasks read, with their split; fields and label are JSON. official_test is false for tasks whose test items are this "
    "project's choice, since the organisers' are not there.",
)
BENCHMARK_ITEMS = TableSpec(
    "items",
    pa.schema(_texts("benchmark", "item_id", "text")),
    key=("benchmark", "item_id"),
    description="Texts of test items, to be looked for in training text.",
)
INSTRUCTIONS = TableSpec(
    "instructions",
    pa.schema(
        [
            *_texts("id", "task", "item_id", "group_id", "instruction", "input", "output", "template_id", "template_sha256", "source", "licence"),
            *_flags("redistributable"),
            *_texts("wording", "parser", "revision"),
            pa.field("choices", pa.list_(pa.field("item", pa.string(), nullable=False)), nullable=False),
        ]
    ),
    key=("id",),
    splits=SPLITS,
    description="Task items in words; the prompt template of a model is laid around them by training. choices: the words that an answer may be, where it "
    "is one of a few.",
)
SCORES = TableSpec(
    "scores",
    pa.schema(
        [
            *_texts("model", "task", "metric"),
            *_numbers("score", "low", "high", "baseline"),
            *_texts("baseline_name"),
            *_numbers("parse_failure_rate", "coverage"),
            pa.field("items", pa.int64()),
            *_numbers("score_parsed"),
            *_flags("higher_is_better", "metric_verified", "official_test"),
        ]
    ),
    key=("model", "task", "metric"),
    decimals=_SCORE_DECIMALS,
    description="Official scores of the evaluation wording, with bootstrap intervals. In score, failed answers count as wrong; in score_parsed they are left "
    "out. coverage is the share of the test items that was answered.",
)
WORDING_SCORES = TableSpec(
    "wording_scores",
    pa.schema(
        [
            *_texts("model", "task", "wording", "metric"),
            *_numbers("score", "low", "high", "score_parsed", "parse_failure_rate"),
            pa.field("items", pa.int64()),
            *_flags("trained_on"),
        ]
    ),
    key=("model", "task", "wording", "metric"),
    decimals={name: 4 for name in _SCORE_DECIMALS if name not in ("baseline", "coverage")},
    description="The same by wording of the test items; trained_on is false for a wording that no training row has.",
)
BASELINES = TableSpec(
    "baselines",
    pa.schema([*_texts("task", "metric", "baseline"), *_numbers("score"), pa.field("items", pa.int64())]),
    key=("task", "metric", "baseline"),
    decimals={"score": 4},
    description="Trivial baselines over all test items of each task.",
)
