"""SENTIPOLC 2016 (EVALITA): subjectivity, polarity and irony of tweets.

Format: the training file is default csv with a header; the gold text file has no header and backslash-escaped quotes,
so that no csv dialect reads all of it: eight quoted numbers, then a greedy last field. Metric (task guidelines 2016):
for each binary field the mean of its two classes' F1; polarity is the mean over the fields ``opos`` and ``oneg``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from corpus.evalita.answers import ChoiceAnswer, yes_or_no
from corpus.evalita.formats import binary, separated, text_of
from corpus.evalita.metrics import Metric, class_counts, mean_f1
from corpus.evalita.task import Access, EvalitaError, Item, Split, Task, Wording, majority_class

FOLDER = "evalita/sentipolc-2016"
TRAIN = f"{FOLDER}/sentipolc16_officialdistrib_train.csv"
GOLD = f"{FOLDER}/sentipolc16_gold2000_text.csv"
COLUMNS = ("idtwitter", "subj", "opos", "oneg", "iro", "lpos", "lneg", "top", "text")
LICENCE = "CC-BY-NC-SA-3.0-IT"
GOLD_ROW = re.compile(r'"(\d+)",' + r'"(\d)",' * 7 + r'"(.*)"')
POLARITY = {(1, 0): "positive", (0, 1): "negative", (1, 1): "mixed", (0, 0): "neutral"}
VALUES = {label: values for values, label in POLARITY.items()}


def rows(files: Mapping[str, Path]) -> Iterator[tuple[Split, str, str, dict[str, int]]]:
    """Split, tweet id, text and the four scored fields of every tweet."""
    for number, row in separated(files[TRAIN], COLUMNS, ","):
        yield "train", row["idtwitter"], row["text"], _scored(files[TRAIN], number, row)
    # Not splitlines: a tweet may hold a character (U+0085, U+2028) that it takes for the end of a line.
    for number, line in enumerate(text_of(files[GOLD]).removesuffix("\n").split("\n"), start=1):
        match = GOLD_ROW.fullmatch(line.removesuffix("\r"))
        if match is None:
            raise EvalitaError(f"{files[GOLD]}, row {number}: expected eight quoted numbers and a quoted text, found {line[:80]!r}")
        values = dict(zip(COLUMNS, match.groups(), strict=True))
        yield "test", values["idtwitter"], values["text"].replace('\\"', '"'), _scored(files[GOLD], number, values)


def _scored(path: Path, number: int, row: Mapping[str, str]) -> dict[str, int]:
    return {column: binary(path, number, column, row[column]) for column in ("subj", "opos", "oneg", "iro")}


def reader(name: str, label: Callable[[Mapping[str, int]], Any]) -> Callable[[Mapping[str, Path]], Iterator[Item]]:
    """A reader of one sub-task; the sub-tasks of a tweet share its group."""

    def read(files: Mapping[str, Path]) -> Iterator[Item]:
        for split, tweet, text, scored in rows(files):
            yield Item(f"{name}/{tweet}", split, f"sentipolc-2016/{tweet}", {"text": text}, label(scored), LICENCE)

    return read


def polarity_counts(_fields: Mapping[str, Any], gold: str, prediction: str | None) -> np.ndarray:
    """Counts of opos=0, opos=1, oneg=0 and oneg=1: their mean F1 is the mean of the two fields' macro F1."""
    count = class_counts((0, 1))
    answers = (None, None) if prediction is None else VALUES[prediction]
    return np.concatenate([count(_fields, value, answer) for value, answer in zip(VALUES[gold], answers, strict=True)])


def _task(name: str, title: str, label: Callable[[Mapping[str, int]], Any], metric: Metric, wordings: tuple[Wording, ...]) -> Task:
    return Task(
        name=name,
        title=title,
        files=(TRAIN, GOLD),
        read=reader(name, label),
        wordings=wordings,
        metric=metric,
        texts=lambda fields: (fields["text"],),
        baseline=majority_class,
        baseline_name="most frequent training class",
        licences=(LICENCE,),
        access=Access("open", "https://github.com/evalita2016/data"),
        source="evalita2016/data",
        revision="dad1265a",
    )


_BINARY = Metric("mean_f1", class_counts((0, 1)), mean_f1)

TASKS = (
    _task(
        "sentipolc_polarity",
        "SENTIPOLC (EVALITA 2016), polarity",
        lambda scored: POLARITY[scored["opos"], scored["oneg"]],
        Metric("mean_f1_opos_oneg", polarity_counts, mean_f1),
        (
            Wording(
                name="own",
                source="Transumanza",
                instruction=(
                    "Indica il sentimento del tweet con una sola parola: positivo, negativo, misto se esprime l'uno e l'altro, neutro se non ne esprime alcuno."
                ),
                input="{text}",
                answer=ChoiceAnswer({"positive": "positivo", "negative": "negativo", "mixed": "misto", "neutral": "neutro"}),
            ),
            Wording(
                name="evalita-llm",
                source="Evalita-LLM, sa prompt 2 (arXiv 2502.02289; lm-evaluation-harness@4e7e0d47f)",
                instruction="Devi svolgere un compito di analisi del sentiment.",
                input="Qual è il sentiment espresso nel seguente tweet: '{text}'?",
                answer=ChoiceAnswer({"positive": "Positivo", "negative": "Negativo", "neutral": "Neutrale", "mixed": "Misto"}),
                names_labels=False,
            ),
        ),
    ),
    _task(
        "sentipolc_subjectivity",
        "SENTIPOLC (EVALITA 2016), subjectivity",
        lambda scored: scored["subj"],
        _BINARY,
        (
            Wording(
                name="own",
                source="Transumanza",
                instruction="Il tweet esprime un'opinione o uno stato d'animo di chi lo scrive? Rispondi sì o no.",
                input="{text}",
                answer=yes_or_no(),
            ),
        ),
    ),
    _task(
        "sentipolc_irony",
        "SENTIPOLC (EVALITA 2016), irony",
        lambda scored: scored["iro"],
        _BINARY,
        (
            Wording(
                name="own",
                source="Transumanza",
                instruction="Il tweet è ironico? Rispondi sì o no.",
                input="{text}",
                answer=yes_or_no(),
            ),
        ),
    ),
)
