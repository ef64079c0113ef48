"""XCOPA, Italian: which of two sentences is the cause or the effect of a premise? (Ponti et al. 2020)

Format: JSON lines of ``data/it`` (``data-gmt/it`` is English). Metric: accuracy. It is a common evaluation set: by
default it is scored and looked for in the corpora, never trained on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from corpus.evalita.answers.choice import ChoiceAnswer
from corpus.evalita.baselines import MAJORITY, RANDOM
from corpus.evalita.errors import EvalitaError
from corpus.evalita.formats.json_lines import json_lines
from corpus.evalita.metrics.classification import accuracy
from corpus.evalita.task import Access, Item, Split, Task, TaskFile, Wording

FILES: dict[Split, str] = {"train": "evalita/xcopa/data/it/val.it.jsonl", "test": "evalita/xcopa/data/it/test.it.jsonl"}
COLUMNS: dict[str, type] = {"premise": str, "choice1": str, "choice2": str, "question": str, "label": int, "idx": int}
RELATIONS = {"cause": "la causa", "effect": "l'effetto"}


def read(files: Mapping[str, Path]) -> Iterator[Item]:
    """Rows of the validation file (as training items) and of the test file."""
    for split, name in FILES.items():
        for number, row in json_lines(files[name], COLUMNS):
            if row["question"] not in RELATIONS or row["label"] not in (0, 1):
                raise EvalitaError(
                    f"{files[name]}, line {number}: question is {row['question']!r} and label {row['label']!r}; expected one of {list(RELATIONS)} and 0 or 1"
                )
            item_id = f"xcopa/{split}/{row['idx']:04d}"
            fields = {column: row[column] for column in ("premise", "choice1", "choice2", "question")}
            yield Item(item_id, split, item_id, fields, row["label"], "CC-BY-4.0")


def prompt_fields(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields and the relation asked for, in Italian."""
    return {**fields, "relation": RELATIONS[fields["question"]]}


TASKS = (
    Task(
        name="xcopa",
        title="XCOPA, Italian",
        files=(
            TaskFile(FILES["train"], "f8389021d6595ef994ed8ff163dfddbcc3f5473b4e7b4803745fb98a7ecd1031"),
            TaskFile(FILES["test"], "33564a0dbefc9ff3a7dc868d9a9718d7aaaf7fb136879ae4d2ba022f311f8a88"),
        ),
        read=read,
        wordings=(
            Wording(
                name="own",
                source="Transumanza",
                instruction="Quale delle due frasi, A o B, è {relation} più plausibile della premessa? Rispondi A o B.",
                input="Premessa: {premise}\nA: {choice1}\nB: {choice2}",
                answer=ChoiceAnswer({0: "A", 1: "B"}),
            ),
        ),
        metrics=(accuracy(),),
        texts=lambda fields: (fields["premise"], fields["choice1"], fields["choice2"]),
        baselines=(MAJORITY, RANDOM),
        licences=("CC-BY-4.0",),
        access=Access("open", "https://github.com/cambridgeltl/xcopa"),
        source="cambridgeltl/xcopa",
        revision="e2e9d7f1",
        prompt_fields=prompt_fields,
        rows={"train": 100, "test": 500},
        evaluation_only=True,
    ),
)
