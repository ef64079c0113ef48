"""e-RTE-3-it: does a text entail, contradict or leave open a hypothesis?

Format: XML; ``DEV.xml`` has a malformed declaration (no blank before ``encoding``), which is cut off before parsing. 38
texts are shared by DEV and TEST, so the text is the group. Metric: accuracy over the three labels.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree import ElementTree

from corpus.evalita.answers import ChoiceAnswer
from corpus.evalita.formats import text_of
from corpus.evalita.metrics import ACCURACY
from corpus.evalita.task import Access, EvalitaError, Item, Split, Task, Wording, majority_class

FOLDER = "evalita/e-rte-3-it/e-RTE-3-it"
FILES: dict[Split, str] = {"train": f"{FOLDER}/DEV.xml", "test": f"{FOLDER}/TEST.xml"}
LABELS = ("YES", "NO", "UNKNOWN")


def read(files: Mapping[str, Path]) -> Iterator[Item]:
    """Pairs of DEV (as training items) and TEST."""
    for split, name in FILES.items():
        path = files[name]
        content = re.sub(r"^\s*<\?xml.*?\?>", "", text_of(path), count=1)
        if "<!DOCTYPE" in content or "<!ENTITY" in content:
            raise EvalitaError(f"{path}: a document type is declared; use the file as its organisers distribute it")
        try:
            pairs = list(ElementTree.fromstring(content).iter("pair"))
        except ElementTree.ParseError as error:
            raise EvalitaError(f"{path}: not well-formed XML ({error})") from error
        if not pairs:
            raise EvalitaError(f"{path}: no element 'pair'")
        for pair in pairs:
            label, number = pair.get("entailment"), pair.get("id")
            text, hypothesis = ((pair.findtext(tag) or "").strip() for tag in ("t", "h"))
            if number is None or label not in LABELS or not text or not hypothesis:
                raise EvalitaError(f"{path}: pair id={number!r} needs entailment of {list(LABELS)} (is {label!r}), a text 't' and a hypothesis 'h'")
            group = f"erte3/{hashlib.sha256(text.encode()).hexdigest()[:16]}"
            yield Item(f"erte3/{split}/{int(number):04d}", split, group, {"text": text, "hypothesis": hypothesis}, label, "MIT")


TASK = Task(
    name="erte3",
    title="e-RTE-3-it, textual entailment with three labels",
    files=tuple(FILES.values()),
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
            name="evalita-llm",
            source="Evalita-LLM, te prompt 2, widened to the three labels of the corpus",
            instruction="Devi risolvere un compito di inferenza semantica. Le risposte possibili sono: Sì, No, Non si sa.",
            input="La frase: '{text}' implica logicamente che la frase: '{hypothesis}' sia vera?",
            answer=ChoiceAnswer({"YES": "Sì", "NO": "No", "UNKNOWN": "Non si sa"}, also={"si": "sì"}),
        ),
    ),
    metric=ACCURACY,
    texts=lambda fields: (fields["text"], fields["hypothesis"]),
    baseline=majority_class,
    baseline_name="most frequent training class",
    licences=("MIT",),
    access=Access("open", "https://github.com/andreazaninello/e-rte3-it"),
    source="andreazaninello/e-rte3-it",
    revision="f99003a7",
)
