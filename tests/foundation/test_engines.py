"""Engines: their settings, what is said where one cannot be had, and records of jobs; no server is started here."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from foundation.execution import Engine, ExecutionError, ExecutionSettings, run_shards
from foundation.execution.datatrove_step import ApartStep, ReportingStep, reason_file
from foundation.execution.settings import RaySettings, SlurmSettings
from foundation.execution.shard_run import ShardRun
from foundation.execution.slurm_attempts import Attempt, attempts_of, job_name_of, new_attempt
from foundation.execution.slurm_queue import ENDED, Task, summary
from foundation.settings import content_of
from tests.conftest import ROOT
from tests.foundation.shard_functions import done, record, shards_of


def sharded(folder: Path, total: int = 3, name: str = "squares") -> ShardRun:
    work = folder / name
    work.mkdir(exist_ok=True, parents=True)
    outputs = tuple(work / f"{index:05d}.json" for index in range(total))
    return ShardRun(record, shards_of(folder, list(range(total))), outputs, work, "label", Engine())


def test_no_key_of_execution_is_content() -> None:
    for settings in (ExecutionSettings(), SlurmSettings(), RaySettings()):
        assert content_of(settings) == {}


@pytest.mark.parametrize(
    ("execution", "expected"),
    [
        ({}, 3),
        ({"engine": "ray"}, 3),
        ({"engine": "ray", "ray": {"address": "auto", "tasks_at_once": 8}}, 8),
        ({"engine": "slurm", "slurm": {"tasks_at_once": 9}}, 9),
    ],
)
def test_tasks_at_once_are_those_of_the_engine(execution: dict[str, Any], expected: int) -> None:
    assert Engine(ExecutionSettings.model_validate(execution), 3).tasks_at_once == expected


def test_a_time_that_yaml_took_for_a_number_is_refused() -> None:
    assert SlurmSettings(time="2-00:00:00").time == "2-00:00:00"
    with pytest.raises(ValidationError, match="put it in quotes"):
        SlurmSettings.model_validate({"time": 43_200})  # what YAML makes of 12:00:00


@pytest.mark.parametrize(("engine", "message"), [("slurm", "there is no sbatch nor squeue on this machine"), ("ray", r"pip install .*\[ray\]")])
def test_engines_that_are_not_here_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str, message: str) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "ray", None)  # as where it is not installed
    chosen = Engine(ExecutionSettings.model_validate({"engine": engine}))
    with pytest.raises(ExecutionError, match=message):
        run_shards(record, shards_of(tmp_path, [1]), tmp_path, "squares", suffix=".json", engine=chosen)
    assert done(tmp_path) == []


@pytest.mark.parametrize("engine", ["slurm", "ray"])
def test_no_engine_is_asked_for_where_nothing_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    paths = run_shards(record, shards_of(tmp_path, [1, 2]), tmp_path, "squares", suffix=".json")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "ray", None)
    chosen = Engine(ExecutionSettings.model_validate({"engine": engine}))
    assert run_shards(record, shards_of(tmp_path, [1, 2]), tmp_path, "squares", suffix=".json", engine=chosen) == paths


def test_a_job_that_cannot_be_asked_for_stops_other_engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = sharded(tmp_path)
    new_attempt(run, [0, 1, 2], 1).with_changes(job_id="12")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ExecutionError, match=r"Slurm job 12 was submitted for these shards.*remove .*squares\.jobs"):
        run_shards(record, run.shards, tmp_path, "squares", suffix=".json")
    assert done(tmp_path) == []


def test_reasons_of_failures_stand_beside_the_results_until_the_shard_is_done(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    flag.touch()
    for kind, more, expected in (
        (ReportingStep, {"fail": str(flag)}, "shard 00000 .*ValueError: bad page in number 7"),
        (ApartStep, {"fail": str(flag)}, "shard 00000 .*ValueError: bad page in number 7"),
        (ApartStep, {"die": str(flag)}, "its process was killed, most likely for memory"),
    ):
        flag.touch()
        folder = tmp_path / f"{kind.__name__}-{next(iter(more))}"
        folder.mkdir()
        output = folder / "00000.json"
        step = kind(record, shards_of(folder, [7], **more), [str(output)])
        with pytest.raises(RuntimeError, match=expected):
            step(None, 0, 1)
        assert not output.exists() and "number" in reason_file(output).read_text()
        flag.unlink()
        step(None, 0, 1)
        assert json.loads(output.read_text()) == {"number": 7, "square": 49} and not reason_file(output).exists()
        step(None, 0, 1)  # requeued by the cluster: nothing is done twice
        assert done(folder) == [7, 7]


@given(
    waiting=st.lists(st.integers(0, 99), min_size=1, max_size=100, unique=True).map(sorted),
    array_size=st.integers(1, 120),
)
def test_every_shard_has_one_task_and_the_array_is_no_larger_than_allowed(waiting: list[int], array_size: int) -> None:
    per_task = -(-len(waiting) // array_size)
    attempt = Attempt(Path("/none"), tuple(waiting), per_task, 0.0)
    tasks = [attempt.task_of(shard) for shard in waiting]
    assert sorted({task for task in tasks if task is not None}) == list(range(-(-len(waiting) // per_task)))
    assert len(set(tasks)) <= array_size and None not in tasks
    assert attempt.task_of(100) is None


def test_records_of_jobs_are_kept_in_order_and_damage_is_said(tmp_path: Path) -> None:
    run = sharded(tmp_path)
    assert attempts_of(run) == []
    first = new_attempt(run, [0, 2], 2)
    first.save()
    assert attempts_of(run) == [first] and first.job_id is None
    told = first.with_changes(job_id="7").with_changes(reported=True)
    second = new_attempt(run, [2], 1)
    second.save()
    assert attempts_of(run) == [told, second] and (told.job_id, told.reported) == ("7", True)
    (second.folder / "submission.json").write_text("{")
    with pytest.raises(ExecutionError, match=r"submission\.json is no record of a Slurm job.*remove .*squares\.jobs"):
        attempts_of(run)


def test_job_names_differ_by_build_and_run(tmp_path: Path) -> None:
    names = {job_name_of(sharded(tmp_path / build, name=name)) for build in ("one", "two") for name in ("squares", "cubes")}
    assert len(names) == 4
    assert job_name_of(sharded(tmp_path / "one")) in names


def test_states_in_words() -> None:
    tasks = [Task("1", 0, "RUNNING", "None"), Task("1", 1, "PENDING", "Resources"), Task("1", 2, "PENDING", "Priority"), Task("1", 3, "OUT_OF_MEMORY", "OutOfMemory")]
    assert summary(tasks) == "2 pending (Priority, Resources), 1 out of memory, 1 running"
    assert [task.live for task in tasks] == [True, True, True, False]
    assert "COMPLETING" not in ENDED and "REQUEUED" not in ENDED


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_run_goes_on_with_what_is_missing(tmp_path: Path, workers: int) -> None:
    shards = [*shards_of(tmp_path, [1]), *shards_of(tmp_path, [2, 3], seconds=60)]
    code = (
        "import json, sys; from pathlib import Path; from foundation.execution import run_shards; from tests.foundation.shard_functions import record;"
        "run_shards(record, json.loads(sys.argv[1]), Path(sys.argv[2]), 'squares', suffix='.json', workers=int(sys.argv[3]))"
    )
    running = subprocess.Popen([sys.executable, "-c", code, json.dumps(shards), str(tmp_path), str(workers)], cwd=ROOT)
    deadline = time.monotonic() + 30
    while not ((tmp_path / "squares" / "00000.json").exists() and len(done(tmp_path)) == workers + 1):
        assert running.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    running.send_signal(signal.SIGKILL)
    running.wait()
    began = len(done(tmp_path))
    paths = run_shards(record, shards_of(tmp_path, [1, 2, 3]), tmp_path, "squares", suffix=".json", workers=workers)
    assert [json.loads(path.read_text())["square"] for path in paths] == [1, 4, 9]
    assert sorted(done(tmp_path)[began:]) == [2, 3]
    assert not list((tmp_path / "squares").glob("*.part"))


def test_engines_load_nothing_heavy() -> None:
    code = "import foundation.execution, sys; assert not {'datatrove', 'ray', 'loguru', 'dill'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
