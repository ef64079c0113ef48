"""What lm-eval calls in an exported folder: the rows of a task, what an answer is worth, and the official metric of all of them.

lm-eval's own F1 is that of class 1 alone, and it knows none of the other metrics, so that answers are decoded and scored by
the tasks' declarations here too. A row (``doc``) is one of ``corpus.evalita.harness.export``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpus.evalita.scoring import evidence_of, metric_name, units_of
from corpus.evalita.task import Item, ParseFailure
from corpus.evalita.tasks import TASKS

if TYPE_CHECKING:
    from datasets import Dataset

PER_CHARACTER = "_per_character"
"""What follows a metric's name where the answer was chosen by likelihood per character, as lm-eval's ``acc_norm``."""
FAILURES = "parse_failure_rate"
DATA = "data"


def rows_beside(module: str) -> Callable[..., dict[str, Dataset]]:
    """For ``custom_dataset``: the rows of a task, out of the folder where a module lies.

    Args:
        module: the module's file; ``data/<name>.jsonl`` beside it holds the rows.
    """

    def rows(*, rows: str, **_metadata: Any) -> dict[str, Dataset]:
        from datasets import Dataset

        path = Path(module).resolve().parent / DATA / f"{rows}.jsonl"
        return {"test": Dataset.from_list([json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()])}

    return rows


def scored_choice(doc: Mapping[str, Any], results: Sequence[tuple[float, bool]]) -> dict[str, Any]:
    """For ``process_results`` of a multiple choice: evidence of the likeliest answer, and of the likeliest per character."""
    likelihoods = [found[0] for found in results]
    shares = [value / len(word) for value, word in zip(likelihoods, doc["choices"], strict=True)]
    found = {}
    for values, ending in ((likelihoods, ""), (shares, PER_CHARACTER)):
        answer = doc["choices"][values.index(max(values))]
        found.update({f"{name}{ending}": entry for name, entry in _evidence(doc, answer).items() if name != FAILURES})
    return found


def scored_text(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Any]:
    """For ``process_results`` of a generated answer: its evidence, and whether it held no value."""
    return _evidence(doc, results[0])


def _evidence(doc: Mapping[str, Any], answer: str) -> dict[str, Any]:
    task = TASKS[doc["task"]]
    fields = json.loads(doc["fields"])
    value = task.wording(doc["wording"]).answer.decode(fields, answer)
    failed = isinstance(value, ParseFailure)
    entry = {"item_id": doc["item_id"], "group_id": doc["group_id"], "fields": fields, "label": json.loads(doc["label"]), "value": None if failed else value}
    parts = ("",) if task.subset is None else (str(fields[task.subset]),) if not task.pooled else ("", str(fields[task.subset]))
    return {**{metric_name(metric, part): entry for metric in task.metrics for part in parts}, FAILURES: float(failed)}


def official(task: str, metric: str) -> Callable[[Sequence[Mapping[str, Any]]], float]:
    """For ``aggregation``: an official metric over the evidence of a task's items, or of a part of them."""
    declared = TASKS[task]
    counted = next(entry for entry in declared.metrics if entry.name == metric)

    def value(entries: Sequence[Mapping[str, Any]]) -> float:
        items = [Item(entry["item_id"], "test", entry["group_id"], entry["fields"], entry["label"], "") for entry in entries]
        return counted.score(evidence_of(counted, units_of(declared, items, [entry["value"] for entry in entries])))

    return value
