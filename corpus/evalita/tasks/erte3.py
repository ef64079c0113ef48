"""e-RTE-3-it: does a text entail, contradict or leave open a hypothesis?

Format: XML; ``DEV.xml`` has a malformed declaration (no blank before ``encoding``), which is cut off before parsing. 38
texts are shared by DEV and TEST, so the text is the group.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from corpus.evalita.answers.choice import ChoiceAnswer
from corpus.evalita.baselines import MAJORITY, RANDOM
from corpus.evalita.errors import EvalitaError
from corpus.evalita.formats.xml import xml_root
from corpus.evalita.metrics.classification import accuracy
from corpus.evalita.task import Access, Item, Split, Task, TaskFile, Wording

FOLDER = "evalita/e-rte-3-it/e-RTE-3-it"
FILES: dict[Split, str] = {"train": f"{FOLDER}/DEV.xml", "test": f"{FOLDER}/TEST.xml"}
LABELS = ("YES", "NO", "UNKNOWN")


def read(files: Mapping[str, Path]) -> Iterator[Item]:
    """Pairs of DEV (as training items) and TEST."""
    for split, name in FILES.items():
        path = files[name]
        pairs = list(xml_root(path).iter("pair"))
        if not pairs:
            raise EvalitaError(f"{path}: no element 'pair'")
        for pair in pairs:
            label, number = pair.get("entailment"), pair.get("id") or ""
            text, hypothesis = ((pair.findtext(tag) or "").strip() for tag in ("t", "h"))
            if not number.isdigit() or label not in LABELS or not text or not hypothesis:
                raise EvalitaError(
                    f"{path}: pair id={number!r} needs a number as id, entailment of {list(LABELS)} (is {label!r}), a text 't' and a hypothesis 'h'"
                )
            group = f"erte3/{hashlib.sha256(text.encode()).hexdigest()[:16]}"
            yield Item(f"erte3/{split}/{int(number):04d}", split, group, {"text": text, "hypothesis": hypothesis}, label, "MIT")


TASKS = (
    Task(
        name="erte3",
        title="e-RTE-3-it, textual entailment with three labels",
        files=(
            TaskFile(FILES["train"], "896c08abc29ba2cc4f8da032d60fe8938851c774eab17e1875db738250444cd8"),
            TaskFile(FILES["test"], "b6ee0c421378e09b5c86df7e81aa7e7058d9f5a7ad4f4205f925dee9c71141f7"),
        ),
        read=read,
        wordings=(
            Wording(
                name="own",
                source="Transumanza",
                instruction="In base al solo testo, l'ipotesi è vera? Rispondi «sì» se il testo la implica, «no» se la contraddice, «non si sa» se il testo non basta.",
                input="Testo: {text}\nIpotesi: {hypothesis}",
                answer=ChoiceAnswer({"YES": "sì", "NO": "no", "UNKNOWN": "non si sa"}, also={"si": "sì"}),
            ),
            Wording(
                name="evalita-llm-corrected",
                source="Evalita-LLM, te prompt 2 (arXiv 2502.02289; lm-evaluation-harness@4e7e0d47f), widened from two answers to the three labels of the corpus",
                instruction="Devi risolvere un compito di inferenza semantica. Le risposte possibili sono: Sì, No, Non si sa.",
                input="La frase: '{text}' implica logicamente che la frase: '{hypothesis}' sia vera?",
                answer=ChoiceAnswer({"YES": "Sì", "NO": "No", "UNKNOWN": "Non si sa"}, also={"si": "sì"}),
            ),
            Wording(
                name="own-relation",
                source="Transumanza",
                instruction="Che rapporto c'è tra la premessa e la conclusione? Rispondi con una sola parola: implicazione, contraddizione oppure neutralità.",
                input="Premessa: {text}\nConclusione: {hypothesis}",
                answer=ChoiceAnswer({"YES": "implicazione", "NO": "contraddizione", "UNKNOWN": "neutralità"}),
            ),
        ),
        metrics=(accuracy("the corpus names no metric; accuracy over the three labels, as in RTE-3"),),
        texts=lambda fields: (fields["text"], fields["hypothesis"]),
        baselines=(MAJORITY, RANDOM),
        licences=("MIT",),
        access=Access("open", "https://github.com/andreazaninello/e-rte3-it"),
        source="andreazaninello/e-rte3-it",
        revision="f99003a7",
        rows={"train": 800, "test": 800},
    ),
)
