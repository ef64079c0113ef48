"""An order: a training job as a file that another process carries out, and what came of it, as a file again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from training.adapters.choice import MergeChoice
from training.fitting import Fitted
from training.packing import Row
from training.recipes import Job, Judging, Outcome
from training.row_files import RowFile, write_rows
from training.running.trackers import TrackedRun
from training.settings import FitSettings, MergingSettings


@dataclass(frozen=True)
class Order:
    """Paths of one job below its work folder."""

    work: Path

    @property
    def document(self) -> Path:
        """The job."""
        return self.work / "order.json"

    @property
    def output(self) -> Path:
        """Where results are made; a later process finds them there."""
        return self.work / "output"

    @property
    def outcome(self) -> Path:
        """What came of it; written last, so that its presence says that the results are whole."""
        return self.work / "outcome.json"

    @property
    def progress(self) -> Path:
        """One line per step."""
        return self.work / "progress.jsonl"

    @property
    def failure(self) -> Path:
        """Kind and message of the error that ended the last attempt."""
        return self.work / "failure.json"

    def rows(self, split: str) -> Path:
        """Packed rows of a split."""
        return self.work / f"rows-{split}.arrow"


def write_order(order: Order, job: Job, settings: FitSettings, *, run: TrackedRun | None) -> None:
    """Write rows and job, the latter last and whole."""
    order.work.mkdir(parents=True, exist_ok=True)
    for split, rows in (("train", job.rows), ("validation", job.validation)):
        _place_rows(order.rows(split), rows)
    document = {
        "base": str(job.base.absolute()),
        "base_name": job.base_name,
        "seed": job.seed,
        "template": job.template,
        "judging": None if job.judging is None else {"texts": list(job.judging.texts), "limits": job.judging.limits.model_dump(mode="json")},
        "sharded": job.sharded,
        "run": None if run is None else {**asdict(run), "home": str(run.home)},
        "settings": settings.model_dump(mode="json", include=set(FitSettings.model_fields)),
    }
    part = order.document.with_suffix(".part")
    part.write_text(json.dumps(document), encoding="utf-8")
    part.replace(order.document)


def _place_rows(path: Path, rows: Sequence[Row]) -> None:
    if isinstance(rows, RowFile) and rows.path == path:
        return
    write_rows(path, rows)


def read_order(order: Order) -> tuple[Job, FitSettings, TrackedRun | None]:
    """The job, its settings, and what trackers are told of it."""
    document = json.loads(order.document.read_text(encoding="utf-8"))
    judging = document["judging"]
    job = Job(
        base=Path(document["base"]),
        base_name=document["base_name"],
        rows=RowFile(order.rows("train")),
        output=order.output,
        work=order.work,
        seed=document["seed"],
        progress=lambda total, label, unit: tqdm(total=total, disable=True),
        validation=RowFile(order.rows("validation")),
        template=document["template"],
        judging=None if judging is None else Judging(judging["texts"], MergingSettings.model_validate(judging["limits"])),
        sharded=document["sharded"],
    )
    run = document["run"]
    tracked = None if run is None else TrackedRun(**{**run, "home": Path(run["home"]), "to": tuple(run["to"])})
    return job, FitSettings.model_validate(document["settings"]), tracked


def write_outcome(order: Order, outcome: Outcome) -> None:
    """Say that the results are whole, and what was measured."""
    part = order.outcome.with_suffix(".part")
    part.write_text(json.dumps(asdict(replace(outcome, fitted=replace(outcome.fitted, log=list(outcome.fitted.log))))), encoding="utf-8")
    part.replace(order.outcome)


def read_outcome(order: Order) -> Outcome:
    """What was measured."""
    document: dict[str, Any] = json.loads(order.outcome.read_text(encoding="utf-8"))
    merges = document["merges"]
    return Outcome(**{**document, "fitted": Fitted(**document["fitted"]), "merges": None if merges is None else MergeChoice(**merges)})
