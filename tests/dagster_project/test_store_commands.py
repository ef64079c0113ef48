"""The commands on the store: how they name versions, and what they say of names that stand for none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dagster_project.cli import app
from dagster_project.cli.erasing import rows_told
from dagster_project.factory import Factory, make_factory
from foundation.errors import TransumanzaError
from foundation.stages import StageError
from foundation.store import PublishedVersion
from training.errors import ExportError
from training.exports.formats import base_behind


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Factory]:
    """The smoke profile with one small asset published."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TRANSUMANZA_HOME", str(tmp_path_factory.mktemp("store-commands")))
        environment.setenv("TRANSUMANZA_PROFILE", "smoke")
        environment.delenv("TRANSUMANZA_DATA", raising=False)
        environment.delenv("TRANSUMANZA_STORE", raising=False)
        made = make_factory(offline=True)
        made.run("source_chats")
        yield made


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_a_version_is_shown_by_every_name_that_it_has(factory: Factory) -> None:
    version = json.loads(run("store", "show", "source_chats"))["version"]
    run("store", "tag", "source_chats", "v1")
    for name in ("smoke", "v1", "tags/v1", version[:6]):
        assert json.loads(run("store", "show", "source_chats", "--version", name))["version"] == version
    with pytest.raises(TransumanzaError, match=rf"'v2' is no reference, tag or version of source_chats; it has smoke, tags/v1.*{version}"):
        run("store", "show", "source_chats", "--version", "v2")


@pytest.mark.parametrize("command", [["show", "corpus"], ["tag", "corpus", "v1"], ["diff", "corpus", "smoke", "v1"], ["export", "corpus", "folder"]])
def test_what_is_no_asset_is_not_said_to_be_unbuilt(command: list[str], factory: Factory) -> None:
    with pytest.raises(TransumanzaError, match=r"there is no asset 'corpus'; the profile has .*clean_corpus"):
        run("store", *command)


def test_what_is_no_trained_model_is_not_exported_as_one(factory: Factory) -> None:
    with pytest.raises(TransumanzaError, match=r"there is no asset 'model'; trained models are adapted_model, .*evalita_model"):
        run("train", "export", "model", "folder")
    base = PublishedVersion("base_model", None, "0" * 16, "0" * 16, factory.home)
    with pytest.raises(ExportError, match=r"is a base, not a trained model; name a trained one"):
        base_behind(base)


def test_an_asset_that_is_not_built_says_how_to_build_it(factory: Factory) -> None:
    with pytest.raises(TransumanzaError, match=r"clean_corpus is not published under 'smoke'.*materialize it first"):
        run("store", "show", "clean_corpus")


def test_a_snapshot_that_is_missing_or_not_of_the_profile(factory: Factory) -> None:
    with pytest.raises(StageError, match=r"name one with --partition: [A-Z0-9, -]+$"):
        factory.run("decisions")
    with pytest.raises(StageError, match=r"'SAMPLE-1999-01' is none of them; it goes into the profile's `snapshots` first"):
        factory.run("decisions", "SAMPLE-1999-01")


def test_rows_to_erase_are_told_on_a_line_however_many_files_hold_them() -> None:
    assert rows_told({"text": 1200, "ledger": 3}) == "1,200 text, 3 ledger"
    assert rows_told({"files/name/train.parquet": 19}) == "19 files/name/train.parquet"
    assert rows_told({"documents": 5, **{f"warc/{number}.warc.gz": 2 for number in range(9)}}) == "5 documents, 18 rows or records in 9 files"


def test_an_empty_store_says_so(factory: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "source_chats" in run("store", "list")
    monkeypatch.setenv("TRANSUMANZA_HOME", str(tmp_path))
    assert "nothing is published yet" in run("store", "list")
