"""Settings of the EVALITA workshop; the profile section ``evalita``."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Literal

from pydantic import Field, field_validator

from foundation.settings import Settings

ALL_TASKS = (
    "wic_ita", "nermud", "sentipolc_polarity", "sentipolc_subjectivity", "sentipolc_irony", "erte3", "discotex", "xcopa"
)  # fmt: skip


class RawSettings(Settings):
    """Which task sets are read, and from where."""

    tasks: tuple[str, ...] = Field(ALL_TASKS, description="Tasks to read; one whose files are absent counts as missing.")
    origin: Literal["auto", "samples"] = Field(
        "auto", description="auto: the user's folder where TRANSUMANZA_DATA is set, else the samples. samples: always the samples."
    )


class BenchmarkFile(Settings):
    """Test items of one more benchmark, out of a file of the user's folder.

    SQuAD-it as distributed: ``file: squad-it/SQuAD_it-test.json.gz, rows: data.paragraphs.qas, columns: [context, question]``.
    """

    name: str
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
    """How items become instruction rows."""

    tasks: tuple[str, ...] = Field(
        tuple(name for name in ALL_TASKS if name != "xcopa"),
        description="Tasks that give training rows; xcopa is left to evaluation, as it is in common benchmark suites.",
    )
    evaluation_tasks: tuple[str, ...] = Field(ALL_TASKS, description="Tasks that give test rows.")
    max_train_rows: int | None = Field(None, ge=0, description="Training rows per task; none: all of them.")
    max_validation_rows: int | None = Field(None, ge=0, description="Validation rows per task.")
    max_test_rows: int | None = Field(None, ge=0, description="Test rows per task; official scores need all of them.")
    validation_share: float = Field(
        0.05, ge=0, lt=1, description="Share of training groups that validate where a task has no dev split; ExtremITA's 95/5."
    )
    mirrored_pairs: bool = Field(True, description="Add each training pair with its sentences swapped, as ExtremITA did for WiC-ITA.")
    wordings: tuple[str, ...] | None = Field(
        None, description="Names of the wordings that training rows are drawn from; none: all that a task has. Tests use a task's first."
    )


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
