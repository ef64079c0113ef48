"""Files that versions have in common are links, and damage is never shared."""

from __future__ import annotations

from pathlib import Path

from foundation.sources.data import DataFolder
from foundation.stages import Stage, StageContext, StageReport, Workplace, run_stage
from foundation.store import PublishedVersion, Store
from foundation.store.collection import Limits, collect


def _run(home: Path, name: str) -> PublishedVersion:
    def build(context: StageContext) -> StageReport:
        (context.staging.files / "weights.bin").write_bytes(b"the same" * 1000)
        (context.staging.files / "notes.txt").write_text(name, encoding="utf-8")
        return StageReport()

    return run_stage(Stage("model", name, "training", build), {}, Workplace(Store(home / "store"), home, "demo", {}, (), DataFolder(None), seed=1)).published


def test_unchanged_files_are_links_and_outlive_the_version_they_came_from(tmp_path: Path) -> None:
    first, second = _run(tmp_path, "one"), _run(tmp_path, "two")
    assert (first.files / "weights.bin").samefile(second.files / "weights.bin") and not (first.files / "notes.txt").samefile(second.files / "notes.txt")
    assert collect(Store(tmp_path / "store"), Limits(min_age_s=0)).versions == (first.key,)
    assert second.damage(hashes=True) == [] and (second.files / "weights.bin").stat().st_nlink == 1


def test_a_damaged_file_is_not_shared(tmp_path: Path) -> None:
    first = _run(tmp_path, "one")
    (first.files / "weights.bin").write_bytes(b"another!" * 1000)
    assert _run(tmp_path, "two").damage(hashes=True) == []
