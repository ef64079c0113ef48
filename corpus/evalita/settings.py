"""Settings of the EVALITA workshop; the profile section ``evalita``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Literal

from pydantic import Field, field_validator, model_validator

from corpus.evalita.tasks import TASKS
from foundation.settings import Settings

ALL_TASKS = tuple(TASKS)


def _known(names: Iterable[str], *, parts: bool = False) -> None:
    """Whether tasks exist; with ``parts``, ``task/part`` names one part of a task that has parts.

    Raises:
        ValueError: one does not.
    """
    for name in names:
        task, _, part = name.partition("/")
        if task not in TASKS or (part and not parts):
            raise ValueError(f"no task {name!r}; there are {', '.join(ALL_TASKS)}")
        if part and TASKS[task].subset is None:
            raise ValueError(f"{name!r}: task {task!r} has no parts")


def _known_wordings(names: Iterable[str]) -> None:
    """Whether some task has a wording of each name.

    Raises:
        ValueError: none has.
    """
    declared = {name for task in TASKS.values() for wording in task.wordings for name in (wording.name, f"{task.name}/{wording.name}")}
    for name in names:
        if name not in declared:
            raise ValueError(f"no task has a wording {name!r}; there are {', '.join(sorted(entry for entry in declared if '/' not in entry))}, or <task>/<wording>")


class RawSettings(Settings):
    """Which task sets are read, and from where."""

    tasks: tuple[str, ...] = Field(ALL_TASKS, description="Tasks to read; one whose files are absent counts as missing.")
    origin: Literal["auto", "samples"] = Field(
        "auto", description="auto: the user's folder where TRANSUMANZA_DATA is set, else the samples. samples: always the samples."
    )
    accept_changed: tuple[str, ...] = Field(
        (), description="Tasks whose files may differ, in sha256 or number of rows, from those that this project was checked with."
    )
    test_share: float = Field(
        0.2,
        gt=0,
        lt=1,
        description="Share of groups that test where a task comes without a test set (CLinkaRT): by hash, whatever the seed; such scores are not official.",
    )

    @field_validator("tasks", "accept_changed")
    @classmethod
    def _existing(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        _known(value)
        return value


class BenchmarkFile(Settings):
    """Test items of one more benchmark, out of a file of the user's folder.

    SQuAD-it as distributed: ``file: squad-it/SQuAD_it-test.json.gz, rows: data.paragraphs.qas, columns: [context, question]``.
    """

    name: str = Field(description="What the benchmark is called in reports of overlap.")
    file: str = Field(
        description="Path below the user's folder: .jsonl, .json, or .tsv / .csv with a header, each also with .gz; or .parquet."
    )
    columns: tuple[str, ...] = Field(
        min_length=1, description="Columns that hold the item's text, dots leading into nested objects (`answers.text`); of a list, all its texts."
    )
    rows: str | None = Field(
        None,
        description="For .json: the keys that lead through nested lists to the rows; a row's columns may also be those of the objects it lies in. "
        "Null: the document is a list of rows.",
    )

    @field_validator("file")
    @classmethod
    def _below_folder(cls, value: str) -> str:
        if PurePosixPath(value).is_absolute() or ".." in PurePosixPath(value).parts:
            raise ValueError(f"{value} must be a path below the user's data folder")
        if not value.removesuffix(".gz").endswith((".jsonl", ".json", ".tsv", ".csv")) and not value.endswith(".parquet"):
            raise ValueError(f"{value} must end in .jsonl, .json, .tsv or .csv, with or without .gz, or in .parquet")
        return value


class BenchmarkSettings(Settings):
    """Whose test items are looked for in training text, beside those of all tasks read."""

    files: tuple[BenchmarkFile, ...] = Field((), description="More benchmarks, each in a file of the user's folder.")


class InstructionSettings(Settings):
    """How items become instruction rows.

    A task is named whole or in part: ``nermud``, or ``nermud/WN`` for the domain-specific track. A wording is named for all
    tasks that have it (``own``), or for one (``nermud/evalita-llm``); names for one task come before those for all.
    """

    tasks: tuple[str, ...] = Field(
        tuple(name for name, task in TASKS.items() if not task.evaluation_only),
        description="Tasks that give training and validation rows; xcopa is left to evaluation, as it is in common benchmark suites.",
    )
    evaluation_tasks: tuple[str, ...] = Field(ALL_TASKS, description="Tasks that give test rows.")
    max_train_rows: int | None = Field(None, ge=0, description="Training rows per task; none: all of them.")
    max_validation_rows: int | None = Field(None, ge=0, description="Validation rows per task.")
    max_test_rows: int | None = Field(None, ge=0, description="Test items per task; official scores need all of them.")
    validation_share: float = Field(
        0.05, ge=0, lt=1, description="Share of training groups that validate where a task has no dev split; ExtremITA's 95/5."
    )
    mirrored_pairs: bool = Field(True, description="Add each training pair with its sentences swapped, as ExtremITA did for WiC-ITA.")
    wordings: tuple[str, ...] | None = Field(
        None, description="Wordings that training rows are drawn from; none: all of a task that have no known fault."
    )
    test_wordings: tuple[str, ...] | None = Field(None, description="Wordings of the test rows, one row for each; none: the first of each task.")
    held_out_wordings: tuple[str, ...] = Field(
        (), description="Never trained on; test items have them beside the others, so that it shows whether a model knows more than its wording."
    )

    @field_validator("tasks", "evaluation_tasks")
    @classmethod
    def _existing(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        _known(value, parts=True)
        return value

    @model_validator(mode="after")
    def _wordings(self) -> InstructionSettings:
        for names in (self.wordings or (), self.test_wordings or (), self.held_out_wordings):
            _known_wordings(names)
        both = sorted(set(self.wordings or ()) & set(self.held_out_wordings))
        if both:
            raise ValueError(f"wordings and held_out_wordings both name {both[0]!r}; a wording that is held out is never trained on")
        return self


class ReportSettings(Settings):
    """How answers are scored."""

    resamples: int = Field(1000, ge=100, description="Bootstrap samples; 1,000 suffice for percentile intervals (Efron and Tibshirani 1993).")
    confidence: float = Field(0.95, gt=0, lt=1, description="Of the bootstrap interval.")


class EvalitaSettings(Settings):
    """The whole section."""

    raw: RawSettings = RawSettings()
    benchmarks: BenchmarkSettings = BenchmarkSettings()
    instructions: InstructionSettings = InstructionSettings()
    report: ReportSettings = ReportSettings()
