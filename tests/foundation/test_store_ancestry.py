"""The ancestry of a build, from the records of a store alone."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from foundation.sources.data import DataFolder
from foundation.stages import Stage, StageContext, StageReport, Workplace, run_stage
from foundation.store import Store, TableSpec
from foundation.store.ancestry import SourceFile, ancestry
from foundation.store.erasure import erase
from tests.foundation.erasable_line import MIXED, run_line

FILES = TableSpec("files", pa.schema([("path", pa.string()), ("kind", pa.string()), ("sha256", pa.string())]), key=("path",))


def test_a_model_down_to_its_archives_and_each_ancestor_once(tmp_path: Path) -> None:
    def snapshot(context: StageContext) -> StageReport:
        with context.staging.table(FILES) as table:
            table.write([{"path": "crawl-data/a.warc.gz", "kind": "warc", "sha256": "1" * 64}, {"path": "crawl-data/b.warc.gz", "kind": "warc", "sha256": None}])
        return StageReport()

    def other(context: StageContext) -> StageReport:
        (context.staging.files / "x").write_text(context.asset, encoding="utf-8")
        return StageReport()

    own = tmp_path / "data" / "list.txt"
    own.parent.mkdir()
    own.write_text("x", encoding="utf-8")
    stages = (
        Stage("snapshot", "1", "sources", snapshot, partitioned=True, user_files=lambda setup: [own]),
        Stage("documents", "1", "corpus", other, upstream=("snapshot",), partitioned=True),
        Stage("signals", "1", "corpus", other, upstream=("documents",), partitioned=True),
        Stage("model", "1", "training", other, upstream=("signals", "documents"), reproducible=False),
    )
    graph = {stage.asset: stage for stage in stages}
    store = Store(tmp_path / "store")
    place = Workplace(store, tmp_path, "demo", {}, ("A", "B"), DataFolder(own.parent), seed=1)
    for stage in stages:
        for part in ("A", "B") if stage.partitioned else (None,):
            made = run_stage(stage, graph, place, part)
    found = list(ancestry(store, made.record))
    assert [(one.depth, one.key.asset, one.key.partition, one.repeated) for one in found] == [
        (0, "model", None, False),
        *((depth + 1, asset, part, False) for part in "AB" for depth, asset in enumerate(("signals", "documents", "snapshot"))),
        *((1, "documents", part, True) for part in "AB"),
    ]  # fmt: skip
    files = next(one.files for one in found if one.key.asset == "snapshot")
    assert files[0].kind == "user file" and files[0].path.endswith("list.txt") and files[1:] == (
        SourceFile("warc", "crawl-data/a.warc.gz", "1" * 64), SourceFile("warc", "crawl-data/b.warc.gz", None)
    )  # fmt: skip


def test_what_was_erased_says_so(tmp_path: Path) -> None:
    model = run_line(tmp_path)["model"].record
    store = Store(tmp_path / "store")
    erase(store, domains=["rossi.example"], mixed=MIXED)
    assert [(one.key.asset, one.record is None, "was withdrawn" in one.note) for one in ancestry(store, model)] == [("model", False, False), ("tokens", True, True)]
