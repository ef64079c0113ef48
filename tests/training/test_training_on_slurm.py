"""Training as a job of a real single-node Slurm: handed over, adopted after its starter was killed, requeued with a checkpoint."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from foundation.execution import JobSubmitted
from tests.conftest import ROOT
from tests.slurm_cluster import slurm_cluster
from tests.training.test_running import HERE, QLORA, adapter, job, same, told
from training.recipes import Outcome
from training.running.orders import Order
from training.running.runners import run_training
from training.settings import RunningSettings

pytestmark = pytest.mark.services
SLURM = {"memory_gb": 3, "cpus": 1, "time": "20", "poll_s": 0.5}
HANDED_OVER = RunningSettings.model_validate({"runner": "slurm", "report_to": [], "slurm": SLURM})
WAITING = RunningSettings.model_validate({"runner": "slurm", "report_to": [], "slurm": {**SLURM, "wait": True}})


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        with slurm_cluster():
            yield


def until_done(tiny: Path, folder: Path, settings: object = QLORA) -> tuple[Outcome, set[str]]:
    """Ask again and again, as a person would; the outcome, and the jobs that were told."""
    ids: set[str] = set()
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        try:
            return run_training(job(tiny, folder), settings, HANDED_OVER), ids  # type: ignore[arg-type]
        except JobSubmitted as submitted:
            ids.add(submitted.job_id)
            time.sleep(0.5)
    raise AssertionError("the job does not end")


def until(condition: object, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_job_is_adopted_after_its_starter_was_killed(tiny: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.training import test_training_on_slurm as t;"
        "t.run_training(t.job(Path(sys.argv[1]), Path(sys.argv[2])), t.QLORA, t.WAITING)"
    )
    order = Order(tmp_path / "there" / "work")
    starter = subprocess.Popen([sys.executable, "-c", code, str(tiny), str(tmp_path / "there")], cwd=ROOT)
    until(lambda: order.progress.is_file() or starter.poll() is not None)
    assert starter.poll() is None
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    outcome, ids = until_done(tiny, tmp_path / "there")
    here = run_training(job(tiny, tmp_path / "here"), QLORA, HERE)
    assert len(ids) <= 1 and outcome.fitted.resumed_at == 0
    assert list(outcome.fitted.log) == list(here.fitted.log)
    assert same(adapter(tmp_path / "there"), adapter(tmp_path / "here"))


def test_a_pre_empted_job_saves_its_state_and_comes_back(tiny: Path, tmp_path: Path) -> None:
    """SIGTERM to the whole job, as Slurm sends it before it takes a node away: a checkpoint, the queue, and the same job goes on."""
    settings = QLORA.model_copy(update={"checkpoint_steps": 10_000, "steps": 300})
    order = Order(tmp_path / "work")
    with pytest.raises(JobSubmitted) as submitted:
        run_training(job(tiny, tmp_path), settings, HANDED_OVER)
    until(lambda: told(order) >= 3)
    subprocess.run(["scancel", "--signal=TERM", "--full", submitted.value.job_id], check=True)
    until((order.work / "checkpoint" / "state.json").is_file)
    outcome, ids = until_done(tiny, tmp_path, settings)
    assert ids == {submitted.value.job_id}, "the same job"
    assert 0 < outcome.fitted.resumed_at < 300 and len(outcome.fitted.log) == 300
    assert (tmp_path / "made" / "merged").is_dir()
