"""CLinkaRT, EVALITA 2023: which results of which clinical tests does a case report state?

Format: PubTator (``formats.pubtator``). The 83 training documents are one file, as the CLiC-it 2023 tutorial gives it out;
15 of them have no relation, and they give items too. A document is put into pieces of whole sentences, the document is the
group. Metric: F1 over relations, unverified.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from corpus.evalita.answers.relations import NumberedRelations, Relation, SeparatedRelations, TaggedRelations
from corpus.evalita.baselines import constant
from corpus.evalita.formats.pubtator import Document, Span, documents
from corpus.evalita.metrics.classification import mean_f1
from corpus.evalita.metrics.metric import Metric, of_sums
from corpus.evalita.task import Access, Baseline, Item, Predictor, Split, Task, TaskFile, Wording
from foundation.language.sentences import SentenceSettings, sentence_spans

FOLDER = "evalita/clinkart"
FILES: dict[Split, str] = {"train": f"{FOLDER}/clinkart_dataset.txt", "test": f"{FOLDER}/clinkart_test.txt"}
LICENCE = "CC-BY-NC-4.0"
PIECE_CHARACTERS = 300
"""Sentences are joined up to this length, so that most pieces say what they are about."""
SENTENCES = SentenceSettings(
    abbreviations=("dott", "dott.ssa", "prof", "sig", "sig.ra", "ecc", "es", "p.es", "cfr", "ca", "c.a", "max", "min", "dx", "sn", "sin", "ev", "os", "im"),
    numeric_abbreviations=("n", "nr", "kg", "gr", "mg", "ml", "cm", "mm", "cc", "fig", "tab", "pag", "circa"),
)
"""Abbreviations of case reports: with them no sentence end cuts one of the 658 relations."""


def read(files: Mapping[str, Path]) -> Iterator[Item]:
    """One item a piece, of documents without relations too; the test file is read where it is there."""
    for split, name in FILES.items():
        for document in documents(files[name]) if name in files else ():
            for index, (start, end) in enumerate(pieces(document)):
                label = [
                    [a - start, b - start, c - start, d - start]
                    for (a, b), (c, d) in sorted(set(document.relations))
                    if start <= a and b <= end and start <= c and d <= end
                ]
                fields = {"text": document.text[start:end], "document": document.id, "offset": start}
                yield Item(f"clinkart/{split}/{document.id}/{index:03d}", split, f"clinkart/{document.id}", fields, label, LICENCE)


def pieces(document: Document) -> list[Span]:
    """Spans of whole sentences with only white space between them; no relation is cut.

    A relation that crosses a sentence end (none of the training file does) joins the pieces on both sides of it.
    """
    joined: list[Span] = []
    for start, end in sentence_spans(document.text, SENTENCES):
        crossed = bool(joined) and any(min(a, c) < joined[-1][1] and max(b, d) > start for (a, b), (c, d) in document.relations)
        if joined and (crossed or end - joined[-1][0] <= PIECE_CHARACTERS):
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def relation_counts(_fields: Mapping[str, Any], gold: Sequence[Relation], prediction: Sequence[Relation] | None) -> np.ndarray:
    """Counts over relations; a pair that the text does not hold is a false positive each time it is given."""
    given = list(prediction or ())
    found = {tuple(relation) for relation in given if relation[0] >= 0}
    right = {tuple(relation) for relation in gold}
    unknown = sum(relation[0] < 0 for relation in given)
    return np.array([[len(found & right), len(found - right) + unknown, len(right - found)]], dtype=float)


def precision(sums: np.ndarray) -> np.ndarray:
    """Share of the given relations that are right; counts (…, 1, 3)."""
    return _share(sums[..., 0, 0], sums[..., 0, 0] + sums[..., 0, 1])


def recall(sums: np.ndarray) -> np.ndarray:
    """Share of the right relations that are given; counts (…, 1, 3)."""
    return _share(sums[..., 0, 0], sums[..., 0, 0] + sums[..., 0, 2])


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros(np.shape(whole)), where=whole > 0)


def known_tests(items: Sequence[Item]) -> Predictor:
    """A baseline: words that are mostly tests in training, each with the next number or known result behind it."""
    tests: Counter[str] = Counter()
    results: set[str] = set()
    seen: Counter[str] = Counter()
    for item in items:
        text = item.fields["text"]
        seen.update(re.findall(r"\w+", text))
        tests.update({text[c:d] for _, _, c, d in item.label})
        results |= {text[a:b] for a, b, _, _ in item.label}
    known = {word for word, count in tests.items() if 2 * count >= seen[word]}
    worded = sorted((result for result in results if not re.search(r"\d", result)), key=lambda result: (-len(result), result))
    result_of = re.compile("|".join([r"\d+(?:[.,/]\d+)*(?: ?(?:%|[a-zA-Z/]+))?", *(rf"\b{re.escape(result)}\b" for result in worded)]))

    def answer(fields: Mapping[str, Any]) -> list[Relation]:
        found = []
        for word in re.finditer(r"\w+", fields["text"]):
            result = result_of.search(fields["text"], word.end()) if word[0] in known else None
            if result is not None:
                found.append([result.start(), result.end(), word.start(), word.end()])
        return sorted(found)

    return answer


_UNVERIFIED = "the task's scorer was not found; F1 over relations with exact offsets"

TASKS = (
    Task(
        name="clinkart",
        title="CLinkaRT (EVALITA 2023)",
        files=(
            TaskFile(FILES["train"], "5c8d30c4f8570e1676c0a4a65feadd6e9ede5a0ab9b2514fc950ff00f5d86254"),
            TaskFile(FILES["test"], optional=True),
        ),
        read=read,
        wordings=(
            Wording(
                name="own",
                source="Transumanza",
                instruction=(
                    "Trova nel testo clinico i risultati degli esami e delle misurazioni. Per ogni risultato scrivi una riga con l'esame, due punti e il risultato, con le "
                    "parole del testo, per esempio «FE: 55%». Se le stesse parole compaiono più volte e non si tratta della prima, aggiungi il loro numero, per "
                    "esempio «Score [2]: bassi». Se non ci sono risultati, scrivi «nessuna»."
                ),
                input="{text}",
                answer=NumberedRelations(),
            ),
            Wording(
                name="extremita",
                source="ExtremITA (crux82/ExtremITA@b618b9c)",
                instruction=(
                    'Trova i risultati dei test e delle misurazioni nel testo. Per ogni risultato, scrivi "[BREL]", seguito dal risultato seguito da "[SEP]", seguito '
                    'dal test, seguito da "[EREL]". Se non trovi nessun risultato, scrivi "[NOREL]".'
                ),
                input="{text}",
                answer=TaggedRelations(),
                lossless=False,  # it does not say which of several equal words are meant
            ),
            Wording(
                name="evalita-llm",
                source="Evalita-LLM, re prompt 1 (arXiv 2502.02289; lm-evaluation-harness@4e7e0d47f)",
                instruction=(
                    "Dato un documento medico devi estrarre tutte le misurazioni degli esami medici presenti. Riporta ogni relazione nel formato: misurazione$esame, "
                    "separando ciascuna coppia con '%'. Se non ci sono relazioni da estrarre, rispondi con '&&NOREL&&'."
                ),
                input="Testo: '{text}'\nRelazioni:",
                answer=SeparatedRelations(),
                lossless=False,
            ),
        ),
        metrics=(
            Metric("relation_f1", relation_counts, of_sums(mean_f1), unverified=_UNVERIFIED),
            Metric("relation_precision", relation_counts, of_sums(precision), unverified=_UNVERIFIED),
            Metric("relation_recall", relation_counts, of_sums(recall), unverified=_UNVERIFIED),
        ),
        texts=lambda fields: (fields["text"],),
        baselines=(Baseline("known tests with the next number", known_tests), constant("no relation", [])),
        licences=(LICENCE,),
        access=Access("open", "https://github.com/crux82/CLiC-it_2023_tutorial (data/clinkart_dataset.txt)"),
        source="crux82/CLiC-it_2023_tutorial",
        revision="e851055",
        unverified=("the test part: its name, and that it has the training part's format",),
    ),
)
