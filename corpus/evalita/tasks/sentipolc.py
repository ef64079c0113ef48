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

from corpus.evalita.answers.choice import ChoiceAnswer, yes_or_no
from corpus.evalita.baselines import MAJORITY, RANDOM
from corpus.evalita.errors import EvalitaError
from corpus.evalita.formats.tables import binary, separated
from corpus.evalita.formats.text import numbered_lines
from corpus.evalita.metrics.classification import class_counts, macro_f1, mean_f1_of_fields
from corpus.evalita.metrics.metric import Metric, of_sums
from corpus.evalita.task import Access, Item, Split, Task, TaskFile, Wording

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
    for number, line in numbered_lines(files[GOLD]):
        match = GOLD_ROW.fullmatch(line)
        if match is None:
            raise EvalitaError(f"{files[GOLD]}, row {number}: expected eight quoted numbers and a quoted text, found {line[:80]!r}")
        values = dict(zip(COLUMNS, match.groups(), strict=True))
        yield "test", values["idtwitter"], values["text"].replace('\\"', '"'), _scored(files[GOLD], number, values)


def _scored(path: Path, number: int, row: Mapping[str, str]) -> dict[str, int]:
    return {column: binary(path, number, column, row[column]) for column in ("subj", "opos", "oneg", "iro")}


def reader(name: str, label: Callable[[Mapping[str, int]], Any]) -> Callable[[Mapping[str, Path]], Iterator[Item]]:
    """A reader of one sub-task; the tweet is the group, in every set that holds it (IronITA took 1,853 of them)."""

    def read(files: Mapping[str, Path]) -> Iterator[Item]:
        for split, tweet, text, scored in rows(files):
            yield Item(f"{name}/{tweet}", split, f"tweet/{tweet}", {"text": text}, label(scored), LICENCE)

    return read


def polarity_counts(_fields: Mapping[str, Any], gold: str, prediction: str | None) -> np.ndarray:
    """Counts of opos=0, opos=1, oneg=0 and oneg=1: their mean F1 is the mean of the two fields' macro F1."""
    count = class_counts((0, 1))
    answers = (None, None) if prediction is None else VALUES[prediction]
    return np.concatenate([count(_fields, value, answer) for value, answer in zip(VALUES[gold], answers, strict=True)])


def _task(name: str, title: str, label: Callable[[Mapping[str, int]], Any], metric: Metric, wordings: tuple[Wording, ...]) -> Task:
    return Task(
        name=name,
        title=f"SENTIPOLC (EVALITA 2016), {title}",
        files=(
            TaskFile(TRAIN, "2853e9c0abb10e17e95b4c2c137c1b2285ae8daae8872e80362c3f3c2638e2d7"),
            TaskFile(GOLD, "851243329a219f1b1ae46d3c989cdc2d9a119d82e049140938a44e018fe9bcb7"),
        ),
        read=reader(name, label),
        wordings=wordings,
        metrics=(metric,),
        texts=lambda fields: (fields["text"],),
        baselines=(MAJORITY, RANDOM),
        licences=(LICENCE,),
        access=Access("open", "https://github.com/evalita2016/data"),
        source="evalita2016/data",
        revision="dad1265a",
        rows={"train": 7410, "test": 2000},
    )


def _own(name: str, instruction: str, answer: ChoiceAnswer, given: str = "{text}") -> Wording:
    return Wording(name=name, source="Transumanza", instruction=instruction, input=given, answer=answer)


_POLARITY = (
    _own(
        "own",
        "Indica il sentimento del tweet con una sola parola: positivo, negativo, misto se esprime l'uno e l'altro, neutro se non ne esprime alcuno.",
        ChoiceAnswer({"positive": "positivo", "negative": "negativo", "mixed": "misto", "neutral": "neutro"}),
    ),
    Wording(
        name="evalita-llm",
        source="Evalita-LLM, sa prompt 2 (arXiv 2502.02289; lm-evaluation-harness@4e7e0d47f)",
        instruction="Devi svolgere un compito di analisi del sentiment.",
        input="Qual è il sentiment espresso nel seguente tweet: '{text}'?",
        answer=ChoiceAnswer({"positive": "Positivo", "negative": "Negativo", "neutral": "Neutrale", "mixed": "Misto"}),
        names_labels=False,
    ),
    _own(
        "own-two-questions",
        "Il tweet esprime un sentimento positivo? E ne esprime uno negativo? Rispondi alle due domande nell'ordine: «sì, no», «no, sì», «sì, sì» oppure «no, no».",
        ChoiceAnswer({"positive": "sì, no", "negative": "no, sì", "mixed": "sì, sì", "neutral": "no, no"}),
        "Tweet: {text}",
    ),
)
_SUBJECTIVITY = (
    _own("own", "Il tweet esprime un'opinione o uno stato d'animo di chi lo scrive? Rispondi sì o no.", yes_or_no()),
    _own("own-class", "Il testo è soggettivo oppure oggettivo? Rispondi con una sola parola.", yes_or_no(words=("soggettivo", "oggettivo")), "Testo: {text}"),
    _own(
        "own-statement",
        "Leggi il tweet e di' se l'affermazione che segue è vera. Rispondi soltanto vero oppure falso.",
        yes_or_no(words=("vero", "falso")),
        "Tweet: {text}\nAffermazione: l'autore esprime un parere o un sentimento personale.",
    ),
)
_IRONY = (
    _own("own", "Il tweet è ironico? Rispondi sì o no.", yes_or_no()),
    _own(
        "own-class",
        "Chi scrive intende ciò che dice oppure fa dell'ironia? Rispondi con una sola parola: letterale oppure ironico.",
        yes_or_no(words=("ironico", "letterale")),
        "Testo: {text}",
    ),
    _own(
        "own-statement",
        "Leggi il tweet e di' se l'affermazione che segue è vera. Rispondi soltanto vero oppure falso.",
        yes_or_no(words=("vero", "falso")),
        "Tweet: {text}\nAffermazione: l'autore usa l'ironia.",
    ),
)

TASKS = (
    _task(
        "sentipolc_polarity",
        "polarity",
        lambda scored: POLARITY[scored["opos"], scored["oneg"]],
        Metric("mean_f1_opos_oneg", polarity_counts, of_sums(mean_f1_of_fields(2))),
        _POLARITY,
    ),
    _task("sentipolc_subjectivity", "subjectivity", lambda scored: scored["subj"], macro_f1((0, 1)), _SUBJECTIVITY),
    _task("sentipolc_irony", "irony", lambda scored: scored["iro"], macro_f1((0, 1)), _IRONY),
)
