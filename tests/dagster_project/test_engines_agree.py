"""The corpus stages on every engine: a real Slurm of one node and a real Ray make the versions that this machine makes."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path

import pytest

from dagster_project.factory import Factory
from dagster_project.profile import load_profile
from foundation.execution import JobSubmitted
from foundation.sources.data import DataFolder
from tests.conftest import CACHE, ROOT
from tests.slurm_cluster import slurm_cluster

pytestmark = pytest.mark.services
ASSETS = ("snapshot", "documents", "signals")


def made(home: Path, *overrides: str) -> tuple[list[str], int]:
    """Versions of the assets of one snapshot, and how often work was handed over."""
    home.mkdir()
    CACHE.mkdir(parents=True, exist_ok=True)
    (home / "cache").symlink_to(CACHE)
    factory = Factory(load_profile("smoke", ["corpus.web.snapshot.source=bundled", *overrides]), home, DataFolder(None))
    (snapshot,) = factory.loaded.profile.snapshots
    versions, handed_over, deadline = [], 0, time.monotonic() + 120
    while len(versions) < len(ASSETS):
        assert time.monotonic() < deadline
        try:
            versions.append(factory.run(ASSETS[len(versions)], snapshot).published.version)
        except JobSubmitted:
            handed_over += 1
            time.sleep(0.5)
    return versions, handed_over


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    versions, handed_over = made(tmp_path_factory.mktemp("local") / "home")
    assert handed_over == 0
    return versions


def test_slurm(here: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with slurm_cluster():
        versions, handed_over = made(tmp_path / "home", "execution.engine=slurm", "execution.slurm.memory_gb=1")
    assert versions == here and handed_over >= 2


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="no Ray here: pip install -c constraints.txt -e '.[ray]'")
def test_ray(here: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    assert made(tmp_path / "home", "workers=2", "execution.engine=ray") == (here, 0)


def test_two_local_workers(here: list[str], tmp_path: Path) -> None:
    assert made(tmp_path / "home", "workers=2") == (here, 0)
