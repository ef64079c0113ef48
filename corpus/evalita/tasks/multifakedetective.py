"""MULTI-Fake-DetectiVE, EVALITA 2023, sub-task 1: how credible is the event that a tweet or an article reports?

Only texts are used: pictures, and sub-task 2 on the relation of text and picture, need a model that sees. The training file
holds more than a hundred ids twice (published), once for each picture: the first row of an id counts. Metric: weighted F1,
unverified.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from corpus.evalita.answers.choice import ChoiceAnswer
from corpus.evalita.baselines import MAJORITY, RANDOM
from corpus.evalita.formats.tables import filled, one_of, separated
from corpus.evalita.metrics.classification import class_counts, macro_f1, weighted_f1
from corpus.evalita.metrics.metric import Metric, of_sums
from corpus.evalita.task import Access, Item, Split, Task, TaskFile, Wording
from corpus.evalita.texts import text_group

FOLDER = "evalita/multifakedetective"
FILES: dict[Split, str] = {"train": f"{FOLDER}/task1_train.tsv", "test": f"{FOLDER}/task1_test_labelled.tsv"}
LABELS = {0: "certamente falso", 1: "probabilmente falso", 2: "probabilmente vero", 3: "certamente vero"}
LICENCE = "none stated"


def read(files: Mapping[str, Path]) -> Iterator[Item]:
    """The first row of each id; the test file is read where it is there."""
    for split, name in FILES.items():
        seen: set[str] = set()
        for number, row in separated(files[name], ("ID", "Text", "Label"), "\t") if name in files else ():
            if row["ID"] in seen:
                continue
            seen.add(row["ID"])
            text = filled(files[name], number, "Text", row["Text"])
            label = int(one_of(files[name], number, "Label", row["Label"], [str(label) for label in LABELS]))
            yield Item(f"multifakedetective/{split}/{row['ID']}", split, text_group("multifakedetective", text), {"text": text}, label, LICENCE)


TASKS = (
    Task(
        name="multifakedetective",
        title="MULTI-Fake-DetectiVE (EVALITA 2023), 1: credibility, text only",
        files=(TaskFile(FILES["train"]), TaskFile(FILES["test"], optional=True)),
        read=read,
        wordings=(
            Wording(
                name="own",
                source="Transumanza",
                instruction=(
                    "Quanto è credibile il fatto riportato nel testo? Rispondi con una di queste voci: certamente falso, probabilmente falso, probabilmente vero, certamente vero."
                ),
                input="{text}",
                answer=ChoiceAnswer(LABELS),
            ),
            Wording(
                name="extremita",
                source="ExtremITA (crux82/ExtremITA@b618b9c)",
                instruction='L\'evento riportato nel testo è "certamente vero", "probabilmente vero", "probabilmente falso", o "certamente falso"?',
                input="{text}",
                answer=ChoiceAnswer(LABELS),
            ),
        ),
        metrics=(
            Metric("weighted_f1", class_counts(tuple(LABELS)), of_sums(weighted_f1), unverified="the organisers' scorer was not found; participants report weighted F1"),
            macro_f1(tuple(LABELS), unverified="beside the weighted one"),
        ),
        texts=lambda fields: (fields["text"],),
        baselines=(MAJORITY, RANDOM),
        licences=(LICENCE,),
        access=Access("request", "https://www.evalita.it/campaigns/evalita-2023/"),
        source="MULTI-Fake-DetectiVE organisers",
        revision="as given out",
        unverified=("the files' names and columns (ID, Text, Label)", "the numbers of rows", "that repeated ids differ in their picture alone"),
    ),
)
