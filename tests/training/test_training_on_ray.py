"""Training as a task of a real Ray of this machine: the result of the subprocess runner, progress, errors, and a lost task."""

from __future__ import annotations

import importlib.util
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tqdm import tqdm

from foundation.execution import ExecutionError
from tests.conftest import ROOT
from tests.training.test_running import APART, QLORA, adapter, job, lock_holder, same, told, when
from training.errors import TrainingError
from training.packing import Row
from training.running.orders import Order
from training.running.runners import run_training
from training.settings import RunningSettings

pytestmark = [
    pytest.mark.services,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="no Ray here: pip install -c constraints.txt -e '.[ray]'"),
]


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ray's workers find the project, besides what is on the path already."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))))
    yield
    import ray

    assert not ray.is_initialized()  # what was started is stopped


def on_ray(**ray: Any) -> RunningSettings:
    return RunningSettings.model_validate({"runner": "ray", "report_to": [], "ray": {"memory_gb": 0.5, **ray}})


def test_a_task_of_ray_trains_what_a_subprocess_does(tiny: Path, tmp_path: Path) -> None:
    """Identical to the bit, log and weights; also after the process that trains was killed on its node."""
    bars: list[tqdm] = []

    def progress(total: int | None, label: str, unit: str) -> tqdm:
        bars.append(tqdm(total=total, disable=False, file=(tmp_path / "bar").open("w")))
        return bars[0]

    expected = run_training(job(tiny, tmp_path / "apart"), QLORA, APART)
    made = run_training(job(tiny, tmp_path / "ray", progress=progress), QLORA, on_ray())
    assert list(made.fitted.log) == list(expected.fitted.log)
    assert same(adapter(tmp_path / "ray"), adapter(tmp_path / "apart"))
    assert (bars[0].total, bars[0].n) == (6, 6)

    killed = job(tiny, tmp_path / "killed")
    order = Order(killed.work)
    killer = when(lambda: told(order) >= 4, lambda: os.kill(lock_holder(order), signal.SIGKILL))
    with pytest.raises(TrainingError, match=r"killed by signal 9.*goes on from its last checkpoint"):
        run_training(killed, QLORA, on_ray())
    killer.join()
    resumed = run_training(killed, QLORA, on_ray())
    assert resumed.fitted.resumed_at == 3 and list(resumed.fitted.log) == list(expected.fitted.log)
    assert same(adapter(tmp_path / "killed"), adapter(tmp_path / "apart"))


def test_errors_and_what_does_not_fit_are_told(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="none of its 2 rows has a target"):
        run_training(job(tiny, tmp_path / "a", rows=[Row([5, 6], [2], [False, False])]), QLORA, on_ray())
    with pytest.raises(ExecutionError, match=r"no node of the Ray cluster has 1 cores, 64 GPUs and 0\.5 GB .* lower training\.running\.ray\.cpus, gpus and memory_gb"):
        run_training(job(tiny, tmp_path / "b"), QLORA, on_ray(gpus=64))
    with pytest.raises(ExecutionError, match=r"Ray at 127\.0\.0\.1:1 cannot be reached.*training\.running\.ray\.address"):
        run_training(job(tiny, tmp_path / "c"), QLORA, on_ray(address="127.0.0.1:1"))
