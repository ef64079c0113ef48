"""ACTI, EVALITA 2023: does a comment speak of a conspiracy (A), and of which theory (B)?

Format: csv of two Kaggle challenges; their test labels are not given out. Texts of B reappear in A, so the text is the
group. Metric: macro F1, both (published).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from corpus.evalita.answers.choice import ChoiceAnswer, yes_or_no
from corpus.evalita.baselines import MAJORITY, RANDOM
from corpus.evalita.formats.tables import filled, one_of, separated
from corpus.evalita.metrics.classification import macro_f1
from corpus.evalita.task import Access, Item, Split, Task, TaskFile, Wording
from corpus.evalita.texts import text_group

FOLDER = "evalita/acti"
LICENCE = "none stated"
THEORIES = {"0": "Covid", "1": "Qanon", "2": "Russia", "3": "Terra piatta"}
"""As ExtremITA maps names to numbers (tasks/acti.py@b618b9c)."""
_UNVERIFIED = ("the files' names: save the training files, and test files with labels, under the names below", "the column of the id")


def _files(part: str) -> dict[Split, str]:
    return {"train": f"{FOLDER}/subtask{part}_train.csv", "test": f"{FOLDER}/subtask{part}_test_labelled.csv"}


def reader(name: str, part: str, column: str, labels: Mapping[str, int]) -> Callable[[Mapping[str, Path]], Iterator[Item]]:
    """A reader of one sub-task."""

    def read(files: Mapping[str, Path]) -> Iterator[Item]:
        for split, path in ((split, files[file]) for split, file in _files(part).items() if file in files):
            for number, row in separated(path, ("Id", "comment_text", column), ","):
                text = filled(path, number, "comment_text", row["comment_text"])
                label = labels[one_of(path, number, column, row[column], labels)]
                yield Item(f"{name}/{split}/{row['Id']}", split, text_group("acti", text), {"text": text}, label, LICENCE)

    return read


def _task(
    name: str, title: str, part: str, column: str, labels: Mapping[str, int], wordings: tuple[Wording, ...], unverified: tuple[str, ...]
) -> Task:
    files = _files(part)
    return Task(
        name=name,
        title=f"ACTI (EVALITA 2023), {title}",
        files=(TaskFile(files["train"]), TaskFile(files["test"], optional=True)),
        read=reader(name, part, column, labels),
        wordings=wordings,
        metrics=(macro_f1(tuple(labels.values())),),
        texts=lambda fields: (fields["text"],),
        baselines=(MAJORITY, RANDOM),
        licences=(LICENCE,),
        access=Access("request", f"https://www.kaggle.com/competitions/acti-subtask-{part.lower()}"),
        source=f"kaggle: acti-subtask-{part.lower()}",
        revision="as given out",
        unverified=(*_UNVERIFIED, *unverified),
    )


TASKS = (
    _task(
        "acti_a",
        "A: conspiratorial content",
        "A",
        "conspiratorial",
        {"0": 0, "1": 1},
        (
            Wording(
                name="own",
                source="Transumanza",
                instruction="Il commento sostiene o diffonde una teoria del complotto? Rispondi sì o no.",
                input="{text}",
                answer=yes_or_no(),
            ),
            Wording(
                name="extremita",
                source="ExtremITA (crux82/ExtremITA@b618b9c)",
                instruction="In questo testo si parla di una cospirazione? Rispondi sì o no.",
                input="{text}",
                answer=yes_or_no(),
            ),
        ),
        ("1,842 training rows; 460 test rows were counted in public submissions",),
    ),
    _task(
        "acti_b",
        "B: conspiracy theory",
        "B",
        "conspiracy",
        {number: int(number) for number in THEORIES},
        (
            Wording(
                name="own",
                source="Transumanza",
                instruction="Di quale teoria del complotto parla il commento? Rispondi con una di queste voci: Covid, Qanon, Russia, Terra piatta.",
                input="{text}",
                answer=ChoiceAnswer({int(number): theory for number, theory in THEORIES.items()}),
            ),
            Wording(
                name="extremita",
                source="ExtremITA (crux82/ExtremITA@b618b9c), its answers made to be the words that the instruction offers",
                instruction='Di quale teoria cospirazionista parla questo testo, tra "Covid", "Qanon", "Terrapiattista", "Russia"?',
                input="{text}",
                answer=ChoiceAnswer({0: "Covid", 1: "Qanon", 2: "Russia", 3: "Terrapiattista"}),
            ),
        ),
        ("which number is which theory (as ExtremITA maps them)", "810 training rows; 300 test rows were counted in public submissions"),
    ),
)
