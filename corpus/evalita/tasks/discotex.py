"""DisCoTEX, EVALITA 2023: does a sentence follow a text (1), and how coherent do people find a text (2)?

Format: TSV with csv quoting; quoted fields hold newlines, and the last paragraph break is part of the text. Training ids
are ``talk#offset`` (TED) or ``page#…#…`` (Wikipedia); up to 44 rows share a talk, so talk or page is the group, over both
sub-tasks. Test ids are anonymous. The file of sub-task 2 has SCORE where the README says MEAN and STDEV. Metrics:
accuracy; Pearson and Spearman. No licence is stated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from corpus.evalita.answers.choice import yes_or_no
from corpus.evalita.answers.numbers import NumberAnswer, Scale
from corpus.evalita.baselines import MAJORITY, RANDOM, mean_number, word_overlap
from corpus.evalita.formats.tables import binary, number_in, separated
from corpus.evalita.metrics.classification import accuracy
from corpus.evalita.metrics.correlation import pearson, spearman
from corpus.evalita.task import Access, Item, Split, Task, TaskFile, Wording

FOLDER = "evalita/discotex/data"
WIKI_TRAIN = f"{FOLDER}/train/discotex_1_wiki_train_set_release.tsv"
FILES_1: tuple[tuple[Split, str, str], ...] = (
    ("train", "ted", f"{FOLDER}/train/discotex_1_ted_train_set_release.tsv"),
    ("train", "wiki", WIKI_TRAIN),
    ("test", "ted", f"{FOLDER}/test/gold/discotex_1_ted_test_set_release.tsv"),
    ("test", "wiki", f"{FOLDER}/test/gold/discotex_1_wiki_test_set_release.tsv"),
)
FILES_2: dict[Split, str] = {
    "train": f"{FOLDER}/train/discotex_2_train_clean_release.tsv",
    "test": f"{FOLDER}/test/gold/discotex_2_test_set_release.tsv",
}
LOW, HIGH = 1, 5
LICENCE = "none stated"


def _group(row_id: str) -> str:
    return f"discotex/{row_id.partition('#')[0]}"


def read_pairs(files: Mapping[str, Path]) -> Iterator[Item]:
    """Rows of sub-task 1; the Wikipedia training file is read where it is there."""
    for split, domain, name in FILES_1:
        if name not in files:
            continue
        for number, row in separated(files[name], ("ID", "PROMPT", "TARGET", "CLASS"), "\t"):
            fields = {"prompt": row["PROMPT"], "target": row["TARGET"], "domain": domain}
            yield Item(f"discotex_1/{row['ID']}", split, _group(row["ID"]), fields, binary(files[name], number, "CLASS", row["CLASS"]), LICENCE)


def read_texts(files: Mapping[str, Path]) -> Iterator[Item]:
    """Rows of sub-task 2."""
    for split, name in FILES_2.items():
        for number, row in separated(files[name], ("ID", "TEXT", "SCORE"), "\t"):
            score = number_in(files[name], number, "SCORE", row["SCORE"], LOW, HIGH)
            yield Item(f"discotex_2/{row['ID']}", split, _group(row["ID"]), {"text": row["TEXT"]}, score, LICENCE)


def _sentences(fields: Mapping[str, Any]) -> list[str]:
    """Rough sentences, for a baseline only."""
    return [part for part in re.split(r"(?<=[.!?])\s+", fields["text"].strip()) if part]


_SCALE = Scale(LOW, HIGH)
_ACCESS = Access("open", "https://github.com/davidecolla/DisCoTex")

TASKS = (
    Task(
        name="discotex_1",
        title="DisCoTEX (EVALITA 2023), 1: last sentence",
        files=(
            TaskFile(FILES_1[0][2], "bad0cfe525b0d72831631e11fa122af4dc522532479e9b516a2ab9cda70e6bd2"),
            TaskFile(WIKI_TRAIN, optional=True),
            TaskFile(FILES_1[2][2], "4834dd5557d32e1308a8f750cefaafb672ccbd842e3fc973062edef3702d68b7"),
            TaskFile(FILES_1[3][2], "7cbb756772378d78640841679db1d28d12b5fe841403603a94d7bdc9354b01a4"),
        ),
        read=read_pairs,
        wordings=(
            Wording(
                name="own",
                source="Transumanza",
                instruction="L'ultima frase è la continuazione del testo che la precede? Rispondi sì o no.",
                input="Testo: {prompt}\nUltima frase: {target}",
                answer=yes_or_no(),
            ),
            Wording(
                name="extremita",
                source="ExtremITA (crux82/ExtremITA@b618b9c)",
                instruction='Le due frasi seguenti, separate da "[SEP]", sono coerenti tra loro? Rispondi sì o no.',
                input="{prompt} [SEP] {target}",
                answer=yes_or_no(),
            ),
            Wording(
                name="own-judgement",
                source="Transumanza",
                instruction=(
                    "Leggi il brano e la frase proposta come seguito. Scrivi «coerente» se la frase veniva davvero dopo il brano, «incoerente» se è stata presa da un altro punto."
                ),
                input="Brano: {prompt}\nSeguito proposto: {target}",
                answer=yes_or_no(words=("coerente", "incoerente")),
            ),
        ),
        metrics=(accuracy(),),
        texts=lambda fields: (fields["prompt"], fields["target"]),
        baselines=(MAJORITY, RANDOM),
        licences=(LICENCE,),
        access=_ACCESS,
        source="davidecolla/DisCoTex",
        revision="e113774f",
        rows={"train/ted": 8000, "test/ted": 800, "test/wiki": 800},
        subset="domain",
        unverified=("the Wikipedia training file of sub-task 1: its name, columns and size",),
    ),
    Task(
        name="discotex_2",
        title="DisCoTEX (EVALITA 2023), 2: human score",
        files=(
            TaskFile(FILES_2["train"], "900aa31eb7c9082c234ea92388ea611032f46c4d0a55274287fe7522565481d9"),
            TaskFile(FILES_2["test"], "88095f67200099e0a87e54ce5925413f359e5c01df3ee1102f4d73eab06f9a57"),
        ),
        read=read_texts,
        wordings=(
            Wording(
                name="own",
                source="Transumanza",
                instruction=(
                    "Quanto è coerente il testo per chi lo legge? Rispondi con la media dei voti dei lettori, un numero da 1 (per nulla coerente) a 5 (del tutto "
                    "coerente), se occorre con la virgola."
                ),
                input="{text}",
                answer=NumberAnswer(_SCALE),
            ),
            Wording(
                name="extremita",
                source="ExtremITA (crux82/ExtremITA@b618b9c)",
                instruction="Quanto è coerente questa frase, su una scala da 0 a 5?",
                input="{text}",
                answer=NumberAnswer(Scale(LOW, HIGH, comma=False)),
                faults=("the instruction says 0 to 5, the scores lie between 1 and 5",),
            ),
            Wording(
                name="extremita-corrected",
                source="ExtremITA, with the scale of the data",
                instruction="Quanto è coerente questo testo, su una scala da 1 a 5?",
                input="{text}",
                answer=NumberAnswer(Scale(LOW, HIGH, comma=False)),
            ),
            Wording(
                name="own-rounded",
                source="Transumanza",
                instruction="Dai al testo un voto di coerenza da 1 a 5, con una cifra dopo la virgola. Rispondi soltanto con il voto.",
                input="Testo: {text}",
                answer=NumberAnswer(Scale(LOW, HIGH, decimals=1)),
                lossless=False,
                precision=0.1,
            ),
        ),
        metrics=(pearson(LOW, HIGH), spearman(LOW, HIGH)),
        texts=lambda fields: (fields["text"],),
        baselines=(mean_number(), word_overlap(_sentences, LOW, HIGH)),
        licences=(LICENCE,),
        access=_ACCESS,
        source="davidecolla/DisCoTex",
        revision="e113774f",
        rows={"train": 864, "test": 200},
    ),
)
