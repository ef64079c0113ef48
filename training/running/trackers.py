"""Trackers that are told every step besides the progress file: TensorBoard, Weights & Biases, MLflow.

What is imported is what was asked for. Keys and addresses are the trackers' own environment variables; none of them is written into
an order, a log or a record.
"""

from __future__ import annotations

import importlib.util
import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.errors import TrainingError
from training.fitting import Watch

SCALARS = ("loss", "learning_rate", "gradient_norm", "tokens", "tokens_per_second", "mfu", "peak_memory_mb", "micro_rows")
PROJECT = "transumanza"
"""Project of W&B and experiment of MLflow, where WANDB_PROJECT and MLFLOW_EXPERIMENT_NAME name no other."""
RUN_TAG = "transumanza.run"
"""By this tag a run that goes on finds its MLflow run again."""
_PACKAGES = {"tensorboard": "tensorboard", "wandb": "wandb", "mlflow": "mlflow"}
_EXTRAS = {"tensorboard": "training", "wandb": "trackers", "mlflow": "trackers"}
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrackedRun:
    """A training run as trackers show it. ``config``: its hyperparameters, nested; ``home``: below it lie the files of TensorBoard and W&B."""

    asset: str
    fingerprint: str
    home: Path
    to: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Asset and fingerprint: the same when a run goes on."""
        return f"{self.asset}-{self.fingerprint}"


def check_trackers(names: tuple[str, ...], environment: Mapping[str, str] = os.environ) -> None:
    """See, before anything is computed, that each tracker is installed and knows where to report.

    Raises:
        TrainingError: a package or a variable of the environment is missing.
    """
    for name in names:
        if importlib.util.find_spec(_PACKAGES[name]) is None:
            raise TrainingError(
                f"training.running.report_to names {name}, which is not installed: pip install -c constraints.txt -e '.[{_EXTRAS[name]}]', or leave it out"
            )
    if "wandb" in names and environment.get("WANDB_MODE", "online") not in ("offline", "disabled") and not environment.get("WANDB_API_KEY"):
        raise TrainingError("training.running.report_to names wandb, and WANDB_API_KEY is not set; set it, or WANDB_MODE=offline for files below the state folder")
    if "mlflow" in names and not environment.get("MLFLOW_TRACKING_URI"):
        raise TrainingError("training.running.report_to names mlflow, and MLFLOW_TRACKING_URI is not set; set it to the server's address")


@contextmanager
def tracked(run: TrackedRun, name: str) -> Iterator[Watch]:
    """A function that reports every step to one tracker.

    One that fails later than at its start is left out from there on, with a warning: a model is worth more than its curve.

    Raises:
        TrainingError: it is not installed, lacks a variable, or does not take the run.
    """
    check_trackers((name,))
    opened = _TRACKERS[name](run)
    try:
        report = opened.__enter__()
    except Exception as error:  # each tracker has errors of its own
        raise TrainingError(f"{name} does not take the run {run.name}: {error}") from error
    failed = False

    def watch(entry: Mapping[str, Any]) -> None:
        nonlocal failed
        if failed:
            return
        try:
            report(entry)
        except Exception as error:
            failed = True
            _LOG.warning("%s takes no more steps of %s, which goes on without it: %s", name, run.name, error)

    ended_well = False
    try:
        yield watch
        ended_well = True
    finally:
        try:
            opened.__exit__(*((None, None, None) if ended_well else (_Ended, _Ended("ended early"), None)))
        except _Ended:
            pass
        except Exception as error:
            _LOG.warning("%s did not close the run %s: %s", name, run.name, error)


class _Ended(Exception):
    """Told to a tracker whose run did not come to its end."""


def _values(entry: Mapping[str, Any]) -> dict[str, float]:
    """Metrics of a step by name; what is not measured or not finite is no point of a curve."""
    found = {f"training/{name}": entry.get(name) for name in SCALARS}
    return {name: float(value) for name, value in found.items() if value is not None and math.isfinite(value)}


@contextmanager
def _tensorboard(run: TrackedRun) -> Iterator[Watch]:
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(run.home / "tensorboard" / run.asset / run.fingerprint))

    def watch(entry: Mapping[str, Any]) -> None:
        for name, value in _values(entry).items():
            writer.add_scalar(name, value, entry["step"])

    try:
        yield watch
    finally:
        writer.close()


@contextmanager
def _wandb(run: TrackedRun) -> Iterator[Watch]:
    """Neither code, console nor the state of the repository are sent."""
    import wandb

    run.home.mkdir(parents=True, exist_ok=True)
    session = wandb.init(
        project=os.environ.get("WANDB_PROJECT", PROJECT),
        id=run.name,
        name=run.name,
        resume=None if os.environ.get("WANDB_MODE") == "offline" else "allow",
        config=dict(run.config),
        dir=os.environ.get("WANDB_DIR", str(run.home)),
        settings=wandb.Settings(console="off", silent=True, disable_git=True, disable_code=True, save_code=False),
    )
    try:
        yield lambda entry: session.log(_values(entry), step=entry["step"])
    except BaseException:
        session.finish(exit_code=1)
        raise
    session.finish()


@contextmanager
def _mlflow(run: TrackedRun) -> Iterator[Watch]:
    """A run of that name in the experiment is gone on with."""
    from mlflow import MlflowClient

    client = MlflowClient()
    experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
    known = client.get_experiment_by_name(experiment)
    place = client.create_experiment(experiment) if known is None else known.experiment_id
    found = client.search_runs([place], f"tags.`{RUN_TAG}` = '{run.name}'", max_results=1)
    if found:
        number = found[0].info.run_id
        client.update_run(number, status="RUNNING")
    else:
        number = client.create_run(place, run_name=run.name, tags={RUN_TAG: run.name}).info.run_id
        for key, value in _flat(run.config).items():
            client.log_param(number, key, value)

    def watch(entry: Mapping[str, Any]) -> None:
        for name, value in _values(entry).items():
            client.log_metric(number, name, value, step=entry["step"])

    try:
        yield watch
    except BaseException:
        client.set_terminated(number, status="FAILED")
        raise
    client.set_terminated(number)


def _flat(config: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested keys joined by dots."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat |= _flat(value, f"{before}{key}.") if isinstance(value, Mapping) else {f"{before}{key}": value}
    return flat


_TRACKERS: Mapping[str, Callable[[TrackedRun], AbstractContextManager[Watch]]] = {"tensorboard": _tensorboard, "wandb": _wandb, "mlflow": _mlflow}
