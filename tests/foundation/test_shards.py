"""Sharded runs: same results for any number of workers, and a restart does only what is missing."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from foundation.execution import ExecutionError, run_shards
from foundation.execution.datatrove_step import ShardStep


def square(shard: int, output: Path) -> None:
    output.write_text(json.dumps({"shard": shard, "square": shard * shard}))


def fail_on_three(shard: int, output: Path) -> None:
    output.write_text("begun")
    if shard == 3:
        raise ValueError("bad page in shard three")
    square(shard, output)


@pytest.mark.parametrize("workers", [1, 2])
def test_results_in_shard_order_for_any_number_of_workers(tmp_path: Path, workers: int) -> None:
    paths = run_shards(square, [5, 1, 4], tmp_path, "squares", suffix=".json", workers=workers)
    assert [json.loads(path.read_text())["square"] for path in paths] == [25, 1, 16]


@pytest.mark.parametrize("workers", [1, 2])
def test_failed_shard_keeps_the_finished_ones(tmp_path: Path, workers: int) -> None:
    with pytest.raises(ExecutionError, match="bad page in shard three"):
        run_shards(fail_on_three, [1, 2, 3], tmp_path, "squares", suffix=".json", workers=workers)
    assert not (tmp_path / "squares" / "00002.json").exists()
    first = tmp_path / "squares" / "00000.json"
    if workers == 1:
        assert first.exists()
        first.write_text(json.dumps({"square": -1}))  # a marker: finished shards are not done again
        paths = run_shards(square, [1, 2, 3], tmp_path, "squares", suffix=".json")
        assert [json.loads(path.read_text())["square"] for path in paths] == [-1, 4, 9]


def die_on_two(shard: int, output: Path) -> None:
    if shard == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    square(shard, output)


def test_killed_worker_is_said_and_does_not_hang(tmp_path: Path) -> None:
    with pytest.raises(ExecutionError, match=r"worker process was killed.*lower `workers`"):
        run_shards(die_on_two, [1, 2, 3, 4], tmp_path, "squares", suffix=".json", workers=2)
    paths = run_shards(square, [1, 2, 3, 4], tmp_path, "squares", suffix=".json", workers=2)
    assert [json.loads(path.read_text())["square"] for path in paths] == [1, 4, 9, 16]
    assert not list(tmp_path.glob("squares/*.part"))


def test_the_step_is_one_that_datatrove_runs(tmp_path: Path) -> None:
    """datatrove's executors (Slurm and Ray among them) take the same step: one task is one shard."""
    from datatrove.executor import LocalPipelineExecutor

    outputs = [tmp_path / f"{index}.json" for index in range(2)]
    step = ShardStep(square, [7, 8], [str(path) for path in outputs])
    LocalPipelineExecutor(pipeline=[step], tasks=len(step), workers=1, logging_dir=str(tmp_path / "logs")).run()
    assert [json.loads(path.read_text())["square"] for path in outputs] == [49, 64]
