"""EMit, EVALITA 2023: which emotions does a tweet about television express (A), and what is their target (B)?

Format: csv with ten emotion columns, Direction and Topic, each 0 or 1. The same tweets serve both sub-tasks. The two test
sets, in and out of domain, are scored by themselves. Metric: macro F1 over labels (``evaluate.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from corpus.evalita.answers.choice import ChoiceAnswer
from corpus.evalita.answers.labels import LabelSetAnswer
from corpus.evalita.baselines import MAJORITY, RANDOM
from corpus.evalita.formats.tables import binary, filled, separated
from corpus.evalita.metrics.classification import label_counts, mean_f1
from corpus.evalita.metrics.metric import Metric, of_sums
from corpus.evalita.task import Access, Item, Label, Split, Task, TaskFile, Wording

FOLDER = "evalita/emit"
FILES: tuple[tuple[Split, str, str], ...] = (
    ("train", "in domain", f"{FOLDER}/emit_train.csv"),
    ("test", "in domain", f"{FOLDER}/emit_test_in_domain.csv"),
    ("test", "out of domain", f"{FOLDER}/emit_test_out_of_domain.csv"),
)
EMOTIONS = {
    "Anger": "rabbia", "Anticipation": "anticipazione", "Disgust": "disgusto", "Fear": "paura", "Joy": "gioia",
    "Love": "amore", "Neutral": "neutro", "Sadness": "tristezza", "Surprise": "sorpresa", "Trust": "fiducia",
}  # fmt: skip
"""Columns, and their words in ExtremITA's instruction."""
TARGETS = ("Direction", "Topic")
LICENCE = "none stated"


def reader(name: str, columns: Sequence[str], label: Callable[[list[str]], Label]) -> Callable[[Mapping[str, Path]], Iterator[Item]]:
    """A reader of one sub-task; the sub-tasks of a tweet share its group."""

    def read(files: Mapping[str, Path]) -> Iterator[Item]:
        for split, domain, file in FILES:
            for number, row in separated(files[file], ("id", "text", *columns), ",") if file in files else ():
                fields = {"text": filled(files[file], number, "text", row["text"]), "domain": domain}
                found = [column for column in columns if binary(files[file], number, column, row[column])]
                yield Item(f"{name}/{split}/{row['id']}", split, f"emit/{row['id']}", fields, label(found), LICENCE)

    return read


def _task(name: str, title: str, columns: Sequence[str], wordings: tuple[Wording, ...]) -> Task:
    return Task(
        name=name,
        title=f"EMit (EVALITA 2023), {title}",
        files=tuple(TaskFile(file, optional=split == "test") for split, _, file in FILES),
        read=reader(name, columns, sorted),
        wordings=wordings,
        metrics=(Metric("macro_f1", label_counts(columns), of_sums(mean_f1)),),
        texts=lambda fields: (fields["text"],),
        baselines=(MAJORITY, RANDOM),
        licences=(LICENCE,),
        access=Access("request", "https://github.com/oaraque/emit"),
        source="oaraque/emit",
        revision="ace9b43",
        subset="domain",
        pooled=False,
        unverified=("the files' names and the spelling of the columns", "some 5,966 training rows, 1,000 and 1,000 test rows (guidelines)"),
    )


_EMOTIONS = LabelSetAnswer({**EMOTIONS}, none="nessuna")
_TARGET_WORDS = (("Direction",), ("Topic",), ("Direction", "Topic"), ())


class _TargetAnswer(ChoiceAnswer):
    """One word for each of the four sets of targets."""

    def encode(self, fields: Mapping[str, object], label: Label) -> str:
        return super().encode(fields, tuple(label))

    def decode(self, fields: Mapping[str, object], answer: str) -> Label:
        value = super().decode(fields, answer)
        return list(value) if isinstance(value, tuple) else value


def _targets(*words: str) -> ChoiceAnswer:
    return _TargetAnswer(dict(zip(_TARGET_WORDS, words, strict=True)))


TASKS = (
    _task(
        "emit_a",
        "A: emotions",
        tuple(EMOTIONS),
        (
            Wording(
                name="own",
                source="Transumanza",
                instruction=(
                    "Quali emozioni esprime il testo? Scegline una o più tra rabbia, anticipazione, disgusto, paura, gioia, amore, neutro, tristezza, sorpresa, fiducia, "
                    "in quest'ordine, separate da una virgola. Se nessuna è adatta, scrivi «nessuna»."
                ),
                input="{text}",
                answer=_EMOTIONS,
            ),
            Wording(
                name="extremita",
                source="ExtremITA (crux82/ExtremITA@b618b9c); emojis stay as they are",
                instruction=(
                    "Quali emozioni sono espresse in questo testo? Puoi scegliere una o più emozioni tra \"rabbia\", \"anticipazione\", \"disgusto\", \"paura\", "
                    "\"gioia\", \"amore\", \"tristezza\", \"sorpresa\", \"fiducia\", o \"neutro\"."
                ),
                input="{text}",
                answer=LabelSetAnswer(dict(sorted(EMOTIONS.items(), key=lambda entry: entry[1])), none="nessuna", separator=" "),
                faults=("the instruction does not say how to separate emotions, nor what to answer where none is adequate",),
            ),
        ),
    ),
    _task(
        "emit_b",
        "B: target",
        TARGETS,
        (
            Wording(
                name="own",
                source="Transumanza",
                instruction=(
                    "A che cosa si riferiscono le emozioni del testo? Rispondi «regia» se riguardano la realizzazione dell'opera, «argomento» se riguardano ciò di cui "
                    "parla, «entrambi» oppure «nessuno dei due»."
                ),
                input="{text}",
                answer=_targets("regia", "argomento", "entrambi", "nessuno dei due"),
            ),
            Wording(
                name="extremita",
                source="ExtremITA (crux82/ExtremITA@b618b9c), its answers made to be the words that the instruction offers",
                instruction='Di cosa parla il testo, tra "direzione", "argomento", "entrambi", "non specificato"?',
                input="{text}",
                answer=_targets("direzione", "argomento", "entrambi", "non specificato"),
            ),
        ),
    ),
)
