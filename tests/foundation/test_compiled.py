"""Compiled loops work wherever they are installed, and are compiled once where anything can be written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from foundation.execution import compiled
from foundation.execution.compiled import VARIABLE, keep_below, kept_in
from tests.conftest import ROOT

LOOPS = """
from foundation.execution.compiled import compiled

@compiled
def total(count):
    found = 0
    for number in range(count):
        found += number
    return found
"""
RUN = "import sys; sys.path.insert(0, sys.argv[1]); import loops; print(loops.total(5), len(loops.total.stats.cache_hits), len(loops.total.stats.cache_misses))"


@pytest.fixture
def read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module with a loop where none of numba's places can be made, for root neither: files stand in their way."""
    folder = tmp_path / "installed"
    folder.mkdir()
    (folder / "loops.py").write_text(LOOPS, encoding="utf-8")
    (folder / "__pycache__").touch()
    monkeypatch.setattr(compiled, "BESIDE", folder / "__pycache__")
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/cache")
    monkeypatch.setenv("HOME", "/dev/null/home")
    monkeypatch.setenv(VARIABLE, "")  # as unset, and put back afterwards whoever sets it
    if "numba" in sys.modules:
        monkeypatch.setattr(sys.modules["numba"].config, "CACHE_DIR", sys.modules["numba"].config.CACHE_DIR)
    return folder


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([sys.executable, "-c", RUN, str(folder)], env=environment, capture_output=True, text=True, check=False)


def test_a_read_only_installation_and_home_compile_in_memory_and_say_so(read_only: Path) -> None:
    done = run(read_only)
    assert done.returncode == 0 and done.stdout.split()[0] == "10", done.stderr
    assert done.stderr.count(f"set {VARIABLE} to a folder of yours") == 1


def test_the_state_folder_keeps_them_for_all_processes(read_only: Path, tmp_path: Path) -> None:
    assert kept_in() is None
    keep_below(tmp_path / "home")
    assert kept_in() == tmp_path / "home" / "cache" / "numba"
    assert [run(read_only).stdout for _ in range(2)] == ["10 0 1\n", "10 1 0\n"]


def test_a_place_of_the_users_goes_first_and_one_that_cannot_be_written_is_passed_over(
    read_only: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "mine"))
    keep_below(tmp_path / "home")
    assert kept_in() == tmp_path / "mine" and not (tmp_path / "mine").exists()
    monkeypatch.setenv(VARIABLE, "/dev/null/mine")
    monkeypatch.setattr(compiled, "BESIDE", tmp_path / "beside")
    assert kept_in() == tmp_path / "beside"
