"""The commands on answers: asked of a server, scored, exported; and what each of them refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from dagster_project.cli import app
from dagster_project.factory import make_factory
from foundation.errors import TransumanzaError
from tests.translation.openai_server import completion, server


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home in which the smoke profile's instructions are published."""
    folder = tmp_path_factory.mktemp("answers")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TRANSUMANZA_HOME", str(folder))
        environment.setenv("TRANSUMANZA_PROFILE", "smoke")
        environment.delenv("TRANSUMANZA_DATA", raising=False)
        factory = make_factory(offline=True)
        for asset in ("evalita_raw", "evalita_instructions"):
            factory.run(asset)
        yield folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


def answered(home: Path, name: str, *more: object, text: str = "no") -> Path:
    with server(lambda _: completion(text)) as (url, _):
        done = run("train", "answer", home / name, "--server", url, "--model", "m", "--prompts", "chat", *more)
    assert done.exit_code == 0, done.output
    return home / name


def scored(path: Path, *more: object) -> dict[str, Any]:
    done = run("evalita", "score", path, "--json", *more)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_a_server_is_asked_and_scored(home: Path) -> None:
    files = [answered(home, name, "--task", "wic_ita", "--task", "nermud", "--name", "muto") for name in ("a.parquet", "a.jsonl", "a.csv")]
    found = [scored(path) for path in files]
    assert found[0] == found[1] == found[2]
    assert {(row["model"], row["task"]) for row in found[0]["scores"]} == {("muto", "wic_ita"), ("muto", "nermud")}
    assert found[0]["failures"]["muto nermud/own"] == {"malformed": 8} and found[0]["failures"]["muto wic_ita/own"] == {}
    shown = run("evalita", "score", files[0]).output
    assert "muto nermud/own: answers without a value, by kind: malformed 8" in shown and "these are no official scores" in shown
    assert scored(files[0], "--instructions", found[0]["instructions"].partition("@")[2][:8]) == found[0]
    few = scored(answered(home, "few.csv", "--task", "wic_ita", "--rows-per-task", 3))
    assert few["unanswered"] == {"m wic_ita/own": 5}


def test_validation_rows_are_answered_and_scored_as_such(home: Path) -> None:
    path = answered(home, "v.csv", "--task", "wic_ita", "--split", "validation")
    assert {row["coverage"] for row in scored(path, "--split", "validation")["scores"]} == {1.0}
    with pytest.raises(TransumanzaError, match="no such test row in evalita_instructions; the ids are those of evalita_instructions@"):
        run("evalita", "score", path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "nothing"), "'nothing' is neither a model asset of the profile nor a folder"),
        (("--server", "http://me:pw@127.0.0.1/v1", "--prompts", "chat"), "--server: a server's address must not hold a name or a password"),
        (("--split", "dev"), "--split is 'dev'; evalita_instructions has train, validation, test"),
        (("--task", "wicita"), "no rows of task 'wicita'; it has"),
        (("--wording", "extremita"), "no rows of wording 'extremita'"),
        (("--instructions", "none"), "'none' is no reference, tag or version of evalita_instructions"),
        (("--server", "http://127.0.0.1:9/v1"), "a server is asked by messages and generates its answers"),
    ],
)
def test_what_cannot_be_asked_is_told(home: Path, arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(TransumanzaError, match=message):
        run("train", "answer", home / "x.csv", *arguments)
    assert not (home / "x.csv").exists()


def test_an_export_says_what_it_holds(home: Path) -> None:
    done = run("evalita", "export-lm-eval", home / "tasks", "--task", "wic_ita", "--prompts", "chat")
    assert done.exit_code == 0 and "transumanza_wic_ita_own     8" in done.output
    assert "--apply_chat_template" in (home / "tasks" / "README.md").read_text(encoding="utf-8")
    with pytest.raises(TransumanzaError, match="is not empty; name a new folder"):
        run("evalita", "export-lm-eval", home / "tasks")


def test_items_that_are_gone_are_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from foundation.store import NotPublished, Store

    found = Store.find

    def without_items(self: Store, asset: str, partition: str | None, name: str) -> Any:
        if asset == "evalita_raw":
            raise NotPublished("no such version")
        return found(self, asset, partition, name)

    monkeypatch.setattr(Store, "find", without_items)
    with pytest.raises(TransumanzaError, match=r"not in the store any more \(no such version\); materialize evalita_raw again"):
        run("evalita", "export-lm-eval", home / "lost")
