"""EmotivITA, EVALITA 2023: valence, arousal and dominance of a sentence, each from 1 to 5.

The sub-tasks (one dimension at a time, or all three) differ in how a system is trained; they share data and scores.
Metric: Pearson's r of each dimension, unverified.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from corpus.evalita.answers.numbers import NumbersAnswer, Scale
from corpus.evalita.baselines import mean_number
from corpus.evalita.formats.tables import filled, number_in, separated
from corpus.evalita.metrics.correlation import pearson
from corpus.evalita.task import Access, Item, Label, Split, Task, TaskFile, Wording
from corpus.evalita.texts import text_group

FOLDER = "evalita/emotivita"
FILES: dict[Split, str] = {"train": f"{FOLDER}/emotivita_development.csv", "test": f"{FOLDER}/emotivita_test.csv"}
DIMENSIONS = {"V": ("valence", "valenza"), "A": ("arousal", "stimolo"), "D": ("dominance", "controllo")}
"""Columns, the dimensions' names, and their words in ExtremITA's instruction."""
LOW, HIGH = 1, 5
LICENCE = "none stated"


def read(files: Mapping[str, Path]) -> Iterator[Item]:
    """Sentences with their three values; the test file is read where it is there."""
    for split, name in FILES.items():
        for number, row in separated(files[name], ("id", "text", *DIMENSIONS), ",") if name in files else ():
            text = filled(files[name], number, "text", row["text"])
            label = [number_in(files[name], number, column, row[column], LOW, HIGH) for column in DIMENSIONS]
            yield Item(f"emotivita/{split}/{row['id']}", split, text_group("emotivita", text), {"text": text}, label, LICENCE)


def _value(place: int) -> Callable[[Label], float]:
    return lambda label: float(label[place])


_WORDS = [word for _, word in DIMENSIONS.values()]

TASKS = (
    Task(
        name="emotivita",
        title="EmotivITA (EVALITA 2023), both sub-tasks",
        files=(TaskFile(FILES["train"]), TaskFile(FILES["test"], optional=True)),
        read=read,
        wordings=(
            Wording(
                name="own",
                source="Transumanza",
                instruction=(
                    "Dai alla frase tre voti da 1 a 5, se occorre con la virgola: la valenza (da spiacevole a piacevole), lo stimolo (da calmo ad agitato) e il "
                    "controllo (da sopraffatto a padrone di sé). Rispondi in questa forma: valenza 3,5; stimolo 2; controllo 4,2."
                ),
                input="{text}",
                answer=NumbersAnswer({word: Scale(LOW, HIGH) for word in _WORDS}),
            ),
            Wording(
                name="extremita",
                source="ExtremITA (crux82/ExtremITA@b618b9c)",
                instruction=(
                    "Scrivi quanta valenza è espressa in questo testo su una scala da 1 a 5, seguito da quanto stimolo è espresso in questo testo su una scala da 1 a 5, "
                    "seguito da quanto controllo è espresso in questo testo su una scala da 1 a 5."
                ),
                input="{text}",
                answer=NumbersAnswer({word: Scale(LOW, HIGH, decimals=1, comma=False) for word in _WORDS}, separator=" ", named=False),
                lossless=False,
                precision=0.1,
            ),
        ),
        metrics=tuple(
            pearson(LOW, HIGH, f"pearson_{name}", _value(place), unverified="the organisers' scorer was not found; a participant also reports the mean error")
            for place, (name, _) in enumerate(DIMENSIONS.values())
        ),
        texts=lambda fields: (fields["text"],),
        baselines=(mean_number(list),),
        licences=(LICENCE,),
        access=Access("request", "https://www.evalita.it/campaigns/evalita-2023/"),
        source="EmotivITA organisers",
        revision="as given out",
        unverified=("the files' names and columns (id, text, V, A, D)", "the size, some 8,000 sentences"),
    ),
)
