"""Two processes of torchrun on the CPU (gloo): the loss curve of one process, with whole copies and with shares; a kill and the rest."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.conftest import ROOT
from tests.training.test_running import HERE, QLORA, job, lock_holder, same, told, when
from training.errors import TrainingError
from training.running.orders import Order
from training.running.runners import run_training
from training.settings import FitSettings, RunningSettings

pytestmark = pytest.mark.services
TWO = RunningSettings(runner="torchrun", processes=2, report_to=())
PLAIN = QLORA.model_copy(update={"lora": QLORA.lora.model_copy(update={"dropout": 0.0})})
"""Without dropout, whose draws differ from process to process."""


@pytest.mark.parametrize(("method", "sharding", "saved"), [("qlora", "ddp", "adapter/adapter_model"), ("full", "ddp", "merged/model"), ("full", "fsdp", "merged/model")])
def test_two_processes_are_one_and_go_on_after_a_kill(tiny: Path, tmp_path: Path, method: str, sharding: str, saved: str) -> None:
    settings = FitSettings.model_validate({**PLAIN.model_dump(), "method": method, "learning_rate": 1e-3})
    running = TWO.model_copy(update={"sharding": sharding})
    alone = run_training(job(tiny, tmp_path / "alone"), settings, HERE)
    whole = run_training(job(tiny, tmp_path / "whole"), settings, running)
    for key in ("loss", "gradient_norm"):
        assert [entry[key] for entry in whole.fitted.log] == pytest.approx([entry[key] for entry in alone.fitted.log], rel=1e-4)
    assert [entry["targets"] for entry in whole.fitted.log] == [entry["targets"] for entry in alone.fitted.log]
    assert whole.validation_after == pytest.approx(alone.validation_after, rel=1e-4)

    killed = job(tiny, tmp_path / "killed")
    order = Order(killed.work)
    killer = when(lambda: told(order) >= 4, lambda: os.kill(lock_holder(order), signal.SIGKILL))
    with pytest.raises(TrainingError):
        run_training(killed, settings, running)
    killer.join()
    with pytest.raises(TrainingError, match="was written by 2 processes, and there are 1 now"):
        run_training(killed, settings, HERE)
    resumed = run_training(killed, settings, running)
    assert resumed.fitted.resumed_at == 3
    assert list(resumed.fitted.log) == list(whole.fitted.log)
    files = [load_file(tmp_path / name / "made" / f"{saved}.safetensors") for name in ("whole", "killed", "alone")]
    assert same(files[1], files[0])
    assert all((files[2][name].float() - tensor.float()).abs().max() < 2e-2 for name, tensor in files[0].items())


@pytest.mark.parametrize(("runner", "processes"), [("subprocess", 1), ("torchrun", 2)])
def test_a_starter_that_is_killed_leaves_a_checkpoint(tiny: Path, tmp_path: Path, runner: str, processes: int) -> None:
    """Nobody asks the processes to end: they see that the other end of their standard input is gone."""
    settings = PLAIN.model_copy(update={"checkpoint_steps": 10_000, "steps": 2_000})
    running = RunningSettings.model_validate({"runner": runner, "processes": processes, "report_to": []})
    code = (
        "import sys; from pathlib import Path; from tests.training.test_running import job; from training.running.runners import run_training;"
        "from training.settings import AdaptationSettings, RunningSettings;"
        "run_training(job(Path(sys.argv[1]), Path(sys.argv[2])), AdaptationSettings.model_validate_json(sys.argv[3]), RunningSettings.model_validate_json(sys.argv[4]))"
    )
    order = Order(tmp_path / "work")
    command = [sys.executable, "-c", code, str(tiny), str(tmp_path), settings.model_dump_json(), running.model_dump_json()]
    starter = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    deadline = time.monotonic() + 200
    while told(order) < 2:
        assert starter.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    while not order.failure.is_file():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert '"Stopped"' in order.failure.read_text()
    done = json.loads((order.work / "checkpoint" / "state.json").read_text())["step"]
    assert 2 <= done < 2_000
    rest = run_training(job(tiny, tmp_path), settings.model_copy(update={"steps": done + 1}), running)
    assert rest.fitted.resumed_at == done


def test_the_sharing_that_does_not_fit_is_told(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="sharding is fsdp, and method qlora trains an adapter"):
        run_training(job(tiny, tmp_path / "a"), QLORA, TWO.model_copy(update={"sharding": "fsdp"}))


def test_an_odd_step_is_refused_by_every_process(tiny: Path, tmp_path: Path) -> None:
    settings = QLORA.model_copy(update={"rows_per_step": 3})
    with pytest.raises(TrainingError, match="rows_per_step 3 cannot be shared by 2 processes"):
        run_training(job(tiny, tmp_path / "a"), settings, TWO)
