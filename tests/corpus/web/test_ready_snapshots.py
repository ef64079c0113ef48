"""Ready corpora as snapshots: from files to documents, and as replay text."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from corpus.web.errors import WebCorpusError
from corpus.web.made.bundled import load_pages
from corpus.web.settings import ReadyCorpus, ReplaySettings, SnapshotSettings, WebSettings
from corpus.web.stages import stages
from foundation.sources.data import SAMPLES_ROOT
from foundation.stages import Stage, StageResult

Runner = Callable[..., StageResult]
NAME = "clean_mc4_it-tiny"


def _rows(language: str) -> list[dict[str, str]]:
    pages = [page for page in load_pages(SAMPLES_ROOT / "web" / "pages.yaml", "crawl") if page.language == language]
    return [{"text": "\n".join(page.paragraphs), "timestamp": f"2020-02-{1 + place % 28:02d}T22:24:31Z", "url": page.url} for place, page in enumerate(pages)]


def _write(folder: Path, rows: list[dict[str, str]], kind: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "parquet":
        pl.DataFrame(rows).write_parquet(folder / "part-0.parquet")
    else:
        half = len(rows) // 2
        for number, part in enumerate((rows[:half], rows[half:])):
            lines = "\n".join(json.dumps(row) for row in part)
            (folder / f"c4-it.tfrecord-{number:05d}.json.gz").write_bytes(gzip.compress(lines.encode()))
    return folder


@pytest.fixture
def corpus_sections(sections: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    def build(folder: Path, **columns: Any) -> dict[str, Any]:
        corpora = {NAME: ReadyCorpus(location=str(folder), **columns)}
        return {**sections, "corpus.web.snapshot": SnapshotSettings(source="bundled", corpora=corpora)}

    return build


def test_a_ready_corpus_goes_the_whole_way(
    stage_runner: Runner, web: WebSettings, corpus_sections: Callable[..., dict[str, Any]], benchmark_stage: Stage, tmp_path: Path
) -> None:
    rows = [*_rows("ita"), *_rows("eng"), {"text": "", "timestamp": "never", "url": "https://nothing.example/"}]
    chosen = corpus_sections(_write(tmp_path / "corpus", rows, "json.gz"))
    graph = (*stages(web), benchmark_stage)
    stage_runner(graph, chosen, "benchmark_sets")
    found = {asset: stage_runner(graph, chosen, asset, NAME, snapshots=(NAME,)).published for asset in ("snapshot", "documents", "signals", "decisions")}
    documents = found["documents"].read("documents")
    assert set(documents["url"]) <= {row["url"] for row in _rows("ita")} and documents.height > 20
    empty = ["warc_path", "warc_offset", "warc_record_id", "payload_digest", "charset", "extractor", "tdm_reservation", "noai", "robots_disallowed"]
    assert all(documents[column].null_count() == documents.height for column in empty)
    assert documents["fetch_time"].null_count() == 0
    skipped = found["documents"].statistics["skipped"]
    assert skipped["no_text"] == 1 and skipped["other_language"] >= 1
    assert found["documents"].statistics["records"] == documents.height + sum(skipped.values())
    assert found["decisions"].rows == documents.height
    assert found["decisions"].read("decisions")["failed_rules"].list.contains("rights_noai").sum() == 0
    for asset in ("duplicate_clusters", "clean_corpus"):
        assert stage_runner(graph, chosen, asset, snapshots=(NAME,)).published.rows


def test_rows_do_not_depend_on_the_kind_of_file(
    stage_runner: Runner, web: WebSettings, corpus_sections: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    found = []
    for kind in ("json.gz", "parquet"):
        chosen = corpus_sections(_write(tmp_path / kind, _rows("ita"), kind))
        stage_runner(stages(web), chosen, "snapshot", NAME, snapshots=(NAME,))
        found.append(stage_runner(stages(web), chosen, "documents", NAME, snapshots=(NAME,)).published.read("documents"))
    assert found[0].equals(found[1])


def test_a_moved_folder_is_the_same_corpus_and_another_column_another(
    stage_runner: Runner, web: WebSettings, corpus_sections: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    folder = _write(tmp_path / "first", [{**row, "summary": row["text"][:200]} for row in _rows("ita")], "parquet")
    here = stage_runner(stages(web), corpus_sections(folder), "snapshot", NAME, snapshots=(NAME,))
    folder = folder.rename(tmp_path / "second")
    there = stage_runner(stages(web), corpus_sections(folder), "snapshot", NAME, snapshots=(NAME,))
    assert here.published.version == there.published.version
    other = stage_runner(stages(web), corpus_sections(folder, text="summary"), "snapshot", NAME, snapshots=(NAME,))
    assert other.published.version != there.published.version


def test_replay_text_of_a_ready_corpus(stage_runner: Runner, web: WebSettings, sections: Mapping[str, Any], tmp_path: Path) -> None:
    text = "The shepherds leave the valley in June and come back when the first snow falls on the high pastures. " * 8
    rows = [{"text": f"{text}{number}", "timestamp": "2020-01-01T00:00:00Z", "url": f"https://a{number}.example/"} for number in range(12)]
    corpus = ReadyCorpus(location=str(_write(tmp_path / "english", rows, "json.gz")), licence="CC-BY-4.0")
    chosen = {**sections, "corpus.web.replay": ReplaySettings(corpus=corpus, documents=10)}
    stage_runner(stages(web), chosen, "snapshot", "SAMPLE-2026-01")
    replay = stage_runner(stages(web), chosen, "replay_text").published.read("text")
    assert replay.height == 10 and set(replay["licence"]) == {"CC-BY-4.0"}


def test_a_touched_folder_costs_no_extraction_and_a_changed_one_is_noticed(
    stage_runner: Runner, web: WebSettings, corpus_sections: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    folder = _write(tmp_path / "corpus", _rows("ita"), "parquet")
    chosen = corpus_sections(folder)

    def run(asset: str) -> StageResult:
        return stage_runner(stages(web), chosen, asset, NAME, snapshots=(NAME,))

    run("snapshot")
    run("documents")
    os.utime(folder / "part-0.parquet", (1, 1))
    assert not run("snapshot").reused and run("documents").reused
    _write(folder, _rows("ita")[:10], "parquet")
    with pytest.raises(WebCorpusError, match=r"part-0\.parquet changed since the snapshot"):
        stage_runner(stages(web), {**chosen, "corpus.web.documents": web.documents.model_copy(update={"scores_kept": 4})}, "documents", NAME, snapshots=(NAME,))
