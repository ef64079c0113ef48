"""What a task is: its files, wordings, answers and metrics, declared as data in one module of ``corpus.evalita.tasks``.

Belongs here: the types of a declaration. Reading a format, writing an answer or counting a score belongs to the task's
own module, to ``formats``, ``answers`` and ``metrics``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from corpus.evalita.errors import EvalitaError
from corpus.evalita.metrics.metric import Metric

Split = Literal["train", "dev", "test"]
"""The official splits; a task without a ``dev`` split gets its validation rows from ``train``, whole groups at a time."""

Label = Any
"""A gold value as JSON: a class (text or number), a number, a list of labels, or a list of places in the text."""


@dataclass(frozen=True)
class Item:
    """One row of a task as distributed: what the model may see (``fields``) and the gold value (``label``)."""

    item_id: str
    split: Split
    group_id: str
    fields: Mapping[str, Any]
    label: Label
    licence: str


@dataclass(frozen=True)
class ParseFailure:
    """An answer that holds no value; it counts as wrong and never becomes a default class."""

    kind: Literal["empty", "unknown_word", "malformed", "out_of_range"]
    answer: str


class Answer(Protocol):
    """How a label is written as an answer, and how an answer is read back."""

    def encode(self, fields: Mapping[str, Any], label: Label) -> str:
        """The answer that a perfect model gives."""
        ...

    def decode(self, fields: Mapping[str, Any], answer: str) -> Label | ParseFailure:
        """The value in an answer, or why there is none."""
        ...

    def describe(self) -> list[str]:
        """Name and version of the answer code, then its words; they count in the template's hash."""
        ...


@dataclass(frozen=True)
class Wording:
    """One way to put a task into words.

    ``instruction`` and ``input`` are ``str.format`` templates over the task's prompt fields. A ``lossless`` wording keeps
    every label: ``decode(encode(label)) == label``. Another one declares what it keeps: ``precision`` is the largest
    difference of a number, and without it the answer's words come back, though perhaps at another place of the text.
    ``names_labels`` says that the prompt lists all answers. ``faults`` are known errors of a wording that is kept as it was
    published; such a wording is used only where a profile names it.
    """

    name: str
    source: str
    instruction: str
    input: str
    answer: Answer
    lossless: bool = True
    precision: float | None = None
    names_labels: bool = True
    faults: tuple[str, ...] = ()

    def prompt(self, fields: Mapping[str, Any]) -> tuple[str, str]:
        """Instruction and input of an item; nothing is cut or cleaned."""
        return self.instruction.format(**fields), self.input.format(**fields)

    def keeps(self, fields: Mapping[str, Any], label: Label) -> bool:
        """Whether a label comes back as it was."""
        return bool(self.answer.decode(fields, self.answer.encode(fields, label)) == label)

    @property
    def parser(self) -> str:
        """Name and version of the code that reads answers."""
        return self.answer.describe()[0]

    @property
    def sha256(self) -> str:
        """Hash of the templates and of the answer code."""
        document = [self.instruction, self.input, self.answer.describe()]
        return hashlib.sha256(json.dumps(document, ensure_ascii=False).encode()).hexdigest()


@dataclass(frozen=True)
class TaskFile:
    """A file of a task as distributed.

    ``sha256`` is that of the revision which the task was written against; without one the content is not known. An
    ``optional`` file (a gold test set that organisers give out later) is read where it is there.
    """

    path: str
    sha256: str | None = None
    optional: bool = False


@dataclass(frozen=True)
class Access:
    """Who gives the files out, and how."""

    kind: Literal["open", "request"]
    where: str


Predictor = Callable[[Mapping[str, Any]], Label]
"""Fields of an item to a value, as a model gives it."""


@dataclass(frozen=True)
class Baseline:
    """What a score is compared with: ``learn`` gets the training items and gives a predictor."""

    name: str
    learn: Callable[[Sequence[Item]], Predictor]


@dataclass(frozen=True)
class Task:
    """One task: everything that is particular to it.

    Attributes:
        name: stable; the first part of its items' ids and of its templates' ids.
        files: below the data folder.
        read: gets the present files by their path, and yields items of the official splits.
        wordings: the first one must be lossless and without faults: evaluation uses it.
        metrics: the official ones; the first is the task's main score.
        texts: the texts by which copies of an item are found in other splits and corpora.
        baselines: the first one stands beside every score.
        licences: of the items.
        source, revision: of the files, as the organisers name them.
        prompt_fields: derives what the templates need from an item's fields.
        rows: known numbers of items, by split or by ``split/subset``; another number is an error.
        subset: names a field whose values are also scored, and may be chosen, one by one.
        pooled: whether the score over all subsets together is official too.
        mirror: an equivalent item for training (a swapped pair): fields and label to fields and label.
        combine: one answer out of those of a group's items, where the organisers score the group (failed ones are None).
        evaluation_only: never trained on unless a profile names it.
        unverified: details of files, labels and metrics that no source confirmed.
    """

    name: str
    title: str
    files: tuple[TaskFile, ...]
    read: Callable[[Mapping[str, Path]], Iterable[Item]]
    wordings: tuple[Wording, ...]
    metrics: tuple[Metric, ...]
    texts: Callable[[Mapping[str, Any]], Sequence[str]]
    baselines: tuple[Baseline, ...]
    licences: tuple[str, ...]
    access: Access
    source: str
    revision: str
    prompt_fields: Callable[[Mapping[str, Any]], Mapping[str, Any]] = field(default=lambda fields: fields)
    rows: Mapping[str, int] = field(default_factory=dict)
    subset: str | None = None
    pooled: bool = True
    mirror: Callable[[Mapping[str, Any], Label], tuple[Mapping[str, Any], Label]] | None = None
    combine: Callable[[Sequence[Label | None]], Label | None] | None = None
    evaluation_only: bool = False
    unverified: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (self.wordings and self.metrics and self.baselines):
            raise EvalitaError(f"task {self.name}: declare at least one wording, one metric and one baseline")
        first = self.wordings[0]
        if not first.lossless or first.faults:
            raise EvalitaError(f"task {self.name}: its first wording is used for evaluation and must be lossless and without faults")
        names = [wording.name for wording in self.wordings]
        if len(set(names)) != len(names):
            raise EvalitaError(f"task {self.name}: two wordings have one name ({names})")

    def wording(self, name: str) -> Wording:
        """A wording by name.

        Raises:
            EvalitaError: there is none of that name.
        """
        for wording in self.wordings:
            if wording.name == name:
                return wording
        raise EvalitaError(f"task {self.name} has no wording {name!r}; it has {[wording.name for wording in self.wordings]}")

    def prompt(self, wording: Wording, fields: Mapping[str, Any]) -> tuple[str, str]:
        """Instruction and input of an item in one wording."""
        return wording.prompt(self.prompt_fields(fields))

    @property
    def open_questions(self) -> tuple[str, ...]:
        """Everything about the task that no source confirmed, its metrics included."""
        return (*self.unverified, *(f"metric {metric.name}: {metric.unverified}" for metric in self.metrics if metric.unverified))
