"""LangLearn, EVALITA 2023: in which order did a student write two essays? CItA (Italian) and COWS-L2H (Spanish).

Format: TSV ``Essay_1, Essay_2, Order_1, Order_2`` beside an XML file of ``<doc id=…>``. Training pairs are always in the right
order, so each gives two items, one for each order; test pairs are shuffled. ``Order_*`` reveals the answer and stays out of
the input. Metric: accuracy, unverified.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from corpus.evalita.answers.choice import yes_or_no
from corpus.evalita.baselines import MAJORITY, RANDOM
from corpus.evalita.errors import EvalitaError
from corpus.evalita.formats.tables import separated
from corpus.evalita.formats.xml import xml_root
from corpus.evalita.metrics.classification import accuracy, macro_f1
from corpus.evalita.task import Access, Item, Split, Task, TaskFile, Wording

FOLDER = "evalita/langlearn"
CORPORA = {"CItA": "cita", "COWS-L2H": "cows"}
LICENCE = "none stated"


def _files(corpus: str) -> dict[Split, str]:
    return {"train": f"{FOLDER}/{CORPORA[corpus]}_training.tsv", "test": f"{FOLDER}/{CORPORA[corpus]}_test_gold.tsv"}


def _essays(corpus: str) -> str:
    return f"{FOLDER}/{CORPORA[corpus]}_essays.xml"


def read(files: Mapping[str, Path]) -> Iterator[Item]:
    """Pairs of essays, each of training in both orders; the corpora and the test files are read where they are there."""
    for corpus, short in CORPORA.items():
        if _essays(corpus) not in files:
            continue
        texts = essays(files[_essays(corpus)])
        rows = [row for split, name in _files(corpus).items() if name in files for row in _pairs(files[name], split, texts, corpus)]
        chain = components((first, second) for _, _, first, second, _ in rows)
        for split, number, first, second, label in rows:
            group = f"langlearn/{short}/{chain[first]}"
            for one, other, order in ((first, second, label), (second, first, 1 - label))[: 2 if split == "train" else 1]:
                item_id = f"langlearn/{short}/{split}/{number:05d}/{order}"
                yield Item(item_id, split, group, {"first": texts[one], "second": texts[other], "corpus": corpus}, order, LICENCE)


def essays(path: Path) -> dict[str, str]:
    """Texts by essay id.

    Raises:
        EvalitaError: there is none, or one has no id or no text, or an id comes twice.
    """
    found: dict[str, str] = {}
    for element in xml_root(path, fragments=True).iter("doc"):
        name, text = element.get("id"), "".join(element.itertext()).strip()
        if not name or not text or name in found:
            raise EvalitaError(f"{path}: element doc id={name!r} needs an id of its own and a text")
        found[name] = text
    if not found:
        raise EvalitaError(f"{path}: no element 'doc'")
    return found


def _pairs(path: Path, split: Split, texts: Mapping[str, str], corpus: str) -> Iterator[tuple[Split, int, str, str, int]]:
    for number, row in separated(path, ("Essay_1", "Essay_2", "Order_1", "Order_2"), "\t"):
        first, second = row["Essay_1"], row["Essay_2"]
        for name in (first, second):
            if name not in texts:
                raise EvalitaError(f"{path}, row {number}: essay {name!r} is not among the essays of {corpus}")
        orders = _order(path, number, "Order_1", row["Order_1"]), _order(path, number, "Order_2", row["Order_2"])
        if orders[0] == orders[1]:
            raise EvalitaError(f"{path}, row {number}: Order_1 and Order_2 are both {row['Order_1']!r}, so that no order can be told")
        yield split, number, first, second, int(orders[0] > orders[1])


def _order(path: Path, number: int, column: str, value: str) -> tuple[int, ...]:
    """A point in time: year and essay (``1_4``), or a term (``F20``, a fall; ``S``, ``W`` and ``SU`` for the others)."""
    parts = value.split("_")
    if all(part.isdigit() for part in parts):
        return tuple(int(part) for part in parts)
    term, year = value.rstrip("0123456789"), value.lstrip("WSUF")
    terms = {"W": 0, "S": 1, "SU": 2, "F": 3}
    if term not in terms or not year.isdigit():
        raise EvalitaError(f"{path}, row {number}: column {column!r} is {value!r}, expected a time such as 1_4 or F20")
    return int(year), terms[term]


def components(pairs: Iterator[tuple[str, str]]) -> dict[str, str]:
    """For each essay, the first id of all essays that pairs connect it with: a student's, at least."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for first, second in pairs:
        one, other = sorted((root(first), root(second)))
        parent[other] = one
    return {name: root(name) for name in list(parent)}


TASKS = (
    Task(
        name="langlearn",
        title="LangLearn (EVALITA 2023)",
        files=tuple(
            file
            for corpus in CORPORA
            for file in (
                TaskFile(_essays(corpus), optional=corpus != "CItA"),
                TaskFile(_files(corpus)["train"], optional=corpus != "CItA"),
                TaskFile(_files(corpus)["test"], optional=True),
            )
        ),
        read=read,
        wordings=(
            Wording(
                name="own",
                source="Transumanza",
                instruction="Uno studente ha scritto i due testi in momenti diversi. Il primo è quello scritto prima? Rispondi sì o no.",
                input="Primo testo:\n{first}\n\nSecondo testo:\n{second}",
                answer=yes_or_no(yes=0, no=1),
            ),
            Wording(
                name="extremita",
                source="ExtremITA (crux82/ExtremITA@b618b9c), the essays whole",
                instruction="Questi due testi separati da [SEP] sono presentati nell'ordine in cui sono stati scritti? Rispondi sì o no.",
                input="{first} [SEP] {second}",
                answer=yes_or_no(yes=0, no=1),
            ),
        ),
        metrics=(accuracy("the organisers' scorer was not found"), macro_f1((0, 1), unverified="the organisers' scorer was not found")),
        texts=lambda fields: (fields["first"], fields["second"]),
        baselines=(MAJORITY, RANDOM),
        licences=(LICENCE,),
        access=Access("request", "https://www.evalita.it/campaigns/evalita-2023/"),
        source="LangLearn organisers",
        revision="as given out",
        subset="corpus",
        pooled=False,
        unverified=(
            "the files' names; whether the XML has one root",
            "the forms of Order_1 and Order_2 beyond 1_4 and F20",
            "the number of pairs (CItA has 1,352 essays of 156 pupils, COWS-L2H 3,498 essays)",
        ),
    ),
)
