"""Trackers of a run: refused early and clearly, told every step, and never able to end a training."""

from __future__ import annotations

import importlib.util
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.training.test_running import APART, QLORA, job
from training.errors import TrainingError
from training.running import trackers
from training.running.orders import Order
from training.running.progress import told
from training.running.runners import run_training
from training.running.trackers import TrackedRun, check_trackers

RUN = TrackedRun("adapted_model", "0123456789ab", Path("/nowhere"))
STEP = {"step": 1, "loss": 2.5, "learning_rate": 1e-3, "tokens": 96, "mfu": float("nan"), "gradient_norm": None}
SECRET = "0" * 40


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_tracker_that_is_not_installed_is_refused_before_anything_runs(name: str, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda package, *rest: None if package == name else find(package, *rest))
    running = APART.model_copy(update={"report_to": ("tensorboard", name)})
    with pytest.raises(TrainingError, match=rf"names {name}, which is not installed: pip install -c constraints.txt -e '\.\[trackers\]'"):
        run_training(job(tiny, tmp_path), QLORA, running, run=RUN)
    assert not (tmp_path / "work").exists()


@pytest.mark.usefixtures("installed")
def test_variables_that_trackers_need_are_asked_for() -> None:
    with pytest.raises(TrainingError, match=r"WANDB_API_KEY is not set; set it, or WANDB_MODE=offline"):
        check_trackers(("wandb",), {})
    with pytest.raises(TrainingError, match="MLFLOW_TRACKING_URI is not set"):
        check_trackers(("tensorboard", "mlflow"), {"WANDB_API_KEY": SECRET})
    check_trackers(("wandb",), {"WANDB_MODE": "offline"})
    check_trackers(("wandb", "mlflow"), {"WANDB_API_KEY": SECRET, "MLFLOW_TRACKING_URI": "http://127.0.0.1:1"})


def test_a_tracker_that_fails_later_is_left_out_with_a_warning(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    seen: list[Any] = []

    @contextmanager
    def failing(run: TrackedRun) -> Iterator[Any]:
        def watch(entry: Any) -> None:
            seen.append(entry["step"])
            if entry["step"] == 2:
                raise OSError("the server is gone")

        yield watch
        raise OSError("still gone")

    monkeypatch.setitem(trackers._TRACKERS, "tensorboard", failing)  # type: ignore[index]
    with told(tmp_path / "progress", TrackedRun("model", "01", tmp_path, ("tensorboard",))) as watch:
        for step in (1, 2, 3):
            watch({"step": step})
    assert seen == [1, 2]
    assert (tmp_path / "progress").read_text().count("\n") == 3
    assert "takes no more steps of model-01, which goes on without it: the server is gone" in caplog.text and "did not close" in caplog.text


def test_one_that_does_not_take_the_run_is_told_at_once_and_an_error_of_the_training_stays_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ended: list[bool] = []

    @contextmanager
    def refusing(run: TrackedRun) -> Iterator[Any]:
        raise ValueError("no such project")
        yield

    @contextmanager
    def taking(run: TrackedRun) -> Iterator[Any]:
        try:
            yield lambda entry: None
        except BaseException:
            ended.append(False)
            raise
        ended.append(True)

    run = TrackedRun("model", "01", tmp_path, ("tensorboard",))
    monkeypatch.setitem(trackers._TRACKERS, "tensorboard", refusing)  # type: ignore[index]
    with pytest.raises(TrainingError, match="tensorboard does not take the run model-01: no such project"), told(None, run):
        pass
    monkeypatch.setitem(trackers._TRACKERS, "tensorboard", taking)  # type: ignore[index]
    with pytest.raises(KeyboardInterrupt), told(None, run):
        raise KeyboardInterrupt
    with told(None, run):
        pass
    assert ended == [False, True]


def test_values_that_are_no_numbers_are_no_points() -> None:
    assert trackers._values(STEP) == {"training/loss": 2.5, "training/learning_rate": 1e-3, "training/tokens": 96.0}


@pytest.mark.services
def test_mlflow_holds_hyperparameters_and_metrics_by_step(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real run in files; a second start of the same run goes on in it."""
    mlflow = pytest.importorskip("mlflow", reason="no MLflow here: pip install -c constraints.txt -e '.[trackers]'")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    running = APART.model_copy(update={"report_to": ("mlflow",)})
    run_training(job(tiny, tmp_path / "a"), QLORA, running, run=RUN)
    client = mlflow.MlflowClient((tmp_path / "mlruns").as_uri())
    experiment = client.get_experiment_by_name("transumanza")
    (found,) = client.search_runs([experiment.experiment_id])
    assert (found.info.run_name, found.info.status) == ("adapted_model-0123456789ab", "FINISHED")
    assert found.data.params["lora.rank"] == "4" and found.data.params["base"] == "tiny" and "micro_rows" not in found.data.params
    losses = client.get_metric_history(found.info.run_id, "training/loss")
    assert [metric.step for metric in losses] == [1, 2, 3, 4, 5, 6]
    with told(None, TrackedRun(RUN.asset, RUN.fingerprint, tmp_path, ("mlflow",), {"seed": 4})) as watch:
        watch({**STEP, "step": 7})
    assert [metric.step for metric in client.get_metric_history(found.info.run_id, "training/loss")] == [1, 2, 3, 4, 5, 6, 7]
    assert len(client.search_runs([experiment.experiment_id])) == 1


def logged(data: bytes) -> Iterator[bytes]:
    """Records of a W&B file: LevelDB's log format (blocks of 32 KiB; checksum, length and kind before each piece) behind 7 bytes."""
    place, record = 7, b""
    while place < len(data):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        record += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last piece
            yield record
            record = b""


@pytest.mark.services
def test_wandb_writes_the_run_offline_and_no_key(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="no W&B here: pip install -c constraints.txt -e '.[trackers]'")
    from wandb.proto import wandb_internal_pb2

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    monkeypatch.setenv("WANDB_DIR", str(tmp_path / "board"))
    (tmp_path / "board").mkdir()
    one = job(tiny, tmp_path / "a")
    run_training(one, QLORA, APART.model_copy(update={"report_to": ("wandb",)}), run=TrackedRun(RUN.asset, RUN.fingerprint, tmp_path))
    (path,) = (tmp_path / "board").glob("wandb/offline-run-*/*.wandb")
    records = [wandb_internal_pb2.Record.FromString(data) for data in logged(path.read_bytes())]
    (begun,) = [record.run for record in records if record.WhichOneof("record_type") == "run"]
    assert (begun.run_id, begun.display_name, begun.project) == ("adapted_model-0123456789ab", "adapted_model-0123456789ab", "transumanza")
    config = {item.key: item.value_json for item in begun.config.update}
    assert config["base"] == '"tiny"' and '"rank":4' in config["lora"].replace(" ", "")
    steps = [record.history.step.num for record in records if record.WhichOneof("record_type") == "history"]
    assert steps == [1, 2, 3, 4, 5, 6]
    made = [file for file in (*one.work.rglob("*"), *(tmp_path / "board").rglob("*")) if file.is_file()]
    assert Order(one.work).document in made and not any(SECRET.encode() in file.read_bytes() for file in made)
