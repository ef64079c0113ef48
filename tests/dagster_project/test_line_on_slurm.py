"""The line through Dagster on a real Slurm: the same versions as here, also when Dagster is killed while its job goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dagster_project.instance import dagster_home
from dagster_project.whole_line import materialize_everything
from foundation.execution import JobSubmitted
from tests.conftest import ROOT
from tests.dagster_project.line_on_shards import SNAPSHOTS, line, sharded
from tests.foundation.shard_functions import done
from tests.slurm_cluster import slurm_cluster

pytestmark = pytest.mark.services
ON_SLURM = ("execution.engine=slurm", "execution.slurm.memory_gb=0.5", "execution.slurm.poll_s=0.2")


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        with slurm_cluster():
            yield


def versions(home: Path) -> list[str]:
    store = line(home).workplace.store
    return [store.resolve(asset, part, ref="smoke").version for asset, part in (*(("squares", name) for name in SNAPSHOTS), ("collected", None))]


def until_made(home: Path) -> set[str]:
    """Run the line again and again; the jobs that were told."""
    told: set[str] = set()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            assert materialize_everything(line(home, sharded, *ON_SLURM))
            return told
        except JobSubmitted as submitted:
            told.update(submitted.job_id.split(", "))
            time.sleep(0.5)
    raise AssertionError("the line does not end")


def test_same_versions_and_a_killed_dagster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    monkeypatch.setenv("DAGSTER_HOME", str(dagster_home(here, "smoke")))
    assert materialize_everything(line(here))
    monkeypatch.setenv("DAGSTER_HOME", str(dagster_home(there, "smoke")))
    code = (
        "import sys; from pathlib import Path; from dagster_project.whole_line import materialize_everything;"
        "from tests.dagster_project import test_line_on_slurm as t;"
        "materialize_everything(t.line(Path(sys.argv[1]), t.sharded, *t.ON_SLURM, 'execution.slurm.wait=true'))"
    )
    running = subprocess.Popen([sys.executable, "-c", code, str(there)], cwd=ROOT, env={**os.environ})
    deadline = time.monotonic() + 60
    while not done(there):
        assert running.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    running.send_signal(signal.SIGKILL)
    running.wait()
    told = until_made(there)
    assert versions(there) == versions(here)
    assert len(told) <= 2  # one job a snapshot
    assert sorted(done(there)) == [1, 2, 3, 11, 12, 13]
