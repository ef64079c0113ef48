"""Publishing, reuse, gates, damage: readers see whole versions only."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.sources.data import DataFolder
from foundation.stages import Stage, StageContext, StageReport, Workplace, run_stage
from foundation.store import GateFailed, GateResult, NotPublished, Store, StoreError, TableSpec

PAGES = TableSpec("pages", pa.schema([("id", pa.string()), ("text", pa.string())]), key=("id",), splits=("train", "test"))


def publish(store: Store, rows: list[dict], asset: str = "pages") -> str:
    with store.stage(asset) as staging:
        with staging.table(PAGES) as table:
            table.write(rows)
        version = staging.complete({"rows": len(rows)})
        store.place(staging, version)
    return version


def rows_of(count: int, prefix: str = "") -> list[dict]:
    return [{"id": f"{index:05d}", "text": f"{prefix}pagina {index}"} for index in range(count)]


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 40), max_size=6))
def test_version_is_independent_of_how_rows_arrive(cuts: list[int], tmp_path_factory: pytest.TempPathFactory) -> None:
    store = Store(tmp_path_factory.mktemp("store"))
    rows = rows_of(40)
    expected = publish(store, rows, "whole")
    bounds = [0, *sorted(cuts), 40]
    with store.stage("parts") as staging:
        with staging.table(PAGES) as table:
            for start, end in itertools.pairwise(bounds):
                table.write(pl.DataFrame(rows[start:end], schema={"id": pl.String, "text": pl.String}))
        assert staging.complete({}) == expected


def test_wrong_rows_are_refused_with_the_row(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for rows, message in (
        ([{"id": "b", "text": ""}, {"id": "a", "text": ""}], "row 1 .*'id': 'a'.*ascending"),
        ([{"id": "a", "text": ""}, {"id": "a", "text": "x"}], "ascending"),
        ([{"id": "a"}], r"missing \['text'\]"),
        ([{"id": "a", "text": "", "more": 1}], r"not declared \['more'\]"),
    ):
        with pytest.raises(StoreError, match=message), store.stage("pages") as staging, staging.table(PAGES) as table:
            table.write(rows)
    with pytest.raises(StoreError, match="not unique"), store.stage("pages") as staging, staging.table(PAGES) as table:
        table.write([{"id": "a", "text": ""}], "train")
        table.write([{"id": "a", "text": ""}], "test")
    assert store.partitions("pages") == [] and not list(tmp_path.rglob("*.parquet"))


def test_links_among_files_are_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.stage("model") as staging:
        (staging.files / "weights").symlink_to("/etc/hostname")
        with pytest.raises(StoreError, match="link"):
            staging.complete({})


def _stage(text: str = "", *, gate: bool = True, reproducible: bool = True) -> Stage:
    def build(context: StageContext) -> StageReport:
        with context.staging.table(PAGES) as table:
            table.write(rows_of(3, text))
        return StageReport({"pages": 3}, [GateResult("enough", gate, 3, 5)])

    return Stage("pages", f"1{text}", "corpus", build, tables=(PAGES,), reproducible=reproducible)


def _workplace(tmp_path: Path, profile: str = "demo") -> Workplace:
    return Workplace(Store(tmp_path / "store"), tmp_path, profile, {}, (), DataFolder(None), seed=1)


def test_nothing_changed_means_nothing_done_in_any_profile(tmp_path: Path) -> None:
    stage = _stage()
    first = run_stage(stage, {}, _workplace(tmp_path))
    again = run_stage(stage, {}, _workplace(tmp_path))
    other = run_stage(stage, {}, _workplace(tmp_path, "other"))
    assert (first.reused, again.reused, other.reused) == (False, True, True)
    assert first.published == other.published == Store(tmp_path / "store").resolve("pages", ref="other")
    assert not (tmp_path / "work" / "pages" / "all" / first.record.fingerprint).exists()


def test_same_rows_from_other_code_are_the_same_version_with_two_records(tmp_path: Path) -> None:
    first = run_stage(_stage(), {}, _workplace(tmp_path))
    other = run_stage(Stage("pages", "2", "corpus", _stage().build), {}, _workplace(tmp_path))
    assert not other.reused and other.published == first.published
    assert len(Store(tmp_path / "store").builds("pages")) == 2


def test_failed_gate_is_recorded_and_refused_unless_allowed_by_name(tmp_path: Path) -> None:
    workplace = _workplace(tmp_path)
    result = run_stage(_stage(gate=False), {}, workplace)
    assert not result.record.passed
    with pytest.raises(GateFailed, match="enough is 3, threshold 5"):
        workplace.store.resolve("pages", ref="demo")
    assert workplace.store.resolve("pages", ref="demo", allow_failed_gates=["pages"]).rows == 3
    assert run_stage(_stage(gate=False), {}, workplace).record.gates == result.record.gates


def test_damaged_version_is_an_error_and_is_built_again(tmp_path: Path) -> None:
    workplace = _workplace(tmp_path)
    result = run_stage(_stage(), {}, workplace)
    shard = result.published.table_files("pages")[0]
    shard.write_bytes(shard.read_bytes()[:-7])
    with pytest.raises(StoreError, match="damaged"):
        workplace.store.resolve("pages", ref="demo")
    again = run_stage(_stage(), {}, workplace)
    assert not again.reused and again.published.version == result.published.version
    assert workplace.store.resolve("pages", ref="demo").read("pages").height == 3


def test_flipped_byte_is_found_by_hash(tmp_path: Path) -> None:
    published = run_stage(_stage(), {}, _workplace(tmp_path)).published
    shard = published.table_files("pages")[0]
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    assert published.damage() == [] and "sha256" in published.damage(hashes=True)[0]


def test_version_without_build_record_is_invisible(tmp_path: Path) -> None:
    store = Store(tmp_path)
    publish(store, rows_of(2))
    with pytest.raises(NotPublished):
        store.resolve("pages", ref="demo")


def test_result_not_reproducible_has_its_fingerprint_as_data_version(tmp_path: Path) -> None:
    result = run_stage(_stage(reproducible=False), {}, _workplace(tmp_path))
    assert result.published.data_version == result.record.fingerprint != result.published.version


def test_version_is_a_repository_that_datasets_opens_offline(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    published = run_stage(_stage(), {}, _workplace(tmp_path)).published
    loaded = datasets.load_dataset(str(published.path), cache_dir=str(tmp_path / "cache"))
    assert loaded["train"].num_rows == 3 and loaded["train"][2]["text"] == "pagina 2"


PUBLISHER = """
import sys, random
from pathlib import Path
from tests_store_child import run
run(Path(sys.argv[1]), int(sys.argv[2]))
"""
CHILD = """
import pyarrow as pa
from foundation.sources.data import DataFolder
from foundation.stages import Stage, StageReport, Workplace, run_stage
from foundation.store import Store, TableSpec
SPEC = TableSpec("pages", pa.schema([("id", pa.int64()), ("generation", pa.int64())]), key=("id",))
def run(home, first):
    generation = first
    while True:
        def build(context):
            with context.staging.table(SPEC) as table:
                for start in range(0, 2000, 500):
                    table.write([{"id": i, "generation": generation} for i in range(start, start + 500)])
            (context.staging.files / "note.txt").write_text("x" * generation)
            return StageReport({"generation": generation})
        stage = Stage("pages", f"v{generation}", "corpus", build)
        place = Workplace(Store(home / "store"), home, "demo", {}, (), DataFolder(None), seed=1)
        run_stage(stage, {}, place)
        generation += 1
"""


def test_kill_at_fifty_random_moments_leaves_whole_versions_only(tmp_path: Path) -> None:
    """Readers see whole versions whenever the publisher dies, generations never go back, the next run goes on."""
    (tmp_path / "tests_store_child.py").write_text(CHILD)
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{Path(__file__).parents[2]}"}
    store = Store(tmp_path / "home" / "store")
    generator = random.Random(20260101)
    last = 0
    process = None
    seen = set()
    for moment in range(50):
        if process is None:
            command = [sys.executable, "-c", PUBLISHER, str(tmp_path / "home"), str(last + 1)]
            process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
            _wait_for_generation(store, process, beyond=last)
        time.sleep(generator.uniform(0.0, 0.06))
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert process.stderr is not None
        errors = process.stderr.read().decode()
        assert "Error" not in errors, errors
        process = None
        published = store.resolve("pages", ref="demo")
        assert published.damage(hashes=True) == [], f"moment {moment}"
        frame = published.read("pages")
        generations = frame["generation"].unique().to_list()
        assert frame.height == 2000 and len(generations) == 1
        assert (published.files / "note.txt").stat().st_size == generations[0] == published.statistics["generation"]
        assert generations[0] > last, "the run after a kill published nothing"
        last = generations[0]
        seen.add(published.version)
    assert len(seen) == 50
    publish(store, rows_of(1))
    assert not (store.folder("pages") / ".staging").exists(), "what killed processes left was not removed"


def _wait_for_generation(store: Store, process: subprocess.Popen, beyond: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        refs = store.refs("pages")
        if refs and store.record("pages", ref="demo").statistics["generation"] > beyond:
            return
        if process.poll() is not None:
            raise AssertionError(process.stderr.read().decode() if process.stderr else "the publisher ended")
        time.sleep(0.005)
    raise AssertionError("the publisher made no progress in 60 s")


def test_full_disk_is_explained_and_publishes_nothing(tmp_path: Path) -> None:
    """A real full disk: a 1 MB file system in memory."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("mounting a small file system needs root")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not allow mounting a small file system")
    try:
        generator = random.Random(1)

        def build(context: StageContext) -> StageReport:
            with context.staging.table(PAGES) as table:
                for index in range(40):
                    text = generator.randbytes(100_000).hex()
                    table.write([{"id": f"{index:03d}", "text": text}])
            return StageReport()

        workplace = _workplace(disk)
        with pytest.raises(StoreError, match=r"no space left.*TRANSUMANZA_HOME"):
            run_stage(Stage("pages", "1", "corpus", build), {}, workplace)
        assert not list(disk.rglob("*.parquet")) and not list(disk.rglob("manifest.json"))
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_manifest_holds_no_time_host_or_path(tmp_path: Path) -> None:
    published = run_stage(_stage(), {}, _workplace(tmp_path)).published
    text = json.dumps(published.manifest)
    assert str(tmp_path) not in text and os.uname().nodename not in text and "20" + "26-" not in text
