"""WiC-ITA, EVALITA 2023, binary sub-task: does a word mean the same in two sentences?

Format: JSON lines; ``start``/``end`` are character offsets, end exclusive. The test file has no labels; they are in
``gold_truth/``. Metric: ``evaluation.py`` of the organisers, the unweighted mean of the two classes' F1 (its key says
"weighted"). No licence is stated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from corpus.evalita.answers import yes_or_no
from corpus.evalita.formats import json_lines
from corpus.evalita.metrics import Metric, class_counts, mean_f1
from corpus.evalita.task import Access, EvalitaError, Item, Split, Task, Wording, majority_class

FOLDER = "evalita/wic-ita"
FILES: dict[Split, str] = {
    "train": f"{FOLDER}/binary/train.jsonl",
    "dev": f"{FOLDER}/binary/dev.jsonl",
    "test": f"{FOLDER}/binary/test.jsonl",
}
GOLD = f"{FOLDER}/gold_truth/binary/test.jsonl"
COLUMNS: dict[str, type] = {
    "id": str, "lemma": str, "sentence1": str, "sentence2": str, "start1": int, "end1": int, "start2": int, "end2": int
}  # fmt: skip
LICENCE = "none stated"


def read(files: Mapping[str, Path]) -> Iterator[Item]:
    """Items of the three splits; the test labels are joined by id."""
    gold = {row["id"]: _label(files[GOLD], number, row) for number, row in json_lines(files[GOLD], {"id": str, "label": int})}
    for split, name in FILES.items():
        path = files[name]
        for number, row in json_lines(path, COLUMNS if split == "test" else {**COLUMNS, "label": int}):
            for side in ("1", "2"):
                if not 0 <= row[f"start{side}"] < row[f"end{side}"] <= len(row[f"sentence{side}"]):
                    raise EvalitaError(
                        f"{path}, line {number}: start{side} {row[f'start{side}']} and end{side} {row[f'end{side}']} lie outside sentence{side}"
                    )
            if split == "test" and row["id"] not in gold:
                raise EvalitaError(f"{path}, line {number}: id {row['id']!r} has no label in {files[GOLD]}")
            label = gold[row["id"]] if split == "test" else _label(path, number, row)
            item_id = f"wic_ita/{row['id']}"
            fields = {column: row[column] for column in COLUMNS if column != "id"}
            yield Item(item_id, split, item_id, fields, label, LICENCE)


def _label(path: Path, number: int, row: Mapping[str, Any]) -> int:
    if row["label"] not in (0, 1):
        raise EvalitaError(f"{path}, line {number}: column 'label' is {row['label']!r}, expected 0 or 1")
    return int(row["label"])


def marked(sentence: str, start: int, end: int) -> str:
    """A sentence with its target between ``[TGTS]`` and ``[TGTE]``; without the markers it is the sentence, byte for byte."""
    return f"{sentence[:start]}[TGTS] {sentence[start:end]} [TGTE]{sentence[end:]}"


def prompt_fields(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields, the marked sentences and the two target words."""
    first, second = ((fields[f"sentence{side}"], fields[f"start{side}"], fields[f"end{side}"]) for side in "12")
    return {
        **fields,
        "marked1": marked(*first),
        "marked2": marked(*second),
        "word1": first[0][first[1] : first[2]],
        "word2": second[0][second[1] : second[2]],
    }


def mirror(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same pair with its sentences swapped, which has the same label (as ExtremITA's training set had it)."""
    swap = {"1": "2", "2": "1"}
    return {name[:-1] + swap[name[-1]] if name[-1] in swap else name: value for name, value in fields.items()}


TASK = Task(
    name="wic_ita",
    title="WiC-ITA (EVALITA 2023), binary",
    files=(*FILES.values(), GOLD),
    read=read,
    wordings=(
        Wording(
            name="extremita",
            # The instruction named [TGTS] and [TGTE] while the data had [BT1], [ET1], [BT2] and [ET2], and [SEP] was not named.
            source="ExtremITA (crux82/ExtremITA@b618b9c), its markers made to agree with the input",
            instruction="La parola compresa tra [TGTS] e [TGTE] ha lo stesso significato in entrambe le frasi, separate da [SEP]? Rispondi sì o no.",
            input="{marked1} [SEP] {marked2}",
            answer=yes_or_no(),
        ),
        Wording(
            name="own",
            source="Transumanza",
            instruction=(
                "Confronta il significato di «{word1}» nella prima frase con quello di «{word2}» nella seconda. Il significato è lo stesso? Rispondi soltanto «sì» oppure «no»."
            ),
            input="Prima frase: {sentence1}\nSeconda frase: {sentence2}",
            answer=yes_or_no(),
        ),
        Wording(
            name="evalita-llm",
            source="Evalita-LLM, wic prompt 2 (arXiv 2502.02289; lm-evaluation-harness@4e7e0d47f)",
            instruction="Devi determinare se una stessa parola usata in due frasi differenti ha lo stesso significato in entrambi i contesti.",
            input="La parola: '{word1}' nella frase: '{sentence1}' ha lo stesso significato della parola: '{word2}' nella frase: '{sentence2}'?",
            answer=yes_or_no(capital=True),
            names_labels=False,
        ),
    ),
    metric=Metric("mean_f1", class_counts((0, 1)), mean_f1),
    texts=lambda fields: (fields["sentence1"], fields["sentence2"]),
    baseline=majority_class,
    baseline_name="most frequent training class",
    licences=(LICENCE,),
    access=Access("open", "https://github.com/wic-ita/data"),
    source="wic-ita/data",
    revision="3a9ba283",
    prompt_fields=prompt_fields,
    mirror=mirror,
)
