"""HaSpeeDe 3, EVALITA 2023: does a tweet express hatred? Political tweets, and religious ones as another domain.

Format: csv with ``anonymized_tweet_id``, ``anonymized_text``, ``label`` and ``dataset``. The author is the group where a file has
the column ``anonymized_user_id``. Only the text is used: what the contextual track adds (author, retweets) is not. Metric:
mean of the two classes' F1 (published), for each test set by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from corpus.evalita.answers.choice import yes_or_no
from corpus.evalita.baselines import MAJORITY, RANDOM
from corpus.evalita.formats.tables import binary, filled, separated
from corpus.evalita.metrics.classification import macro_f1
from corpus.evalita.task import Access, Item, Split, Task, TaskFile, Wording

FOLDER = "evalita/haspeede3"
FILES: tuple[tuple[Split, str, str], ...] = (
    ("train", "political", f"{FOLDER}/haspeede3_train.csv"),
    ("test", "political", f"{FOLDER}/haspeede3_test_political.csv"),
    ("test", "religious", f"{FOLDER}/haspeede3_test_religious.csv"),
)
AUTHOR = "anonymized_user_id"
LICENCE = "none stated"


def read(files: Mapping[str, Path]) -> Iterator[Item]:
    """Tweets; the test files are read where they are there."""
    for split, domain, name in FILES:
        for number, row in separated(files[name], ("anonymized_tweet_id", "anonymized_text", "label", "dataset"), ",") if name in files else ():
            tweet, author = row["anonymized_tweet_id"], row.get(AUTHOR, "").strip()
            fields = {"text": filled(files[name], number, "anonymized_text", row["anonymized_text"]), "domain": domain}
            group = f"haspeede3/author/{author}" if author else f"haspeede3/{tweet}"
            yield Item(f"haspeede3/{domain}/{split}/{tweet}", split, group, fields, binary(files[name], number, "label", row["label"]), LICENCE)


TASKS = (
    Task(
        name="haspeede3",
        title="HaSpeeDe 3 (EVALITA 2023), A textual and B religious",
        files=tuple(TaskFile(name, optional=split == "test") for split, _, name in FILES),
        read=read,
        wordings=(
            Wording(
                name="own",
                source="Transumanza",
                instruction="Il tweet esprime odio verso una persona o un gruppo? Rispondi sì o no.",
                input="{text}",
                answer=yes_or_no(),
            ),
            Wording(
                name="extremita",
                source="ExtremITA (crux82/ExtremITA@b618b9c)",
                instruction="In questo testo si esprime odio? Rispondi sì o no.",
                input="{text}",
                answer=yes_or_no(),
            ),
            Wording(
                name="evalita-llm",
                source="Evalita-LLM, hs prompt 2 (arXiv 2502.02289; lm-evaluation-harness@4e7e0d47f)",
                instruction="Devi svolgere un compito di identificazione di incitamento all'odio.",
                input="C'è incitamento all'odio nel seguente tweet: '{text}'?",
                answer=yes_or_no(words=("Vero", "Falso")),
                names_labels=False,
            ),
        ),
        metrics=(macro_f1((0, 1)),),
        texts=lambda fields: (fields["text"],),
        baselines=(MAJORITY, RANDOM),
        licences=(LICENCE,),
        access=Access("request", "https://github.com/mirkolai/EVALITA2023-HaSpeeDe"),
        source="mirkolai/EVALITA2023-HaSpeeDe3",
        revision="3275d50",
        rows={"train/political": 5600, "test/political": 1400, "test/religious": 3000},
        subset="domain",
        pooled=False,
        unverified=("the files' names", f"whether a file has the author ({AUTHOR})"),
    ),
)
