"""WiC-ITA, EVALITA 2023: does a word mean the same in two sentences (binary), and how near are its meanings (ranking)?

Format: JSON lines; ``start``/``end`` are character offsets, end exclusive. Test files have no labels; they are in
``gold_truth/``. The English-Italian test sets are scored by themselves. Metrics: ``evaluation.py`` of the organisers,
the unweighted mean of the two classes' F1 (its key says "weighted") and Spearman. No licence is stated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from corpus.evalita.answers.choice import yes_or_no
from corpus.evalita.answers.numbers import NumberAnswer, Scale
from corpus.evalita.baselines import MAJORITY, RANDOM, mean_number, word_overlap
from corpus.evalita.errors import EvalitaError
from corpus.evalita.formats.json_lines import json_lines
from corpus.evalita.metrics.classification import macro_f1
from corpus.evalita.metrics.correlation import spearman
from corpus.evalita.metrics.metric import Metric
from corpus.evalita.task import Access, Baseline, Item, Label, Split, Task, TaskFile, Wording

FOLDER = "evalita/wic-ita"
LANGUAGES = {"it": "", "it-en": "_eng"}
"""Subset by the ending of its file: both sentences Italian, or the second one English."""
COLUMNS: dict[str, type] = {"id": str, "sentence1": str, "sentence2": str, "start1": int, "end1": int, "start2": int, "end2": int}
LEMMAS: dict[str, dict[str, type]] = {"it": {"lemma": str}, "it-en": {"lemma1": str, "lemma2": str}}
LOW, HIGH = 1, 4
LICENCE = "none stated"


def reader(kind: str, column: str, label: Callable[[Path, int, Mapping[str, Any]], Label]) -> Callable[[Mapping[str, Path]], Iterator[Item]]:
    """A reader of one sub-task; both share the groups of their pairs, since they share the pairs."""
    labelled = {column: int if column == "label" else float}

    def read(files: Mapping[str, Path]) -> Iterator[Item]:
        for split, language in (("train", "it"), ("dev", "it"), ("test", "it"), ("test", "it-en")):
            path = files[f"{FOLDER}/{kind}/{split}{LANGUAGES[language]}.jsonl"]
            gold: dict[str, Label] = {}
            wanted = {**COLUMNS, **LEMMAS[language], **({} if split == "test" else labelled)}
            if split == "test":
                answers = files[f"{FOLDER}/gold_truth/{kind}/test{LANGUAGES[language]}.jsonl"]
                gold = {row["id"]: label(answers, number, row) for number, row in json_lines(answers, {"id": str, **labelled})}
            for number, row in json_lines(path, wanted):
                _check_places(path, number, row)
                if split == "test" and row["id"] not in gold:
                    raise EvalitaError(f"{path}, line {number}: id {row['id']!r} has no label in {answers}")
                value = gold[row["id"]] if split == "test" else label(path, number, row)
                yield Item(f"{_NAMES[kind]}/{language}/{row['id']}", _split(split), f"wic_ita/{language}/{row['id']}", _fields(row, language), value, LICENCE)

    return read


_NAMES = {"binary": "wic_ita", "ranking": "wic_ita_ranking"}


def _split(name: str) -> Split:
    return "train" if name == "train" else "dev" if name == "dev" else "test"


def _fields(row: Mapping[str, Any], language: str) -> dict[str, Any]:
    lemmas = {f"lemma{side}": row["lemma"] if language == "it" else row[f"lemma{side}"] for side in "12"}
    return {"language": language, **lemmas, **{column: row[column] for column in COLUMNS if column != "id"}}


def _check_places(path: Path, number: int, row: Mapping[str, Any]) -> None:
    for side in "12":
        if not 0 <= row[f"start{side}"] < row[f"end{side}"] <= len(row[f"sentence{side}"]):
            raise EvalitaError(
                f"{path}, line {number}: start{side} {row[f'start{side}']} and end{side} {row[f'end{side}']} lie outside sentence{side}"
            )


def same_meaning(path: Path, number: int, row: Mapping[str, Any]) -> int:
    """The binary label."""
    if row["label"] not in (0, 1):
        raise EvalitaError(f"{path}, line {number}: column 'label' is {row['label']!r}, expected 0 or 1")
    return int(row["label"])


def nearness(path: Path, number: int, row: Mapping[str, Any]) -> float:
    """The mean judgement of the annotators."""
    if not LOW <= row["score"] <= HIGH:
        raise EvalitaError(f"{path}, line {number}: column 'score' is {row['score']!r}, expected a number from {LOW} to {HIGH}")
    return float(row["score"])


def marked(sentence: str, start: int, end: int, opening: str = "[TGTS]", closing: str = "[TGTE]") -> str:
    """A sentence with its target between two markers; without them it is the sentence, byte for byte."""
    return f"{sentence[:start]}{opening} {sentence[start:end]} {closing}{sentence[end:]}"


def prompt_fields(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields, the marked sentences and the two target words."""
    first, second = ((fields[f"sentence{side}"], fields[f"start{side}"], fields[f"end{side}"]) for side in "12")
    return {
        **fields,
        "marked1": marked(*first),
        "marked2": marked(*second),
        "published1": marked(*first, "[BT1]", "[ET1]"),
        "published2": marked(*second, "[BT2]", "[ET2]"),
        "word1": first[0][first[1] : first[2]],
        "word2": second[0][second[1] : second[2]],
    }


def mirror(fields: Mapping[str, Any], label: Label) -> tuple[Mapping[str, Any], Label]:
    """The same pair with its sentences swapped, which has the same label (as ExtremITA's training set had it)."""
    swap = {"1": "2", "2": "1"}
    return {name[:-1] + swap[name[-1]] if name[-1] in swap else name: value for name, value in fields.items()}, label


def sentences(fields: Mapping[str, Any]) -> tuple[str, str]:
    """Both sentences."""
    return fields["sentence1"], fields["sentence2"]


_PAIR = "Prima frase: {sentence1}\nSeconda frase: {sentence2}"

BINARY = (
    Wording(
        name="own",
        source="Transumanza",
        instruction=(
            "Confronta il significato di «{word1}» nella prima frase con quello di «{word2}» nella seconda. Il significato è lo stesso? Rispondi soltanto «sì» oppure «no»."
        ),
        input=_PAIR,
        answer=yes_or_no(),
    ),
    Wording(
        name="extremita",
        source="ExtremITA (crux82/ExtremITA@b618b9c), without the character that its highlighting doubles",
        instruction="La parola compresa tra [TGTS] e [TGTE] ha lo stesso significato in entrambe le frasi? Rispondi sì o no.",
        input="{published1} [SEP] {published2}",
        answer=yes_or_no(),
        faults=("the instruction names [TGTS] and [TGTE], the input has [BT1], [ET1], [BT2] and [ET2]; [SEP] is not explained",),
    ),
    Wording(
        name="extremita-corrected",
        source="ExtremITA, its markers made to agree with the input",
        instruction="La parola compresa tra [TGTS] e [TGTE] ha lo stesso significato in entrambe le frasi, separate da [SEP]? Rispondi sì o no.",
        input="{marked1} [SEP] {marked2}",
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
)

_SCALE = NumberAnswer(Scale(LOW, HIGH))
RANKING = (
    Wording(
        name="own",
        source="Transumanza",
        instruction=(
            "Quanto è vicino il significato di «{word1}» nella prima frase a quello di «{word2}» nella seconda? Rispondi con un numero da 1 (significati senza "
            "rapporto) a 4 (lo stesso significato), se occorre con la virgola."
        ),
        input=_PAIR,
        answer=_SCALE,
    ),
    Wording(
        name="own-markers",
        source="Transumanza",
        instruction=(
            "Dai un voto da 1 a 4 alla vicinanza di significato delle parole comprese tra [TGTS] e [TGTE] nelle due frasi, separate da [SEP]: 1 se i significati sono "
            "estranei, 4 se coincidono. Rispondi soltanto con il voto."
        ),
        input="{marked1} [SEP] {marked2}",
        answer=_SCALE,
    ),
    Wording(
        name="own-question",
        source="Transumanza",
        instruction="Rispondi soltanto con un numero da 1 a 4: 1 vuol dire significati del tutto diversi, 4 significati identici.",
        input="Nella frase «{sentence1}», la parola «{word1}» ha un significato simile a quello di «{word2}» nella frase «{sentence2}»?",
        answer=_SCALE,
    ),
)

_SHA256 = {
    "binary/train.jsonl": "b21fec606d53e64a68a559ec8dbca440b69b9ab68067e7e290e8dc4896ebf1e0",
    "binary/dev.jsonl": "e613a4b76ef1ce2ab84a7b4d8e1eeacef0fe86f68efed88ddd90c69df6067387",
    "binary/test.jsonl": "da680ed44c6376b9f14f9a53c4cb19b03d7d011a22cc169b874a9bb45abb2113",
    "binary/test_eng.jsonl": "f22e02deb5426b4ccc56073e9ce0e37e3204fac4eab1b5379bacb9780511b0f4",
    "ranking/train.jsonl": "8fa4671085400569644e71cafec639e3df68479c82025a0f5823ba9e29c89de6",
    "ranking/dev.jsonl": "8855bfe14b836775067d8be65d64f2e6d45a6b86628c4a495a4358763f2ecbe8",
    "ranking/test.jsonl": "da680ed44c6376b9f14f9a53c4cb19b03d7d011a22cc169b874a9bb45abb2113",
    "ranking/test_eng.jsonl": "f22e02deb5426b4ccc56073e9ce0e37e3204fac4eab1b5379bacb9780511b0f4",
    "gold_truth/binary/test.jsonl": "df6c7941fdfa070e7b4bea7402bc7d169cfc777a87e65fbfe595606733e50ec1",
    "gold_truth/binary/test_eng.jsonl": "8dee76e347c4d496679ed06c809a1ed3c18abe19bc0a347e96ccc3ff42fb2b46",
    "gold_truth/ranking/test.jsonl": "cb2287f5144b477d4c2e39fd4f688b541eb0a27c86839b2e67a449fe330538b4",
    "gold_truth/ranking/test_eng.jsonl": "f055716b2d581b2d97ef16e69e5b469c3153429a07ff1f94c939d9d7a9ede395",
}


def _task(
    kind: str, read: Callable[[Mapping[str, Path]], Iterator[Item]], wordings: tuple[Wording, ...], metric: Metric, baselines: tuple[Baseline, ...], train: int
) -> Task:
    return Task(
        name=_NAMES[kind],
        title=f"WiC-ITA (EVALITA 2023), {kind}",
        files=tuple(TaskFile(f"{FOLDER}/{name}", sha256) for name, sha256 in _SHA256.items() if f"{kind}/" in name),
        read=read,
        wordings=wordings,
        metrics=(metric,),
        texts=sentences,
        baselines=baselines,
        licences=(LICENCE,),
        access=Access("open", "https://github.com/wic-ita/data"),
        source="wic-ita/data",
        revision="3a9ba283",
        prompt_fields=prompt_fields,
        rows={"train/it": train, "dev/it": 500, "test/it": 500, "test/it-en": 500},
        subset="language",
        pooled=False,
        mirror=mirror,
    )


TASKS = (
    _task("binary", reader("binary", "label", same_meaning), BINARY, macro_f1((0, 1)), (MAJORITY, RANDOM), 2805),
    _task(
        "ranking", reader("ranking", "score", nearness), RANKING, spearman(LOW, HIGH), (mean_number(), word_overlap(sentences, LOW, HIGH)), 3820
    ),
)
