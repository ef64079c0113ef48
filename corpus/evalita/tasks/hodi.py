"""HODI, EVALITA 2023: is a tweet homotransphobic (A), and which of its words make it so (B)?

Format: TSV ``id, text, homotransphobic`` and ``id, text, rationales``: the offsets of all characters, a list that is empty where
A is negative. The same tweets serve both sub-tasks. Metrics (``evaluation_utils.py``): macro F1; F1 over characters of each
tweet, averaged, where an empty answer to an empty list counts as 1.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from corpus.evalita.answers.choice import yes_or_no
from corpus.evalita.answers.spans import GappedSpans, NumberedSpans, SpanLabel
from corpus.evalita.baselines import MAJORITY, RANDOM, constant
from corpus.evalita.errors import EvalitaError
from corpus.evalita.formats.tables import binary, filled, unquoted
from corpus.evalita.metrics.classification import macro_f1
from corpus.evalita.metrics.metric import Metric, mean_of_items, of_sums
from corpus.evalita.task import Access, Baseline, Item, Label, Split, Task, TaskFile, Wording

FOLDER = "evalita/hodi"
LICENCE = "none stated"


def _files(part: str) -> dict[Split, str]:
    return {"train": f"{FOLDER}/HODI_2023_train_subtask{part}.tsv", "test": f"{FOLDER}/HODI_2023_test_subtask{part}.tsv"}


def reader(name: str, part: str, column: str, label: Callable[[Path, int, Mapping[str, str]], Label]) -> Callable[[Mapping[str, Path]], Iterator[Item]]:
    """A reader of one sub-task; texts stay as they are, since offsets count their characters."""

    def read(files: Mapping[str, Path]) -> Iterator[Item]:
        for split, path in ((split, files[file]) for split, file in _files(part).items() if file in files):
            for number, row in unquoted(path, ("id", "text", column)):
                text = filled(path, number, "text", row["text"])
                yield Item(f"{name}/{split}/{row['id']}", split, f"hodi/{row['id']}", {"text": text}, label(path, number, row), LICENCE)

    return read


def homotransphobic(path: Path, number: int, row: Mapping[str, str]) -> int:
    """The label of A."""
    return binary(path, number, "homotransphobic", row["homotransphobic"])


def rationales(path: Path, number: int, row: Mapping[str, str]) -> list[SpanLabel]:
    """The label of B: runs of offsets as spans, ends exclusive.

    Raises:
        EvalitaError: the column holds no list of offsets of the text.
    """
    try:
        offsets = json.loads(row["rationales"] or "[]")
    except ValueError:
        offsets = None
    length = len(row["text"])
    if not isinstance(offsets, list) or not all(isinstance(place, int) and 0 <= place < length for place in offsets):
        raise EvalitaError(f"{path}, row {number}: column 'rationales' is {row['rationales'][:80]!r}, expected a list of offsets below {length}")
    spans: list[SpanLabel] = []
    for place in sorted(set(offsets)):
        if spans and spans[-1][1] == place:
            spans[-1][1] = place + 1
        else:
            spans.append([place, place + 1])
    return spans


def character_f1(_fields: Mapping[str, Any], gold: Sequence[SpanLabel], prediction: Sequence[SpanLabel] | None) -> np.ndarray:
    """F1 of one tweet; words that it does not hold count as so many wrong characters, and a failed answer gets 0."""
    if prediction is None:
        return np.array([0.0, 1.0])
    right = {place for start, end in gold for place in range(start, end)}
    given = {place for start, end in prediction if start >= 0 for place in range(start, end)}
    total = len(right) + len(given) + sum(end for start, end in prediction if start < 0)
    return np.array([2 * len(right & given) / total if total else 1.0, 1.0])


def _task(name: str, title: str, part: str, read: Callable[[Mapping[str, Path]], Iterator[Item]], wordings: tuple[Wording, ...], metric: Metric, baselines: tuple[Baseline, ...]) -> Task:
    files = _files(part)
    return Task(
        name=name,
        title=f"HODI (EVALITA 2023), {title}",
        files=(TaskFile(files["train"]), TaskFile(files["test"], optional=True)),
        read=read,
        wordings=wordings,
        metrics=(metric,),
        texts=lambda fields: (fields["text"],),
        baselines=baselines,
        licences=(LICENCE,),
        access=Access("request", "https://github.com/HODI-EVALITA/HODI_2023"),
        source="HODI-EVALITA/HODI_2023",
        revision="e087e2e",
        unverified=("the files' names", "5,000 training and 1,000 test rows", "the licence: the repository shows a CC BY-NC-SA badge, the data come by a form"),
    )


TASKS = (
    _task(
        "hodi_a",
        "A: homotransphobia detection",
        "A",
        reader("hodi_a", "A", "homotransphobic", homotransphobic),
        (
            Wording(
                name="own",
                source="Transumanza",
                instruction="Il tweet offende o discrimina persone omosessuali o transgender? Rispondi sì o no.",
                input="{text}",
                answer=yes_or_no(),
            ),
            Wording(
                name="extremita",
                source="ExtremITA (crux82/ExtremITA@b618b9c)",
                instruction="In questo testo si esprime odio omotransfobico? Rispondi sì o no.",
                input="{text}",
                answer=yes_or_no(),
            ),
        ),
        macro_f1((0, 1)),
        (MAJORITY, RANDOM),
    ),
    _task(
        "hodi_b",
        "B: explanation",
        "B",
        reader("hodi_b", "B", "rationales", rationales),
        (
            Wording(
                name="own",
                source="Transumanza",
                instruction=(
                    "Copia dal testo le parole che esprimono odio verso persone omosessuali o transgender, una sequenza per riga e nell'ordine del testo. Se le stesse parole "
                    "compaiono più volte e non si tratta della prima, aggiungi il loro numero, per esempio «parola [2]». Se non ce ne sono, scrivi «nessuna»."
                ),
                input="{text}",
                answer=NumberedSpans(),
            ),
            Wording(
                name="extremita-corrected",
                source="ExtremITA (crux82/ExtremITA@b618b9c), with an answer for a text without such words",
                instruction=(
                    "Con quali parole l'autore del testo seguente esprime odio omotransfobico? Separa le sequenze di parole con [gap]. "
                    "Se non ce ne sono, scrivi nessuna."
                ),
                input="{text}",
                answer=GappedSpans(),
                lossless=False,  # it does not say which of several equal sequences is meant
            ),
        ),
        Metric("character_f1", character_f1, of_sums(mean_of_items)),
        (constant("no words", []), Baseline("the whole text", lambda _items: lambda fields: [[0, len(fields["text"])]])),
    ),
)
