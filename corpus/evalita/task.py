"""What a task is: its files, wordings, answers and metric, declared as data in one module of ``corpus.evalita.tasks``.

Belongs here: the types of a declaration and what every task shares. Reading a format, wording a prompt or counting a
score belongs to the task's own module, ``formats``, ``answers`` and ``metrics``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from corpus.evalita.metrics import Metric
from foundation.errors import TransumanzaError

Split = Literal["train", "dev", "test"]
"""The official splits; a task without a ``dev`` split gets its validation rows from ``train``, whole groups at a time."""

Label = Any
"""A gold value as JSON: a class (string or number) or, for entities, a list of ``[first token, end token, type]``."""


class EvalitaError(TransumanzaError):
    """A distributed file, a setting or an answer table cannot be used."""


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

    kind: Literal["empty", "unknown_word", "malformed"]
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
        """The words of the answer code, which count in the template's hash."""
        ...


@dataclass(frozen=True)
class Wording:
    """One way to put a task into words.

    ``instruction`` and ``input`` are ``str.format`` templates over the task's prompt fields. A ``lossless`` wording
    keeps every label: ``decode(encode(label)) == label``. ``names_labels`` says that the prompt itself lists all answers.
    """

    name: str
    source: str
    instruction: str
    input: str
    answer: Answer
    lossless: bool = True
    names_labels: bool = True

    def prompt(self, fields: Mapping[str, Any]) -> tuple[str, str]:
        """Instruction and input of an item; nothing is cut or cleaned."""
        return self.instruction.format(**fields), self.input.format(**fields)

    @property
    def sha256(self) -> str:
        """Hash of the templates and of the answer code."""
        document = [self.instruction, self.input, self.answer.describe()]
        return hashlib.sha256(json.dumps(document, ensure_ascii=False).encode()).hexdigest()


@dataclass(frozen=True)
class Access:
    """Who gives the files out, and how."""

    kind: Literal["open", "request"]
    where: str


@dataclass(frozen=True)
class Task:
    """One task: everything that is particular to it.

    ``files`` are paths below the data folder, all of them needed. ``read`` gets them by that path and yields items of
    the official splits. ``prompt_fields`` derives what the templates need from an item's fields. ``texts`` gives the
    texts by which copies are found in other splits and corpora. ``baseline`` learns from training items and answers
    like a model. ``subset`` names a field whose values are also scored one by one. ``mirror`` gives an equivalent item
    for training (a swapped pair).
    """

    name: str
    title: str
    files: tuple[str, ...]
    read: Callable[[Mapping[str, Path]], Iterable[Item]]
    wordings: tuple[Wording, ...]
    metric: Metric
    texts: Callable[[Mapping[str, Any]], Sequence[str]]
    baseline: Callable[[Sequence[Item]], Callable[[Mapping[str, Any]], Label]]
    baseline_name: str
    licences: tuple[str, ...]
    access: Access
    source: str
    revision: str
    prompt_fields: Callable[[Mapping[str, Any]], Mapping[str, Any]] = field(default=lambda fields: fields)
    subset: str | None = None
    mirror: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None

    def __post_init__(self) -> None:
        if not self.wordings or not self.wordings[0].lossless:
            raise EvalitaError(f"task {self.name}: its first wording is used for evaluation and must be lossless")

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


def majority_class(items: Sequence[Item]) -> Callable[[Mapping[str, Any]], Label]:
    """A baseline that always answers the most frequent training class; of equals, the first in sorted order."""
    counts: dict[str, int] = {}
    labels: dict[str, Label] = {}
    for item in items:
        key = json.dumps(item.label, ensure_ascii=False)
        counts[key] = counts.get(key, 0) + 1
        labels[key] = item.label
    if not counts:
        return lambda _fields: None
    best = labels[min(counts, key=lambda key: (-counts[key], key))]
    return lambda _fields: best
