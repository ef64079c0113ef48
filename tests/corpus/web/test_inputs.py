"""Inputs that are missing, older than one another, or in another form than expected."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import polars as pl
import pytest

from corpus.web import clean, clean_build, replay, snapshot
from corpus.web.errors import WebCorpusError
from corpus.web.evaluation_text import wikinews_rows
from corpus.web.extraction import Extracted, PageExtractor
from corpus.web.rights.page import Rights
from corpus.web.settings import CleanSettings, EvaluationTextSettings, ReplaySettings, SnapshotSettings, WebSettings
from corpus.web.stages import stages
from corpus.web.warc.reading import Response, read_records
from corpus.web.warc.writing import Capture, write_index, write_warc
from foundation.execution import Engine
from foundation.language.identification import LanguageScore
from foundation.language.words import load_tokenizer
from foundation.sources.data import DataFolder
from foundation.sources.debian import DebianPackages
from foundation.sources.downloads import Downloads, NotStaged
from foundation.stages import StageContext, StageResult, StageSetup
from foundation.store import Store
from foundation.store.erased import NOTHING_ERASED
from foundation.store.history import History

DOCUMENTS = pl.DataFrame(
    {
        "document_id": ["a", "b"],
        "snapshot": ["S", "S"],
        "url": ["https://a.example/", "https://b.example/"],
        "registered_domain": ["a.example", "b.example"],
        "licence": [None, "CC0-1.0"],
        "language": ["it", "it"],
        "text": ["prima riga", "altra riga"],
        "characters": [10, 10],
    },
    schema_overrides={"licence": pl.String},
)
DECISIONS = pl.DataFrame(
    {
        "document_id": ["a", "b"],
        "passes_rules": [True, True],
        "first_failed": [None, None],
        "failed_rules": [[], []],
        "removed_lines": [[], []],
        "kept_characters": [10, 10],
        "overlap": [[], []],
    },
    schema_overrides={"first_failed": pl.String, "failed_rules": pl.List(pl.String), "removed_lines": pl.List(pl.Int32)},
)
CLUSTERS = pl.DataFrame({"document_id": ["a", "b"], "snapshot": ["S", "S"], "cluster_id": ["a", "b"], "cluster_size": [1, 1]})


def _finished(decisions: pl.DataFrame, clusters: pl.DataFrame) -> list[dict[str, Any]]:
    return clean.finish(DOCUMENTS, decisions, clusters, set(), CleanSettings(), load_tokenizer("it"))


def test_no_document_is_lost_to_older_decisions_or_clusters() -> None:
    assert [row["reason"] for row in _finished(DECISIONS, CLUSTERS)] == [None, None]
    with pytest.raises(WebCorpusError, match=r"1 of 2 documents have no row in decisions.*materialize decisions"):
        _finished(DECISIONS.head(1), CLUSTERS)
    with pytest.raises(WebCorpusError, match="2 of 2 documents have no row in duplicate_clusters"):
        _finished(DECISIONS, CLUSTERS.clear())


def test_a_decision_on_another_text_is_refused() -> None:
    with pytest.raises(WebCorpusError, match=r"document a: 10 characters.*says 9"):
        _finished(DECISIONS.with_columns(kept_characters=pl.Series([9, 10])), CLUSTERS)


def test_a_corpus_of_no_snapshot_is_an_error(sections: dict[str, Any], tmp_path: Path) -> None:
    context = StageContext(
        settings=sections,
        data=DataFolder(None),
        downloads=Downloads(tmp_path, True),
        partition=None,
        seed=1,
        asset="clean_corpus",
        inputs={"documents": {}, "decisions": {}},
        staging=cast(Any, None),
        work=tmp_path,
        engine=Engine(),
        snapshots=("SAMPLE-2026-01",),
        history=History(Store(tmp_path / "store"), "test"),
    )
    with pytest.raises(WebCorpusError, match=r"SAMPLE-2026-01.*none has both"):
        clean_build.build_clean_corpus(context)


def test_snapshots_of_a_folder_have_folders_of_their_own(
    stage_runner: Callable[..., StageResult], web: WebSettings, sections: dict[str, Any], tmp_path: Path
) -> None:
    base, names = tmp_path / "crawls", ("MINE-1", "MINE-2")
    write_warc([_capture(1)], base / "MINE-1", "crawl-data/MINE-1/segments/1/crawl.warc.gz")
    settings = SnapshotSettings(source="folder", folder=str(base))
    assert snapshot.folder_root(settings, DataFolder(None), "MINE-1") == base / "MINE-1"
    assert snapshot.folder_root(settings, DataFolder(None), "MINE-2") == base
    chosen = {**sections, "corpus.web.snapshot": settings}
    made = stage_runner(stages(web), chosen, "snapshot", "MINE-1", snapshots=names).published
    assert made.read("files")["path"].to_list() == ["crawl-data/MINE-1/segments/1/crawl.warc.gz"]
    with pytest.raises(WebCorpusError, match="has no folder MINE-2"):
        stage_runner(stages(web), chosen, "snapshot", "MINE-2", snapshots=names)


def test_an_empty_cache_offline_is_no_other_crawl(web: WebSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DebianPackages, "available", staticmethod(lambda: True))
    sample = {"packages": [{"name": "some-package", "language": "eng", "licence": "CC0-1.0"}]}
    settings = SnapshotSettings.model_validate({"source": "auto", "sample": sample})
    with pytest.raises(NotStaged, match="some-package"):
        snapshot.obtained(settings, DebianPackages(tmp_path, offline=True))
    monkeypatch.setattr(DebianPackages, "available", staticmethod(lambda: False))
    assert snapshot.obtained(settings, DebianPackages(tmp_path, offline=True)) == {}


class _Everything:
    """Takes every page for text of the language wanted."""

    label = "en"

    def extract(self, response: Response) -> Extracted:
        return Extracted(response.url * 40, (LanguageScore("en", 1.0),), "none", None, Rights(None, False, False))


def _capture(number: int) -> Capture:
    url = f"https://www.a{number}.example/p"
    return Capture(url, datetime.datetime(2026, 1, 10, tzinfo=datetime.UTC), b"<p>page</p>", "eng", "CC0-1.0")


def _crawl(root: Path, name: str, numbers: range) -> Any:
    return write_warc([_capture(number) for number in numbers], root, f"crawl-data/SAMPLE-2026-01/segments/1/warc/{name}.warc.gz")


def _replayed(roots: dict[str, Path], documents: int) -> list[str]:
    settings = ReplaySettings(documents=documents)
    found, _ = replay.replay_rows(replay.of_snapshots(roots, cast(PageExtractor, _Everything()), settings), "en", settings, seed=1)
    return sorted(url for frame in found.values() for url in frame["url"])


def test_index_rows_of_absent_files_take_no_draws(tmp_path: Path) -> None:
    warcs = [_crawl(tmp_path, "absent", range(300)), _crawl(tmp_path, "present", range(300, 304))]
    write_index(warcs, tmp_path, "SAMPLE-2026-01")
    next(tmp_path.rglob("absent.warc.gz")).unlink()
    assert _replayed({"SAMPLE-2026-01": tmp_path}, 4) == [_capture(number).url for number in range(300, 304)]


def test_without_an_index_the_smallest_draws_are_kept(tmp_path: Path) -> None:
    _crawl(tmp_path, "only", range(60))
    found = [response.url for response in replay._candidates(tmp_path, ReplaySettings(documents=2), NOTHING_ERASED)]
    urls = [_capture(number).url for number in range(60)]
    assert found == sorted(urls, key=lambda url: hashlib.sha256(f"replay\x00{url}".encode()).hexdigest())[:20]


def test_no_further_snapshot_is_read_for_pages_already_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def reading(path: Path) -> Any:
        opened.append(path.name)
        return read_records(path)

    _crawl(tmp_path / "1", "first", range(4))
    _crawl(tmp_path / "2", "second", range(4, 8))
    monkeypatch.setattr(replay, "read_records", reading)
    assert len(_replayed({"1": tmp_path / "1", "2": tmp_path / "2"}, 4)) == 4 and opened == ["first.warc.gz"]
    assert len(_replayed({"1": tmp_path / "1", "2": tmp_path / "2"}, 5)) == 5 and opened[1:] == ["first.warc.gz", "second.warc.gz"]


def test_a_token_file_in_another_encoding_is_named_with_the_place(tmp_path: Path) -> None:
    path = tmp_path / "tokens.tsv"
    path.write_bytes("citt\tO\ncittà\tO\n".encode("latin-1"))
    with pytest.raises(WebCorpusError, match=r"tokens\.tsv: the byte at offset 11 "):
        wikinews_rows(path, EvaluationTextSettings())


def test_only_line_feeds_end_the_lines_of_a_token_file(tmp_path: Path) -> None:
    path = tmp_path / "tokens.tsv"
    path.write_bytes("uno\u2028due\tO\r\ntre\tO\r\n\r\n".encode() * 10)
    rows = wikinews_rows(path, EvaluationTextSettings(document_characters=100))
    assert len(rows) == 1 and "uno\u2028due tre" in str(rows[0]["text"])


def test_a_name_that_the_tokenizer_stumbles_over_is_one_word() -> None:
    tokenizer = load_tokenizer("it")
    assert tokenizer("prima IS_ALPHA dopo") == ["prima", "IS_ALPHA", "dopo"]
    assert tokenizer("token.IS_ALPHA, dopo") == ["token.IS_ALPHA,", "dopo"]


def test_releases_of_packages_that_shape_rows_are_facts(web: WebSettings, sections: dict[str, Any], tmp_path: Path) -> None:
    setup = StageSetup(settings=sections, data=DataFolder(None), downloads=Downloads(tmp_path, True), partition="SAMPLE-2026-01", seed=1)
    facts = {stage.asset: dict(stage.facts(setup)) for stage in stages(web) if stage.facts and stage.asset != "snapshot"}
    extraction = {"trafilatura", "justext", "lxml", "lxml-html-clean", "resiliparse", "fasttext-numpy2-wheel", "tldextract"}
    assert set(facts["replay_text"]) == extraction < set(facts["evaluation_text"])
    assert set(facts["documents"]) == {*extraction, "protego", "ai_crawlers"} and set(facts["decisions"]) == {"ai_crawlers"}
    assert set(facts["signals"]) == {"spacy", "numba"}
    assert set(facts["clean_corpus"]) == {"spacy", "phonenumbers", "python-stdnum", "tldextract"}
