"""Any one model evaluated: a folder, a model of the Hub, a server's model; and presets of lm-eval."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dagster_project.cli import app
from foundation.errors import TransumanzaError
from foundation.sources.downloads import Downloads
from tests.conftest import CACHE, ROOT
from tests.hub_server import hub_server
from tests.translation.openai_server import completion, server
from training.errors import CheckpointError, TrainingError
from training.evaluation import lm_eval_presets
from training.evaluation.lm_eval_presets import check_installed, load_preset, run_preset
from training.evaluation.subjects import local_model
from training.evaluation.text_files import text_file

COMMIT = "0123456789abcdef" * 2 + "01234567"
QUICK = [
    "--set", "training.evaluation.passages=3", "--set", "training.evaluation.passage_characters=80",
    "--set", "training.evaluation.answer_tokens=3", "--set", "training.evaluation.resamples=100", "--set", "training.evaluation.threads=1",
]  # fmt: skip
TEXT = "La neve è caduta.\n\nIl gregge scende al mare.\n\nLa sera il fuoco scalda il rifugio.\n\nLa neve è caduta.\n"


FROM_HUB = """
import sys
from pathlib import Path
from foundation.errors import TransumanzaError
from foundation.sources.downloads import Downloads
from training.evaluation.subjects import local_model
for named in sys.argv[2:]:
    try:
        print(local_model(named, Downloads(Path(sys.argv[1]))).source)
    except TransumanzaError as error:
        print(error)
"""


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "montagna.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.fixture
def evaluated(home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """What the command prints as JSON, or the error that it ends with."""
    monkeypatch.setenv("TRANSUMANZA_HOME", str(home))
    monkeypatch.delenv("TRANSUMANZA_SET", raising=False)
    monkeypatch.setenv("TRANSUMANZA_PROFILE", "smoke")

    def run(*arguments: str | Path) -> Any:
        result = CliRunner().invoke(app, [*QUICK, "train", "evaluate", *map(str, arguments), "--json"])
        monkeypatch.delenv("TRANSUMANZA_SET", raising=False)
        if result.exception is not None:
            raise result.exception
        return json.loads(result.stdout)

    return run


def test_a_folder_against_another(evaluated: Callable[..., Any], tiny: Path, text: Path) -> None:
    found = evaluated(tiny, "--name", "mine", "--against", tiny, "--text", text)
    (mine, other) = sorted(found["bits_per_byte"], key=lambda row: row["form"], reverse=True)
    assert (mine["model"], mine["text"], mine["documents"]) == ("mine", "montagna", 3), "a document that comes twice is one"
    assert 7 < mine["low"] <= mine["bits_per_byte"] <= mine["high"] < 10
    assert other["bits_per_byte"] == mine["bits_per_byte"]
    assert [row["change_percent"] for row in found["changes"]] == [0]
    assert found["answer_measures"]["prompts"] == len(found["generations"]) > 0
    assert found["not_measured"] == {}


def test_nf4_and_what_is_refused(evaluated: Callable[..., Any], tiny: Path, text: Path, tmp_path: Path) -> None:
    found = evaluated(tiny, "--nf4", "--text", text)
    assert [row["form"] for row in found["bits_per_byte"]] == ["nf4_base"]
    for arguments, message in (
        ((tiny, "--adapter", tmp_path, "--text", text), "give --nf4 too"),
        ((tiny, "--against", tiny, "--text", text), "another name by --name"),
        ((tmp_path / "none",), "is no folder, and not a model of the Hub"),
        ((tiny, "--text", tmp_path / "none.txt"), "cannot be read"),
        ((tiny, "--lm-eval", "none"), "no lm-eval preset 'none'.*italian"),
        (("m", "--server", "http://user:secret@127.0.0.1:9/v1", "--text", text), "must not hold a name or a password"),
        (("m", "--server", "http://127.0.0.1:9/v1", "--nf4", "--text", text), "a server gives none"),
    ):
        with pytest.raises(TransumanzaError, match=message):
            evaluated(*arguments)


def test_without_text_it_is_said(evaluated: Callable[..., Any], tiny: Path) -> None:
    found = evaluated(tiny)
    assert found["bits_per_byte"] == []
    ((measure, reason),) = found["not_measured"].items()
    assert measure == "bits per byte on clean_corpus and evaluation_text" and "--text" in reason
    assert found["generations"]


def test_a_servers_model_is_measured_by_its_answers_alone(evaluated: Callable[..., Any], text: Path) -> None:
    def answer(request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        asked = request["messages"][0]["content"]
        cut = {"finish_reason": "length"} if "breve storia" in asked else {}
        status, document = completion("Il gregge scende dalla montagna al mare ogni autunno.", **cut)
        return status, {**document, "usage": {"completion_tokens": 11}}

    with server(answer) as (url, requests):
        found = evaluated("remote", "--server", url, "--text", text)
    assert found["bits_per_byte"] == [] and found["changes"] == []
    assert "no logits" in found["not_measured"]["bits_per_byte"]
    measures = found["answer_measures"]
    assert measures["target_language_share"] == 1 and measures["mean_tokens"] == 11
    assert measures["ended_share"] == pytest.approx(1 - 1 / measures["prompts"])
    assert {row["ended"] for row in found["generations"]} == {True, False}
    assert {request["model"] for request in requests} == {"remote"} and {request["max_tokens"] for request in requests} == {3}
    with server(lambda _: (401, {"error": "no key"})) as (url, _), pytest.raises(TrainingError, match="--key-variable"):
        evaluated("remote", "--server", url, "--text", text)


def test_a_model_of_the_hub_is_pinned_to_its_commit(tiny: Path, text: Path, tmp_path: Path) -> None:
    """Through ``huggingface_hub`` against a local server; the second time from the cache, without a network."""
    shutil.copytree(tiny, tmp_path / "hub" / "owner" / "name" / COMMIT, ignore=shutil.ignore_patterns("cache"))
    (tmp_path / "hub" / "owner" / "name" / COMMIT / "pytorch_model.bin").write_bytes(b"never fetched")
    state = tmp_path / "state"
    state.mkdir()
    (state / "cache").mkdir()
    for entry in CACHE.glob("*"):
        if entry.name != "hub":
            (state / "cache" / entry.name).symlink_to(entry)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSUMANZA_"))}
    variables = {**kept, "HF_HOME": str(tmp_path / "hf"), "PYTHONPATH": str(ROOT), "TRANSUMANZA_HOME": str(state), "TRANSUMANZA_PROFILE": "smoke"}

    def run(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code, *arguments]
        return subprocess.run(command, env={**variables, **environment}, capture_output=True, text=True, check=False, cwd=tmp_path)

    with hub_server(tmp_path / "hub") as hub:
        hub.branches = {"main": COMMIT}
        done = run("from dagster_project.cli import main; main()", *QUICK, "train", "evaluate", "owner/name", "--text", str(text), "--json", HF_ENDPOINT=hub.endpoint)
        assert done.returncode == 0, done.stderr[-3000:]
        assert not [path for _, path, _ in hub.requests if path.endswith(".bin")], "pickles are not even fetched"
        gone = run(FROM_HUB, str(state / "cache"), "owner/nobody", HF_ENDPOINT=hub.endpoint)
        assert "owner/nobody@main cannot be found" in gone.stdout
    found = json.loads(done.stdout)
    assert found["source"] == f"owner/name@{COMMIT} of the Hugging Face Hub"
    assert found["bits_per_byte"][0]["documents"] == 3
    offline = run(FROM_HUB, str(state / "cache"), f"owner/name@{COMMIT}", "owner/name", HF_HUB_OFFLINE="1").stdout.splitlines()
    assert offline[0] == found["source"]
    assert "is a branch or tag" in offline[1] and "give the commit" in offline[1]


def test_pickles_are_refused(tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pickled"
    shutil.copytree(tiny, folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="only pickled weights"):
        local_model(str(folder), Downloads(tmp_path, offline=True))


def test_text_files_are_documents_between_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("uno\n\n \n\ndue\nancora\n\n\n", encoding="utf-8")
    found = text_file(path, "", 10, 5, seed=1)
    assert sorted(found.passages) == ["due\na", "uno"] and found.name == "a"
    path.write_text(" \n\n", encoding="utf-8")
    with pytest.raises(TrainingError, match="holds no document"):
        text_file(path, "", 10, 5, seed=1)


def test_without_lm_eval_the_error_says_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lm_eval_presets.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(TrainingError, match=r"pip install 'transumanza\[eval\]'"):
        check_installed()


def test_presets_are_read_and_mended(tmp_path: Path) -> None:
    assert {task for run in load_preset("italian").runs for task in run.tasks} >= {"m_mmlu_it", "hellaswag_it", "arc_it", "evalita-mp"}
    path = tmp_path / "own.yaml"
    path.write_text("runs: [{tasks: [], shots: 3}]")
    with pytest.raises(TrainingError, match=r"own.yaml is no lm-eval preset: runs.0.tasks.*runs.0.shots"):
        load_preset(str(path))
    path.write_text("runs: [{tasks: [mine]}]\ninclude_path: tasks")
    assert load_preset(str(path)).include_path == tmp_path / "tasks"


@pytest.mark.services
def test_lm_eval_scores_a_checkpoint_offline(tiny: Path, tmp_path: Path) -> None:
    """A task of this test's own, whose rows are here, by the real lm-eval in a process of its own."""
    pytest.importorskip("lm_eval", reason="needs the extra `eval`")
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps({"question": f"{n} più uno fa", "choices": ["due", "tre"], "label": n % 2}) for n in range(4)))
    (tmp_path / "sums.yaml").write_text(
        "task: sums_it\ndataset_path: json\n"
        f"dataset_kwargs: {{data_files: {{test: {tmp_path / 'rows.jsonl'}}}}}\n"
        "output_type: multiple_choice\ntest_split: test\ndoc_to_text: '{{question}}'\ndoc_to_choice: '{{choices}}'\ndoc_to_target: label\n"
        "metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]\n"
    )
    (tmp_path / "preset.yaml").write_text("runs: [{tasks: [sums_it], examples: 0}]\ninclude_path: .")
    preset = load_preset(str(tmp_path / "preset.yaml"))
    (row,) = run_preset(preset, tiny, device="cpu", batch=2)
    assert (row["task"], row["metric"], row["examples"]) == ("sums_it", "acc", 0)
    assert row["value"] in (0, 0.25, 0.5, 0.75, 1) and row["standard_error"] is not None
    (tmp_path / "rows.jsonl").unlink()
    with pytest.raises(TrainingError, match=r"lm-eval ended with 1 on sums_it.*(?s:.*)rows.jsonl"):
        run_preset(preset, tiny, device="cpu", batch=2)


@pytest.mark.services
def test_every_preset_names_tasks_that_lm_eval_knows() -> None:
    tasks = pytest.importorskip("lm_eval.tasks", reason="needs the extra `eval`")
    known = set(tasks.TaskManager().all_tasks)
    for path in lm_eval_presets.FOLDER.glob("*.yaml"):
        named = {task for run in load_preset(path.stem).runs for task in run.tasks}
        assert named <= known, f"{path.name}: lm-eval does not know {named - known}"
