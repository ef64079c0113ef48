"""What stands in deploy/: Dagster's settings, example profiles; the smoke line on a real PostgreSQL."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml

from dagster_project.factory import Factory
from dagster_project.profile import load_profile
from dagster_project.staleness import states
from foundation.sources.data import DataFolder
from tests.conftest import CACHE, ROOT
from tests.postgres_server import postgres_server

DEPLOY = ROOT / "deploy"


@pytest.mark.parametrize("name", ["slurm", "ray"])
def test_example_profiles_are_valid(name: str) -> None:
    loaded = load_profile(str(DEPLOY / f"{name}.yaml"), [])
    assert loaded.profile.name == name and loaded.profile.execution.engine == name


def test_settings_for_sqlite_make_an_instance_with_limited_pools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(DEPLOY / "dagster-sqlite.yaml", tmp_path / "dagster.yaml")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.get() as instance:
        assert not instance.telemetry_enabled
        assert instance.global_op_concurrency_default_limit == 1
        assert (tmp_path / "history").is_dir()


def test_both_settings_differ_in_their_storage_and_in_runs_at_once_alone() -> None:
    sqlite, postgres = (yaml.safe_load((DEPLOY / f"dagster-{kind}.yaml").read_text()) for kind in ("sqlite", "postgres"))
    for settings in (sqlite, postgres):
        del settings["storage"], settings["concurrency"]["runs"]
    assert sqlite == postgres
    assert "root" not in sqlite["python_logs"]["managed_python_loggers"]


def test_the_container_file_copies_what_there_is() -> None:
    for line in (DEPLOY / "Containerfile").read_text().splitlines():
        if line.startswith("COPY"):
            *sources, _ = line.split()[1:]
            assert all((ROOT / source).exists() for source in sources), line
    packages = {path.name for path in ROOT.iterdir() if (path / "__init__.py").is_file() or (path / "py.typed").is_file()} - {"tests", "benchmarks"}
    text = (DEPLOY / "Containerfile").read_text()
    assert all(f"COPY {package} {package}" in text for package in packages | {"profiles", "samples"})


@pytest.mark.services
def test_the_smoke_line_on_postgresql(tmp_path: Path) -> None:
    """With deploy/dagster-postgres.yaml: the whole line, its events in the database and in no file; a second run does nothing."""
    home, dagster = tmp_path / "home", tmp_path / "dagster"
    home.mkdir()
    dagster.mkdir()
    CACHE.mkdir(parents=True, exist_ok=True)
    (home / "cache").symlink_to(CACHE)
    with postgres_server() as server:
        settings = (DEPLOY / "dagster-postgres.yaml").read_text().replace("port: 5432", f"port: {server.port}")
        (dagster / "dagster.yaml").write_text(settings)
        environment = {
            **os.environ,
            "TRANSUMANZA_HOME": str(home),
            "DAGSTER_HOME": str(dagster),
            "DAGSTER_PG_HOST": "127.0.0.1",
            "DAGSTER_PG_USERNAME": server.user,
            "DAGSTER_PG_PASSWORD": server.password,
            "DAGSTER_PG_DB": server.database,
            "PYTHONPATH": str(ROOT),
        }
        command = [sys.executable, "-c", "from dagster_project.cli import main; main()", "--profile", "smoke"]
        for said in ("30 published", "nothing changed"):
            run = subprocess.run([*command, "demo"], env=environment, capture_output=True, text=True, check=False, timeout=900)
            assert run.returncode == 0 and said in run.stdout, run.stderr[-3000:]
            assert server.password not in run.stdout + run.stderr
        query = (
            "import dagster, json\n"
            "with dagster.DagsterInstance.get() as instance:\n"
            "    print(json.dumps([type(instance.event_log_storage).__name__, instance.get_runs_count(), len(instance.all_asset_keys())]))"
        )
        asked = subprocess.run([sys.executable, "-c", query], env=environment, capture_output=True, text=True, check=True)
        storage, runs, assets = json.loads(asked.stdout.splitlines()[-1])
        factory = Factory(load_profile("smoke", []), home, DataFolder(None))
        assert (storage, runs, assets) == ("PostgresEventLogStorage", 2, len(factory.stages))
        assert not (dagster / "history").exists()
        assert {state.state for state in states(factory)} == {"current"}
