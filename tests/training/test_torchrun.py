"""Two processes of torchrun on the CPU (gloo): the loss curve of one process, with whole copies and with shares; a kill and the rest."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file

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


def test_the_sharing_that_does_not_fit_is_told(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="sharding is fsdp, and method qlora trains an adapter"):
        run_training(job(tiny, tmp_path / "a"), QLORA, replace_sharding("fsdp"))


def replace_sharding(sharding: str) -> RunningSettings:
    return TWO.model_copy(update={"sharding": sharding})


def test_an_odd_step_is_refused_by_every_process(tiny: Path, tmp_path: Path) -> None:
    settings = QLORA.model_copy(update={"rows_per_step": 3})
    with pytest.raises(TrainingError, match="rows_per_step 3 cannot be shared by 2 processes"):
        run_training(replace(job(tiny, tmp_path / "a")), settings, TWO)
