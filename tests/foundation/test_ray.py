"""Shards on a real Ray of this machine: same bytes, failures told, a killed run and a killed shard survived."""

from __future__ import annotations

import importlib.util
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from foundation.execution import Engine, ExecutionError, ExecutionSettings, run_shards
from tests.conftest import ROOT
from tests.foundation.shard_functions import contents, done, listeners, record, shards_of

pytestmark = [
    pytest.mark.services,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="no Ray here: pip install -c constraints.txt -e '.[ray]'"),
]
NUMBERS = [5, 1, 4]


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ray's workers find the tests' functions."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    yield
    import ray

    assert not ray.is_initialized()  # what was started is stopped


def engine(workers: int = 2, **ray: Any) -> Engine:
    return Engine(ExecutionSettings.model_validate({"engine": "ray", "ray": {"memory_gb_per_task": 0.1, **ray}}), workers)


def run(shards: list[dict[str, Any]], work: Path, chosen: Engine) -> list[Path]:
    return run_shards(record, shards, work, "squares", suffix=".json", engine=chosen, label="documents")


def test_same_bytes_as_here(tmp_path: Path) -> None:
    paths = run(shards_of(tmp_path, NUMBERS), tmp_path, engine())
    elsewhere = tmp_path / "local"
    elsewhere.mkdir()
    assert contents(paths) == contents(run(shards_of(elsewhere, NUMBERS), elsewhere, Engine()))
    assert sorted(done(tmp_path)) == sorted(NUMBERS)
    assert sorted(path.name for path in (tmp_path / "squares").iterdir()) == ["00000.json", "00001.json", "00002.json"]
    assert contents(run(shards_of(tmp_path, NUMBERS), tmp_path, engine())) == contents(paths)
    assert sorted(done(tmp_path)) == sorted(NUMBERS)


def test_failed_and_killed_shards_are_told_and_only_they_are_done_again(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    flag.touch()
    shards = [*shards_of(tmp_path, [1, 2]), *shards_of(tmp_path, [3], fail=str(flag)), *shards_of(tmp_path, [4], die=str(flag))]
    with pytest.raises(ExecutionError, match=r"documents: 2 of 4 shards failed on Ray. shard 00002 \(.*ValueError: bad page in number 3"):
        run(shards, tmp_path, engine())
    reason = (tmp_path / "squares" / "00003.json.error").read_text()
    assert "shard 00003" in reason and "its process was killed, most likely for memory" in reason
    flag.unlink()
    paths = run(shards, tmp_path, engine())
    assert [json.loads(path.read_text())["square"] for path in paths] == [1, 4, 9, 16]
    assert sorted(done(tmp_path)) == [1, 2, 3, 3, 4, 4]
    assert not list((tmp_path / "squares").glob("*.error"))


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    shards = [*shards_of(tmp_path, [1]), *shards_of(tmp_path, [2, 3], seconds=60)]
    code = (
        "import json, sys; from pathlib import Path; from tests.foundation import test_ray as t;"
        "t.run(json.loads(sys.argv[1]), Path(sys.argv[2]), t.engine())"
    )
    running = subprocess.Popen([sys.executable, "-c", code, json.dumps(shards), str(tmp_path)], cwd=ROOT)
    deadline = time.monotonic() + 40
    while not ((tmp_path / "squares" / "00000.json").exists() and len(done(tmp_path)) == 3):
        assert running.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    running.send_signal(signal.SIGKILL)
    running.wait()
    began = len(done(tmp_path))
    paths = run(shards_of(tmp_path, [1, 2, 3]), tmp_path, engine())
    assert [json.loads(path.read_text())["square"] for path in paths] == [1, 4, 9]
    assert sorted(done(tmp_path)[began:]) == [2, 3]


@pytest.mark.skipif(shutil.which("ss") is None, reason="needs the command ss (Debian: iproute2)")
def test_it_listens_on_this_machine_alone(tmp_path: Path) -> None:
    (path,) = run_shards(listeners, ["now"], tmp_path, "listeners", suffix=".txt", engine=engine(1))
    addresses = path.read_text().split()
    assert len(addresses) >= 3
    assert all("127.0.0.1" in address for address in addresses), addresses


def test_what_fits_no_node_and_nobody_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ExecutionError, match=r"no node of the Ray cluster has 1 cores and 99999\.0 GB"):
        run(shards_of(tmp_path, [1]), tmp_path, engine(memory_gb_per_task=99_999))
    with pytest.raises(ExecutionError, match=r"Ray at 127\.0\.0\.1:1 cannot be reached.*execution\.ray\.address"):
        run(shards_of(tmp_path, [1]), tmp_path, engine(address="127.0.0.1:1"))
