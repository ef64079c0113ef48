"""Bring your own data: what is there, what is wrong with it, whom to ask; nothing is read from files that are not the right ones."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corpus.evalita.errors import EvalitaError
from corpus.evalita.items import locate, official_items
from corpus.evalita.settings import EvalitaSettings
from corpus.evalita.stages import stages
from corpus.evalita.status import status
from corpus.evalita.tasks import TASKS
from foundation.sources.data import DataFolder
from tests.corpus.evalita.sampled import REAL, copied_samples
from tests.corpus.evalita.test_evalita_stages import sections


def test_every_task_says_where_to_ask_and_where_to_put() -> None:
    rows = {row.task: row for row in status(DataFolder(None))}
    assert set(rows) == set(TASKS)
    assert all(row.present and row.origin == "samples" for row in rows.values())
    assert all(row.where.startswith("https://") and all(file.path.startswith("evalita/") for file in row.files) for row in rows.values())
    assert not rows["wic_ita"].redistributable and rows["erte3"].redistributable  # "none stated" is no permission
    assert all(row.unverified for row in rows.values() if row.access == "request")
    assert any(question.startswith("metric relation_f1") for question in rows["clinkart"].unverified)


def test_the_distributed_files_are_verified(shared_data: Path) -> None:
    rows = {row.task: row for row in status(DataFolder(shared_data))}
    for name in REAL:
        assert rows[name].state == "present"
        assert {file.state for file in rows[name].files} <= {"verified", "missing, optional"}
    assert {rows[name].state for name in TASKS if name not in REAL} == {"missing"}


def test_missing_incomplete_and_changed_sets_are_told_apart(tmp_path: Path) -> None:
    copied_samples(tmp_path, "wic_ita", "erte3", "acti_a")
    (tmp_path / "evalita/wic-ita/binary/dev.jsonl").unlink()
    rows = {row.task: row for row in status(DataFolder(tmp_path))}
    assert {name: rows[name].state for name in ("wic_ita", "erte3", "acti_a", "nermud")} == {"wic_ita": "incomplete", "erte3": "changed", "acti_a": "present", "nermud": "missing"}
    assert [file.state for file in rows["erte3"].files] == ["changed", "changed"]
    assert {file.path.rsplit("/", 1)[1]: file.state for file in rows["acti_a"].files} == {"subtaskA_train.csv": "there", "subtaskA_test_labelled.csv": "there"}
    assert not rows["erte3"].present and rows["erte3"].origin == ""


def test_a_partly_copied_set_is_an_error_and_an_absent_one_is_missing(tmp_path: Path) -> None:
    assert not locate(TASKS["nermud"], DataFolder(tmp_path)).present
    copied_samples(tmp_path, "wic_ita")
    (tmp_path / "evalita/wic-ita/binary/dev.jsonl").unlink()
    with pytest.raises(EvalitaError, match=r"lacks evalita/wic-ita/binary/dev.jsonl"):
        locate(TASKS["wic_ita"], DataFolder(tmp_path))


def test_another_file_under_the_right_name_publishes_nothing(stage_runner: Callable[..., Any], tmp_path: Path, home: Path) -> None:
    data = copied_samples(tmp_path / "data", "erte3")
    with pytest.raises(EvalitaError, match=r"DEV.xml: sha256 is [0-9a-f]{64}, expected 896c08abc29b.*andreazaninello/e-rte3-it at f99003a7.*evalita.raw.accept_changed"):
        stage_runner(stages(EvalitaSettings()), sections(), "evalita_raw", data=data)
    assert not list((home / "store").rglob("manifest.json"))
    accepted = stage_runner(stages(EvalitaSettings()), sections(raw={"accept_changed": ["erte3"]}), "evalita_raw", data=data)
    assert accepted.published.rows == 23


def test_a_file_that_was_cut_off_is_found_by_its_rows_where_no_checksum_is_known(tmp_path: Path) -> None:
    located = locate(TASKS["haspeede3"], DataFolder(copied_samples(tmp_path, "haspeede3")))
    with pytest.raises(EvalitaError, match=r"6 items in test/political, expected 1400|14 items in train/political, expected 5600"):
        official_items(located)
    assert len(official_items(located, accept_changed=True)) == 26


def test_a_real_file_that_lost_its_last_lines_is_refused(shared_data: Path, tmp_path: Path) -> None:
    for file in TASKS["discotex_2"].files:
        (tmp_path / file.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(shared_data / file.path, tmp_path / file.path)
    path = tmp_path / TASKS["discotex_2"].files[0].path
    path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[:-3]), encoding="utf-8")
    with pytest.raises(EvalitaError, match=r"discotex_2_train_clean_release.tsv: sha256 is"):
        official_items(locate(TASKS["discotex_2"], DataFolder(tmp_path)))


def test_optional_files_are_read_where_they_are(tmp_path: Path) -> None:
    copied_samples(tmp_path, "discotex_1")
    items = official_items(locate(TASKS["discotex_1"], DataFolder(tmp_path)), accept_changed=True)
    assert {item.fields["domain"] for item in items if item.split == "train"} == {"ted", "wiki"}
    (tmp_path / "evalita/discotex/data/train/discotex_1_wiki_train_set_release.tsv").unlink()
    items = official_items(locate(TASKS["discotex_1"], DataFolder(tmp_path)), accept_changed=True)
    assert {item.fields["domain"] for item in items if item.split == "train"} == {"ted"}


def test_the_command_prints_every_task_and_fails_where_files_are_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from dagster_project.cli import app
    from foundation.errors import TransumanzaError

    monkeypatch.setenv("TRANSUMANZA_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TRANSUMANZA_DATA", raising=False)
    shown = CliRunner().invoke(app, ["evalita", "status"])
    assert shown.exit_code == 0 and all(name in shown.output for name in TASKS)
    monkeypatch.setenv("TRANSUMANZA_DATA", str(copied_samples(tmp_path / "data", "erte3")))
    wrong = CliRunner().invoke(app, ["evalita", "status", "erte3"])
    assert "evalita/e-rte-3-it/e-RTE-3-it/DEV.xml (changed)" in wrong.output and "wic_ita" not in wrong.output
    assert isinstance(wrong.exception, TransumanzaError)
