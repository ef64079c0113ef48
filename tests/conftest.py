"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Without a deadline for each example: the first one imports and compiles, which on a busy machine takes longer than Hypothesis' 200 ms.
settings.register_profile("transumanza", deadline=None)
settings.load_profile("transumanza")

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"
CACHE = ROOT / ".transumanza" / "cache"
"""Downloads of the tests are kept between runs, so that only the first one needs a network."""


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real inputs beside the checkout; the test skips where they are absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("needs the real inputs in ../shared/data, which are not part of the repository")
    return SHARED_DATA


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home folder whose downloads are those of all tests."""
    folder = tmp_path / "home"
    folder.mkdir()
    CACHE.mkdir(parents=True, exist_ok=True)
    (folder / "cache").symlink_to(CACHE)
    return folder


@pytest.fixture
def stage_runner(home: Path) -> Callable[..., Any]:
    """Run stages in a store of their own: ``stage_runner(stages, sections, asset, partition=None, data=None)``."""
    from foundation.execution import Engine
    from foundation.sources.data import DataFolder
    from foundation.stages import Stage, StageResult, Workplace, run_stage
    from foundation.store import Store

    def run(
        stages: tuple[Stage, ...],
        sections: Mapping[str, Any],
        asset: str,
        partition: str | None = None,
        data: Path | None = None,
        snapshots: tuple[str, ...] = ("SAMPLE-2026-01",),
        workers: int = 1,
    ) -> StageResult:
        graph = {stage.asset: stage for stage in stages}
        workplace = Workplace(
            store=Store(home / "store"),
            home=home,
            profile="test",
            sections=sections,
            snapshots=snapshots,
            data=DataFolder(data),
            seed=20260101,
            engine=Engine(workers=workers),
        )
        return run_stage(graph[asset], graph, workplace, partition)

    return run
