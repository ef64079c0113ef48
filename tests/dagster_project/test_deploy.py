"""What stands in deploy/: Dagster's settings, example profiles; the smoke line on a real PostgreSQL."""

from __future__ import annotations

import json
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
from tests.servers import s3_server

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
@pytest.mark.timeout(1800)
def test_the_smoke_line_on_postgresql_and_s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With deploy/dagster-postgres.yaml and TRANSUMANZA_STORE on an S3-compatible server: the whole line, its events in the database and its
    versions on the server, neither in a file of the home folder; a second run, and a machine that has only the URL, find it whole."""
    home, dagster, remote = tmp_path / "home", tmp_path / "dagster", tmp_path / "remote"
    for folder in (home / "cache", dagster, remote):
        folder.mkdir(parents=True)
    CACHE.mkdir(parents=True, exist_ok=True)
    for path in CACHE.iterdir():
        if path.name != "stores":  # mirrors of this store are this test's own
            (home / "cache" / path.name).symlink_to(path)
    with postgres_server() as server, s3_server(remote) as objects:
        settings = (DEPLOY / "dagster-postgres.yaml").read_text().replace("port: 5432", f"port: {server.port}")
        (dagster / "dagster.yaml").write_text(settings)
        secrets = (server.password, objects.environment["AWS_SECRET_ACCESS_KEY"])
        for name, value in {
            **objects.environment,
            "AWS_ENDPOINT_URL": objects.endpoint,
            "TRANSUMANZA_STORE": f"{objects.url}store",
            "TRANSUMANZA_HOME": str(home),
            "DAGSTER_HOME": str(dagster),
            "DAGSTER_PG_HOST": "127.0.0.1",
            "DAGSTER_PG_USERNAME": server.user,
            "DAGSTER_PG_PASSWORD": server.password,
            "DAGSTER_PG_DB": server.database,
            "PYTHONPATH": str(ROOT),
        }.items():
            monkeypatch.setenv(name, value)
        command = [sys.executable, "-c", "from dagster_project.cli import main; main()", "--profile", "smoke"]
        factory = Factory(load_profile("smoke", []), home, DataFolder(None))
        for said in (f"{len(factory.builds())} published", "nothing changed"):
            run = subprocess.run([*command, "demo"], capture_output=True, text=True, check=False, timeout=900)
            assert run.returncode == 0 and said in run.stdout, run.stdout[-1500:] + run.stderr[-3000:]
            assert not any(secret in run.stdout + run.stderr for secret in secrets)
        query = (
            "import dagster, json\n"
            "with dagster.DagsterInstance.get() as instance:\n"
            "    print(json.dumps([type(instance.event_log_storage).__name__, instance.get_runs_count(), len(instance.all_asset_keys())]))"
        )
        asked = subprocess.run([sys.executable, "-c", query], capture_output=True, text=True, check=True)
        storage, runs, assets = json.loads(asked.stdout.splitlines()[-1])
        assert (storage, runs, assets) == ("PostgresEventLogStorage", 2, len(factory.stages))
        assert not (dagster / "history").exists() and not (home / "store").exists()
        shutil.rmtree(home / "cache" / "stores")  # from here on a machine that has only the URL
        import s3fs

        s3fs.S3FileSystem.clear_instance_cache()
        assert {state.state for state in states(factory)} == {"current"}
        store = factory.workplace.store
        assert type(store).__name__ == "MirroredStore" and store.assets() == sorted(factory.stages)
        assert store.resolve("clean_corpus", ref="smoke").read("text").height > 0
        assert all(path.read_bytes().find(secret.encode()) < 0 for path in remote.rglob("*.json") for secret in secrets)
        s3fs.S3FileSystem.clear_instance_cache()
