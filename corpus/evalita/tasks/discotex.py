"""DisCoTEX, EVALITA 2023, sub-task 1: does a sentence follow a text?

Format: TSV with csv quoting; quoted fields hold newlines and the last paragraph break is part of the text. Training ids
are ``talk#offset`` (TED); up to 44 rows share a talk, so the talk is the group. Test ids are anonymous. Metric: accuracy.
No licence is stated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from corpus.evalita.answers import yes_or_no
from corpus.evalita.formats import binary, separated
from corpus.evalita.metrics import ACCURACY
from corpus.evalita.task import Access, Item, Split, Task, Wording, majority_class

FOLDER = "evalita/discotex/data"
FILES: tuple[tuple[Split, str, str], ...] = (
    ("train", "ted", f"{FOLDER}/train/discotex_1_ted_train_set_release.tsv"),
    ("test", "ted", f"{FOLDER}/test/gold/discotex_1_ted_test_set_release.tsv"),
    ("test", "wiki", f"{FOLDER}/test/gold/discotex_1_wiki_test_set_release.tsv"),
)
COLUMNS = ("ID", "PROMPT", "TARGET", "CLASS")
LICENCE = "none stated"


def read(files: Mapping[str, Path]) -> Iterator[Item]:
    """Rows of the TED training file and of both gold test files."""
    for split, domain, name in FILES:
        for number, row in separated(files[name], COLUMNS, "\t"):
            fields = {"prompt": row["PROMPT"], "target": row["TARGET"], "domain": domain}
            group = f"discotex/{row['ID'].split('#')[0]}"
            yield Item(f"discotex/{row['ID']}", split, group, fields, binary(files[name], number, "CLASS", row["CLASS"]), LICENCE)


TASK = Task(
    name="discotex",
    title="DisCoTEX (EVALITA 2023), last sentence",
    files=tuple(name for _, _, name in FILES),
    read=read,
    wordings=(
        Wording(
            name="extremita",
            source="ExtremITA (crux82/ExtremITA@b618b9c)",
            instruction='Le due frasi seguenti, separate da "[SEP]", sono coerenti tra loro? Rispondi sì o no.',
            input="{prompt} [SEP] {target}",
            answer=yes_or_no(),
        ),
        Wording(
            name="own",
            source="Transumanza",
            instruction="L'ultima frase è la continuazione del testo che la precede? Rispondi sì o no.",
            input="Testo: {prompt}\nUltima frase: {target}",
            answer=yes_or_no(),
        ),
    ),
    metric=ACCURACY,
    texts=lambda fields: (fields["prompt"], fields["target"]),
    baseline=majority_class,
    baseline_name="most frequent training class",
    licences=(LICENCE,),
    access=Access("open", "https://github.com/davidecolla/DisCoTex"),
    source="davidecolla/DisCoTex",
    revision="e113774f",
    subset="domain",
)
