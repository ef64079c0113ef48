"""Shards of rows: cut by text alone, and a killed run goes on with the batches that it had finished."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.translation.toy_argos import toy_pairs
from translation import tables
from translation.row_shards import RowCounts, shards_of

ORIGIN = {"source": "toy", "revision": "1", "licence": "CC0-1.0", "source_id": None, "changes": [], "messages_cut": 0, "cut_before": None}


def chat(number: int, *contents: str) -> dict[str, Any]:
    messages = [{"role": "user" if index % 2 == 0 else "assistant", "content": content} for index, content in enumerate(contents)]
    return {"id": f"toy-{number:05d}", "messages": messages, **ORIGIN}


def written(path: Path, rows: list[dict[str, Any]], group: int) -> Path:
    pq.write_table(pa.Table.from_pylist(rows, schema=tables.SOURCE_CHATS.schema), path, row_group_size=group)
    return path


def test_shards_hold_about_so_many_characters_and_every_row_once(tmp_path: Path) -> None:
    rows = [chat(number, "x" * (number % 7), "y" * (number % 5)) for number in range(57)] + [chat(57, "z" * 500, "w")]
    first = written(tmp_path / "a.parquet", rows, 10)
    shards = shards_of([first], "chats", 40)
    assert shards == shards_of([written(tmp_path / "a.parquet", rows, 3)], "chats", 40), "row groups do not matter"
    assert [start for _, start, _, _ in shards] == [0, *(start + count for _, start, count, _ in shards)][:-1]
    assert sum(count for _, _, count, _ in shards) == len(rows)
    assert all(characters >= 40 for *_, characters in shards[:-1])
    assert shards_of([first], "chats", 10_000) == [[str(first), 0, 58, sum(size for *_, size in shards)]]
    assert shards_of([written(tmp_path / "none.parquet", [], 3)], "chats", 40) == []


SCRIPT = """
import functools, json, sys
from pathlib import Path
from foundation.execution import run_shards
from foundation.language.sentences import SentenceSettings
from translation.engines import argos, argos_package
from translation.row_shards import RowsJob, shards_of, translate_rows
from translation.settings import ArgosSettings, ChatsSettings, GateSettings, InstructionsSettings
from translation.translate import Translator

if __name__ == "__main__":
    package, source, items, identifier, cache, work, compute_type = sys.argv[1:]
    settings = ArgosSettings(compute_type=compute_type, batch_tokens=32)
    choice = argos.choice_of(argos_package.unpack(Path(package), Path(cache), "en", "it"), settings)
    job = RowsJob("chats", Translator(choice, SentenceSettings(), cache=Path(cache)), GateSettings(), ChatsSettings(), InstructionsSettings(), identifier, "it", (items,))
    run_shards(functools.partial(translate_rows, job=job), shards_of([Path(source)], "chats", 60_000), Path(work), "rows", suffix="")
"""


def entries(cache: Path) -> int:
    found = list((cache / "translations").glob("*.sqlite"))
    try:
        return sqlite3.connect(f"file:{found[0]}?mode=ro", uri=True, timeout=30).execute("SELECT count(*) FROM translations").fetchone()[0] if found else 0
    except sqlite3.OperationalError:  # the table is being made
        return 0


@pytest.mark.parametrize("compute_type", ["float32", "int8"])
def test_killed_in_the_middle_and_run_again(compute_type: str, toy_package: Path, tiny_identifier: Path, tmp_path: Path) -> None:
    pairs = [source.replace(" .", f" {number} .") for number, (source, _) in enumerate(toy_pairs(1_800, seed=3))]
    rows = [chat(number, " ".join(pairs[number * 6 : number * 6 + 3]), " ".join(pairs[number * 6 + 3 : number * 6 + 6])) for number in range(300)]
    source = written(tmp_path / "source.parquet", rows, 100)
    items = pa.table({name: pa.array([], pa.string()) for name in ("benchmark", "item_id", "text")})
    pq.write_table(items, tmp_path / "items.parquet")
    (tmp_path / "run.py").write_text(SCRIPT)

    def command(cache: Path, work: Path) -> list[str]:
        return [sys.executable, str(tmp_path / "run.py"), str(toy_package), str(source), str(tmp_path / "items.parquet"), str(tiny_identifier), str(cache), str(work), compute_type]

    process = subprocess.Popen(command(tmp_path / "cache", tmp_path / "work"), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while entries(tmp_path / "cache") < 300 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -9, "killed while at work"
    finished = entries(tmp_path / "cache")
    before = [RowCounts.read_from(folder) for folder in sorted((tmp_path / "work/rows").glob("[0-9]*[0-9]")) if folder.is_dir()]
    shutil.rmtree(tmp_path / "work/rows.jobs", ignore_errors=True)

    for cache, work in (("cache", "work"), ("fresh", "whole")):
        subprocess.run(command(tmp_path / cache, tmp_path / work), check=True, timeout=300, stderr=subprocess.DEVNULL)
    resumed, whole = (sorted((tmp_path / work / "rows").iterdir()) for work in ("work", "whole"))
    assert [folder.name for folder in resumed] == [folder.name for folder in whole]
    for name in ("kept.parquet", "quarantine.parquet"):
        for one, other in zip(resumed, whole, strict=True):
            assert pl.read_parquet(one / name).equals(pl.read_parquet(other / name))
    counts = [RowCounts.read_from(folder).effort for folder in resumed]
    efforts = [RowCounts.read_from(folder).effort for folder in whole]
    asked = sum(effort.sentences - effort.cached for effort in counts[len(before) :])
    assert finished + asked == sum(effort.sentences - effort.cached for effort in efforts), "no sentence of a finished batch was translated twice"
    assert [effort.sentences for effort in counts] == [effort.sentences for effort in efforts]
