"""NERMuD, EVALITA 2023: persons, places and organisations in news (WN), fiction (FIC) and political writing (ADG).

Format: ``token<TAB>label`` with BIO labels, a blank line between sentences; test files end without one. In WN_test 16
``I-`` tags have no head: such a tag starts an entity. Metric: ``get-results.py`` of the organisers, F1 over tokens with
``B-``/``I-`` and ``|…`` cut, mean over PER, LOC and ORG, by domain and over all domains.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from corpus.evalita.entities import TYPES, Entity, NumberedMentions, SeparatedMentions, TaggedMentions
from corpus.evalita.formats import token_sentences
from corpus.evalita.metrics import Metric, mean_f1
from corpus.evalita.task import Access, EvalitaError, Item, Split, Task, Wording

FOLDER = "evalita/kind-nermud/evalita-2023"
LICENCES = {"WN": "CC-BY-NC-4.0", "FIC": "CC-BY-NC-4.0", "ADG": "CC-BY-NC-SA-4.0"}
"""Of the annotations, by domain; the Wikinews text itself is CC BY 2.5, the fiction is in the public domain."""
SPLITS: tuple[Split, ...] = ("train", "dev", "test")
ALPHABET = frozenset({"O", *(f"{place}-{kind}" for place in "BI" for kind in TYPES)})


def _file(domain: str, split: Split) -> str:
    return f"{FOLDER}/{domain}_{split}.tsv"


def read(files: Mapping[str, Path]) -> Iterator[Item]:
    """One item a sentence."""
    for split in SPLITS:
        for domain, licence in LICENCES.items():
            path = files[_file(domain, split)]
            for index, (line, sentence) in enumerate(token_sentences(path)):
                item_id = f"nermud/{domain}/{split}/{index:05d}"
                fields = {"text": " ".join(token for token, _ in sentence), "domain": domain}
                yield Item(item_id, split, item_id, fields, entities([label for _, label in sentence], path, line), licence)


def entities(labels: Sequence[str], path: Path | str, line: int) -> list[Entity]:
    """Entities of a sentence's BIO labels; adjacent entities of one type stay apart where the second has a ``B-``.

    Raises:
        EvalitaError: a label is not of the BIO alphabet (KIND's own files have labels without prefixes).
    """
    found: list[Entity] = []
    open_type: str | None = None
    for index, label in enumerate(label.split("|")[0] for label in labels):
        if label not in ALPHABET:
            raise EvalitaError(f"{path}, line {line + index}: label {label!r}, expected one of {sorted(ALPHABET)}")
        prefix, _, kind = label.partition("-")
        if prefix == "I" and kind == open_type:
            found[-1] = [found[-1][0], index + 1, kind]
        elif prefix in ("B", "I"):
            found.append([index, index + 1, kind])
        open_type = kind or None
    return found


def token_types(tokens: int, found: Sequence[Entity]) -> list[str | None]:
    """The type of each token; entities that were not found in the text are left out."""
    types: list[str | None] = [None] * tokens
    for start, end, kind in found:
        if start >= 0:
            types[start:end] = [kind] * (end - start)
    return types


def token_counts(fields: Mapping[str, Any], gold: Sequence[Entity], prediction: Sequence[Entity] | None) -> np.ndarray:
    """Counts over tokens; each token of an answered mention that the text does not hold is a false positive."""
    tokens = len(fields["text"].split(" "))
    counts = np.zeros((len(TYPES), 3))
    answered = prediction or ()
    for right, given in zip(token_types(tokens, gold), token_types(tokens, answered), strict=True):
        if right is not None:
            counts[TYPES.index(right), 0 if right == given else 2] += 1
        if given is not None and given != right:
            counts[TYPES.index(given), 1] += 1
    for start, end, kind in answered:
        if start < 0:
            counts[TYPES.index(kind), 1] += end
    return counts


def word_memory(items: Sequence[Item]) -> Callable[[Mapping[str, Any]], list[Entity]]:
    """A baseline that gives each token the type it most often has in the training items."""
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for item in items:
        tokens = item.fields["text"].split(" ")
        for token, kind in zip(tokens, token_types(len(tokens), item.label), strict=True):
            seen[token][kind or ""] += 1
    best = {token: min(kinds, key=lambda kind: (-kinds[kind], kind)) for token, kinds in seen.items()}

    def answer(fields: Mapping[str, Any]) -> list[Entity]:
        return [[index, index + 1, best[token]] for index, token in enumerate(fields["text"].split(" ")) if best.get(token)]

    return answer


TASK = Task(
    name="nermud",
    title="NERMuD (EVALITA 2023)",
    files=tuple(_file(domain, split) for split in SPLITS for domain in LICENCES),
    read=read,
    wordings=(
        Wording(
            name="own",
            source="Transumanza",
            instruction=(
                "Trova nel testo le persone (PER), i luoghi (LOC) e le organizzazioni (ORG). Scrivi una menzione per riga, nell'ordine del testo, con il tipo "
                "davanti, per esempio «PER: Ada Rossi». Se le stesse parole compaiono più volte e la menzione non è la prima, aggiungi il suo numero, "
                "per esempio «LOC: Roma [2]». Se non ci sono menzioni, scrivi «nessuna»."
            ),
            input="{text}",
            answer=NumberedMentions(),
        ),
        Wording(
            name="extremita",
            source="ExtremITA (crux82/ExtremITA@b618b9c), its answer for a text without mentions now named in the instruction",
            instruction=(
                "Scrivi le menzioni di entità nel testo, indicandone il tipo: [PER] (persona), [LOC] (luogo), [ORG] (organizzazione). "
                "Se non ci sono menzioni, scrivi nessuna."
            ),
            input="{text}",
            answer=TaggedMentions(),
            lossless=False,  # it does not say which of several equal mentions is meant
        ),
        Wording(
            name="evalita-llm",
            source="Evalita-LLM, ner prompt 1 (arXiv 2502.02289; lm-evaluation-harness@4e7e0d47f)",
            instruction=(
                "Estrai tutte le entità di tipo PER (persona), LOC (luogo) e ORG (organizzazione) dal testo seguente. Riporta ogni entità con il formato: "
                "Entità$Tipo, separando ciascuna coppia con ','. Se non ci sono entità da estrarre, rispondi con '&&NOENT&&'."
            ),
            input="Testo: '{text}'\nEntità:",
            answer=SeparatedMentions(),
            lossless=False,
        ),
    ),
    metric=Metric("token_macro_f1", token_counts, mean_f1),
    texts=lambda fields: (fields["text"],),
    baseline=word_memory,
    baseline_name="most frequent training type of each word",
    licences=tuple(sorted(set(LICENCES.values()))),
    access=Access("open", "https://github.com/dhfbk/KIND"),
    source="dhfbk/KIND",
    revision="a2ad1391",
    subset="domain",
)
