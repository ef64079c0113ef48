"""NERMuD, EVALITA 2023: persons, places and organisations in news (WN), fiction (FIC) and political writing (ADG).

Format: ``token<TAB>label`` with BIO labels, a blank line between sentences; test files end without one. In WN_test 16
``I-`` tags have no head: such a tag starts an entity. Metric: ``get-results.py`` of the organisers, F1 over tokens with
``B-``/``I-`` and ``|…`` cut, mean over PER, LOC and ORG, by domain and over all domains.

Tracks: the domain-agnostic one is this task; the domain-specific one is a part of it, ``nermud/WN`` and so on, wherever a
profile names tasks.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from corpus.evalita.answers.entities import TYPES, Entity, NumberedMentions, SeparatedMentions, TaggedMentions
from corpus.evalita.baselines import constant
from corpus.evalita.errors import EvalitaError
from corpus.evalita.formats.tokens import token_sentences
from corpus.evalita.metrics.classification import mean_f1
from corpus.evalita.metrics.metric import Metric, of_sums
from corpus.evalita.task import Access, Baseline, Item, Split, Task, TaskFile, Wording

FOLDER = "evalita/kind-nermud/evalita-2023"
LICENCES = {"WN": "CC-BY-NC-4.0", "FIC": "CC-BY-NC-4.0", "ADG": "CC-BY-NC-SA-4.0"}
"""Of the annotations, by domain; the Wikinews text itself is CC BY 2.5, the fiction is in the public domain."""
SPLITS: tuple[Split, ...] = ("train", "dev", "test")
ALPHABET = frozenset({"O", *(f"{place}-{kind}" for place in "BI" for kind in TYPES)})
_SHA256 = {
    ("WN", "train"): "879e468c0c2e387e628e7a92c3ab6b3947fe247d946505c43e15f5747873a2e6",
    ("FIC", "train"): "5a6971144325a4b65c2aa1d937b1c1cc96f9bc9197548cabbdbb7fab8996e767",
    ("ADG", "train"): "3b1ed656e651ec773d0bb95a97f1dd07561681b48d687a9f3c41b79d3f49252d",
    ("WN", "dev"): "de90f752784f17bd84b520d41d78ad550447dfe95265e7c6bc2bc92afb4186b5",
    ("FIC", "dev"): "fc231e45f70c8dc48cf18a9d2c9aa4137ff78da30208a17bbd4310d461cec1cb",
    ("ADG", "dev"): "be9c4a16bad48d8e56352af3e6514e94f939724c8752f8be65853a6a21a3e29f",
    ("WN", "test"): "d150fae0bbfde2f30f598875c259f841c79a4e8a0999a02d85cadd1a3eac30d7",
    ("FIC", "test"): "6c62b030ffe1fcbc064cc32e8cdce81f0f8a1ae344833c97eba56b3b02945239",
    ("ADG", "test"): "4bdfabf2846836d49e1956c446e5939f3241215c1b0dd8233b6f853f37aeb850",
}
ROWS = {
    "train/WN": 10_912, "train/FIC": 11_423, "train/ADG": 5_147,
    "dev/WN": 2_594, "dev/FIC": 1_051, "dev/ADG": 1_122,
    "test/WN": 2_088, "test/FIC": 1_517, "test/ADG": 521,
}  # fmt: skip
"""Sentences counted in the files; the organisers' README says 2,094 and 1,516 for the tests of WN and FIC."""


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


_REQUEST = "Scrivi le menzioni di entità nel testo, indicandone il tipo: [PER] (persona), [LOC] (luogo), [ORG] (organizzazione)."

WORDINGS = (
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
        source="ExtremITA (crux82/ExtremITA@b618b9c)",
        instruction=_REQUEST,
        input="{text}",
        answer=TaggedMentions(),
        lossless=False,  # it does not say which of several equal mentions is meant
        faults=("the instruction does not say what to answer where there is no mention",),
    ),
    Wording(
        name="extremita-corrected",
        source="ExtremITA, its answer for a text without mentions named in the instruction",
        instruction=f"{_REQUEST} Se non ci sono menzioni, scrivi nessuna.",
        input="{text}",
        answer=TaggedMentions(),
        lossless=False,
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
)

TASKS = (
    Task(
        name="nermud",
        title="NERMuD (EVALITA 2023), both tracks",
        files=tuple(TaskFile(_file(domain, split), _SHA256[domain, split]) for split in SPLITS for domain in LICENCES),
        read=read,
        wordings=WORDINGS,
        metrics=(Metric("token_macro_f1", token_counts, of_sums(mean_f1)),),
        texts=lambda fields: (fields["text"],),
        baselines=(Baseline("most frequent training type of each word", word_memory), constant("no entity", [])),
        licences=tuple(sorted(set(LICENCES.values()))),
        access=Access("open", "https://github.com/dhfbk/KIND"),
        source="dhfbk/KIND",
        revision="a2ad1391",
        rows=ROWS,
        subset="domain",
    ),
)
