"""Shards on a real Slurm of one node: handed over, found again, collected, failed and submitted anew."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from foundation.execution import Engine, ExecutionError, ExecutionSettings, JobSubmitted, run_shards
from foundation.execution.slurm import UNANSWERED_S
from foundation.execution.slurm_queue import tasks_of
from tests.conftest import ROOT
from tests.foundation.shard_functions import contents, done, offline, record, shards_of
from tests.slurm_cluster import slurm_cluster

pytestmark = pytest.mark.services
NUMBERS = [5, 1, 4]


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[Path]:
    """The folder of the cluster, whose nodes find the tests' functions."""
    earlier = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(ROOT)
    try:
        with slurm_cluster() as folder:
            yield folder
    finally:
        if earlier is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = earlier


def engine(**slurm: Any) -> Engine:
    return Engine(ExecutionSettings.model_validate({"engine": "slurm", "slurm": {"memory_gb": 0.5, "time": "5", "poll_s": 0.2, **slurm}}))


def run(shards: list[Any], work: Path, chosen: Engine, function: Any = record) -> list[Path]:
    return run_shards(function, shards, work, "squares", suffix=".json", engine=chosen, label="documents")


def until_ended(shards: list[Any], work: Path, chosen: Engine) -> list[Path]:
    """Materialize again and again, as a person would."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            return run(shards, work, chosen)
        except JobSubmitted:
            time.sleep(0.3)
    raise AssertionError("the job does not end")


def jobs(work: Path) -> set[str]:
    """Ids of all jobs that the queue knows of a run."""
    records = [json.loads(path.read_text()) for path in work.glob("squares.jobs/*/submission.json")]
    assert records
    script = next(work.glob("squares.jobs/*/launch_script.slurm")).read_text()
    name = next(line.partition("=")[2] for line in script.splitlines() if "--job-name" in line)
    return {task.job_id for task in tasks_of(name, None)}


def test_handed_over_found_again_and_collected(tmp_path: Path) -> None:
    shards = shards_of(tmp_path, NUMBERS, seconds=0.5)
    with pytest.raises(JobSubmitted, match=r"documents: Slurm job \d+ is submitted; 0 of 3 shards are done.*squeue --jobs=\d+.*materialize again") as first:
        run(shards, tmp_path, engine())
    with pytest.raises(JobSubmitted, match=r"is at work \(.*(running|pending)") as second:
        run(shards, tmp_path, engine())
    assert first.value.job_id == second.value.job_id and (second.value.done, second.value.total) == (0, 3)
    with pytest.raises(ExecutionError, match=rf"Slurm job {first.value.job_id} works on these shards.*scancel"):
        run(shards, tmp_path, Engine())  # another engine does not meddle
    paths = until_ended(shards, tmp_path, engine())
    assert jobs(tmp_path) == {first.value.job_id}
    elsewhere = tmp_path / "local"
    elsewhere.mkdir()
    local = run(shards_of(elsewhere, NUMBERS), elsewhere, Engine())
    assert contents(paths) == contents(local)
    assert sorted(done(tmp_path)) == sorted(NUMBERS)
    assert sorted(path.name for path in (tmp_path / "squares").iterdir()) == ["00000.json", "00001.json", "00002.json"]
    assert contents(run(shards, tmp_path, engine())) == contents(paths)  # and again, without a job


@pytest.mark.parametrize("recorded", [True, False])
def test_job_of_a_killed_process_is_adopted(tmp_path: Path, recorded: bool) -> None:
    """The process that submits is killed while it waits; without its record of the id, the job is found by its name."""
    shards = shards_of(tmp_path, NUMBERS, seconds=1)
    code = (
        "import json, sys; from pathlib import Path; from tests.foundation import test_slurm as t;"
        "t.run(json.loads(sys.argv[1]), Path(sys.argv[2]), t.engine(wait=True))"
    )
    submitting = subprocess.Popen([sys.executable, "-c", code, json.dumps(shards), str(tmp_path)], cwd=ROOT)
    record_path = tmp_path / "squares.jobs" / "0001" / "submission.json"
    deadline = time.monotonic() + 20
    while not (record_path.exists() and json.loads(record_path.read_text())["job_id"]):
        assert submitting.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    submitting.send_signal(signal.SIGKILL)
    submitting.wait()
    document = json.loads(record_path.read_text())
    if not recorded:
        record_path.write_text(json.dumps({**document, "job_id": None}))
    with pytest.raises(JobSubmitted) as adopted:
        run(shards, tmp_path, engine())
    assert adopted.value.job_id == document["job_id"]
    paths = until_ended(shards, tmp_path, engine())
    assert [json.loads(path.read_text())["square"] for path in paths] == [25, 1, 16]
    assert jobs(tmp_path) == {document["job_id"]}
    assert sorted(done(tmp_path)) == sorted(NUMBERS)


def test_failed_and_killed_shards_are_told_and_only_they_are_submitted_anew(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    flag.touch()
    shards = [*shards_of(tmp_path, [1, 2]), *shards_of(tmp_path, [3], fail=str(flag)), *shards_of(tmp_path, [4], die=str(flag))]
    with pytest.raises(ExecutionError, match=r"(?s)2 of 4 shards have no result. shard 00002 \(.*ValueError: bad page in number 3.*Its log: .*_2\.out") as failed:
        run(shards, tmp_path, engine(wait=True))
    assert not isinstance(failed.value, JobSubmitted)
    with pytest.raises(JobSubmitted, match="is submitted; 2 of 4"):
        run(shards[:2] + shards_of(tmp_path, [3]) + shards[3:], tmp_path, engine())
    with pytest.raises(ExecutionError, match=r"(?s)1 of 4 shards.*shard 00003 .*ended in state FAILED; the last lines of its log:.*launch_pickled_pipeline"):
        until_ended(shards, tmp_path, engine())
    flag.unlink()
    paths = run(shards, tmp_path, engine(wait=True))
    assert [json.loads(path.read_text())["square"] for path in paths] == [1, 4, 9, 16]
    assert sorted(done(tmp_path)) == [1, 2, 3, 3, 4, 4, 4]
    assert not list((tmp_path / "squares").glob("*.error"))


def test_a_failed_shard_leaves_the_others_of_its_task(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    flag.touch()
    shards = [*shards_of(tmp_path, [1], fail=str(flag)), *shards_of(tmp_path, [2, 3])]
    with pytest.raises(ExecutionError, match=r"(?s)1 of 3 shards have no result. shard 00000 \(.*ValueError: bad page in number 1"):
        run(shards, tmp_path, engine(wait=True, array_size=1))
    assert done(tmp_path) == [1, 2, 3] and len(jobs(tmp_path)) == 1


def test_slurm_that_does_not_answer_leaves_the_job(tmp_path: Path, cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands are sent to a port where no controller listens; the cluster goes on."""
    shards = shards_of(tmp_path, [1])
    with pytest.raises(JobSubmitted) as submitted:
        run(shards, tmp_path, engine())
    elsewhere = tmp_path / "slurm.conf"
    lines = (cluster / "slurm.conf").read_text().splitlines()
    elsewhere.write_text("\n".join("SlurmctldPort=1" if line.startswith("SlurmctldPort") else line for line in lines) + "\nMessageTimeout=2\n")
    with monkeypatch.context() as patched:
        patched.setenv("SLURM_CONF", str(elsewhere))
        with pytest.raises(JobSubmitted, match=r"was submitted, and Slurm does not answer now \(squeue .*materialize again") as silent:
            run(shards, tmp_path, engine())
        with pytest.raises(ExecutionError, match=r"squeue .*run again later"):
            run(shards, tmp_path / "another", engine())  # no job is known of
    assert silent.value.job_id == submitted.value.job_id
    assert len(until_ended(shards, tmp_path, engine())) == 1 and jobs(tmp_path) == {submitted.value.job_id}


def test_more_shards_than_a_job_array_takes(tmp_path: Path) -> None:
    shards = shards_of(tmp_path, [1, 2, 3, 4, 5])
    paths = run(shards, tmp_path, engine(wait=True, array_size=2, tasks_at_once=2))
    assert [json.loads(path.read_text())["number"] for path in paths] == [1, 2, 3, 4, 5]
    assert len(jobs(tmp_path)) == 1


def test_a_cancelled_job_is_told_and_submitted_anew(tmp_path: Path) -> None:
    shards = shards_of(tmp_path, [1], seconds=20)
    with pytest.raises(JobSubmitted) as submitted:
        run(shards, tmp_path, engine())
    subprocess.run(["scancel", submitted.value.job_id], check=True)
    with pytest.raises(ExecutionError, match=r"shard 00000 .*ended in state CANCELLED"):
        until_ended(shards, tmp_path, engine())
    assert len(run(shards_of(tmp_path, [1]), tmp_path, engine(wait=True))) == 1


def test_what_the_cluster_is_asked_for(tmp_path: Path) -> None:
    chosen = engine(account="acme", options={"comment": "corpus"}, cpus=2, memory_gb=1, prologue=["export FROM_PROLOGUE=yes"], wait=True)
    paths = run(["HF_HUB_OFFLINE", "FROM_PROLOGUE"], tmp_path, chosen, offline)
    assert [path.read_text() for path in paths] == ["1", "yes"]
    script = next(tmp_path.glob("squares.jobs/*/launch_script.slurm")).read_text()
    for line in ("--account=acme", "--comment=corpus", "--cpus-per-task=2", "--mem-per-cpu=512M", "--time=5", "--array=0-1%32", "--requeue"):
        assert f"#SBATCH {line}\n" in script
    assert "mail" not in script and "partition" not in script and "qos" not in script and "srun" not in script
    with pytest.raises(ExecutionError, match=r"sbatch refuses the job: .*[Ii]nvalid partition.*execution\.slurm"):
        run(["HOME"], tmp_path / "other", engine(partition="none"), offline)
    began = time.monotonic()
    with pytest.raises(JobSubmitted):  # the mended profile is not kept waiting
        run(["HOME"], tmp_path / "other", engine(), offline)
    assert time.monotonic() - began < UNANSWERED_S


def test_a_process_killed_before_it_submitted_leaves_no_debt(tmp_path: Path) -> None:
    shards = shards_of(tmp_path, [1])
    attempt = tmp_path / "squares.jobs" / "0001"
    attempt.mkdir(parents=True)
    (attempt / "submission.json").write_text(json.dumps({"shards": [0], "shards_per_task": 1, "submitted_at": time.time() - UNANSWERED_S + 1, "job_id": None, "reported": False}))
    assert len(run(shards, tmp_path, engine(wait=True))) == 1
    assert done(tmp_path) == [1] and len(jobs(tmp_path)) == 1
