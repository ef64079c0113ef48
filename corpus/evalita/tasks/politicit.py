"""PoliticIT, EVALITA 2023: gender and political side (two and four classes) of whoever wrote a cluster of tweets.

Format: csv ``label, gender, ideology_binary, ideology_multiclass, tweet``; ``label`` is the cluster, which mixes several users of
the same traits. A cluster is put into chunks of whole tweets, none of them lost; the answers to its chunks are combined by
majority, and clusters are scored. Metric: macro F1 of each trait.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from corpus.evalita.answers.choice import ChoiceAnswer
from corpus.evalita.baselines import MAJORITY, RANDOM
from corpus.evalita.errors import EvalitaError
from corpus.evalita.formats.tables import filled, one_of, separated
from corpus.evalita.metrics.classification import macro_f1
from corpus.evalita.task import Access, Item, Label, Split, Task, TaskFile, Wording

FOLDER = "evalita/politicit"
FILES: dict[Split, str] = {"train": f"{FOLDER}/politicit_train.csv", "test": f"{FOLDER}/politicit_test.csv"}
CHUNK_WORDS = 150
"""Whole tweets are joined up to so many words; ExtremITA's chunks have at most 200 spaCy tokens."""
TRAITS: dict[str, dict[str, str]] = {
    "gender": {"male": "uomo", "female": "donna"},
    "ideology_binary": {"left": "sinistra", "right": "destra"},
    "ideology_multiclass": {"left": "sinistra", "moderate_left": "centrosinistra", "moderate_right": "centrodestra", "right": "destra"},
}
"""Columns, their classes, and the words of ExtremITA's instruction."""
LICENCE = "none stated"


def clusters(path: Path) -> dict[str, tuple[dict[str, str], list[str]]]:
    """Traits and tweets of each cluster, in file order.

    Raises:
        EvalitaError: a trait is none of its classes, or a cluster has two of them.
    """
    found: dict[str, tuple[dict[str, str], list[str]]] = {}
    for number, row in separated(path, ("label", *TRAITS, "tweet"), ","):
        traits = {column: one_of(path, number, column, row[column], words) for column, words in TRAITS.items()}
        known, tweets = found.setdefault(filled(path, number, "label", row["label"]), (traits, []))
        if known != traits:
            raise EvalitaError(f"{path}, row {number}: cluster {row['label']!r} has {traits} here and {known} before")
        tweets.append(filled(path, number, "tweet", row["tweet"]))
    return found


def chunks(tweets: Sequence[str]) -> list[list[str]]:
    """All tweets, in order, in chunks of at most ``CHUNK_WORDS`` words; a longer tweet is a chunk of its own."""
    found: list[list[str]] = []
    words = 0
    for tweet in tweets:
        count = len(tweet.split())
        if found and words + count <= CHUNK_WORDS:
            found[-1].append(tweet)
            words += count
        else:
            found.append([tweet])
            words = count
    return found


def vote(answers: Sequence[Label | None]) -> Label | None:
    """The most frequent answer that holds a value; of equals, the one that came first; none where all failed."""
    counts = Counter(answer for answer in answers if answer is not None)
    return max(counts, key=lambda answer: counts[answer]) if counts else None


def reader(name: str, column: str) -> Callable[[Mapping[str, Path]], Iterator[Item]]:
    """A reader of one trait; the three traits of a cluster share its group."""

    def read(files: Mapping[str, Path]) -> Iterator[Item]:
        for split, file in FILES.items():
            for cluster, (traits, tweets) in clusters(files[file]).items() if file in files else ():
                for index, chunk in enumerate(chunks(tweets)):
                    item_id = f"{name}/{split}/{cluster}/{index:03d}"
                    yield Item(item_id, split, f"politicit/{split}/{cluster}", {"text": "\n".join(chunk)}, traits[column], LICENCE)

    return read


def _task(name: str, title: str, column: str, instruction: str) -> Task:
    return Task(
        name=name,
        title=f"PoliticIT (EVALITA 2023), {title}",
        files=(TaskFile(FILES["train"]), TaskFile(FILES["test"], optional=True)),
        read=reader(name, column),
        wordings=(Wording(name="own", source="Transumanza", instruction=instruction, input="{text}", answer=ChoiceAnswer(TRAITS[column])),),
        metrics=(macro_f1(tuple(TRAITS[column])),),
        texts=lambda fields: (fields["text"],),
        baselines=(MAJORITY, RANDOM),
        licences=(LICENCE,),
        access=Access("request", "https://codalab.lisn.upsaclay.fr/competitions/8507"),
        source="CodaLab 8507",
        revision="as given out",
        combine=vote,
        unverified=(
            "the files' names, and the spelling of columns and classes",
            "the numbers of clusters and tweets",
            "the average of the three traits, by which the organisers rank, is not given",
        ),
    )


TASKS = (
    _task(
        "politicit_gender",
        "gender",
        "gender",
        "I tweet sono di persone dello stesso genere. Chi li ha scritti è uomo o donna? Rispondi con una sola parola.",
    ),
    _task(
        "politicit_binary",
        "ideology, two classes",
        "ideology_binary",
        "I tweet sono di persone della stessa parte politica. È la destra o la sinistra? Rispondi con una sola parola.",
    ),
    _task(
        "politicit_multi",
        "ideology, four classes",
        "ideology_multiclass",
        "I tweet sono di persone della stessa area politica: sinistra, centrosinistra, centrodestra o destra? Rispondi con una sola parola.",
    ),
)
