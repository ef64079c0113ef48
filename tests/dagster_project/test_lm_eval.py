"""A small model scored end to end, by this project and by lm-eval: the same choices, the same texts, the same scores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dagster_project.cli import app
from foundation.sources.downloads import Downloads
from tests.training.talking_model import merging_tokenizer, talking
from training.base import publish_base
from training.checkpoints import save_checkpoint
from training.settings import TinyBase

pytestmark = pytest.mark.services
TASKS = ("wic_ita", "geolingit_a", "politicit_gender", "emit_b", "nermud", "hodi_b", "discotex_2")
"""Two labels, many labels, an answer by group, labels that are sets, mentions, spans, numbers."""
TOKENS = 12


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Published instructions and a model that says something else of each item; as the commands publish them."""
    folder = tmp_path_factory.mktemp("harness")
    publish_base(TinyBase(context=2048), folder / "tiny", Downloads(folder / "cache", offline=True))
    for asset in ("evalita_raw", "evalita_instructions"):
        transumanza(folder, "run", asset)
    transumanza(folder, "evalita", "export-lm-eval", str(folder / "texts"))
    rows = [json.loads(text) for path in (folder / "texts" / "data").iterdir() for text in path.read_text(encoding="utf-8").splitlines()]
    tokenizer = merging_tokenizer([text for row in rows for text in (f"\n{row['target']}", *row["prompt"].splitlines())], 2048)
    save_checkpoint(talking(folder / "tiny", tokenizer), tokenizer, folder / "model", "float32")
    joined = [row for row in rows if _joins(tokenizer, row["prompt"], row["target"])]
    assert joined, "no answer shares a token with its prompt, so that the boundary between them is not tested"
    return folder


def _joins(tokenizer: Any, prompt: str, answer: str) -> bool:
    """Whether a token holds the end of a prompt and the beginning of its answer."""
    ends = [end for _, end in tokenizer(prompt + answer, return_offsets_mapping=True)["offset_mapping"]]
    return len(prompt) not in ends


def transumanza(folder: Path, *arguments: str) -> str:
    environment = {"TRANSUMANZA_PROFILE": "smoke", "TRANSUMANZA_HOME": str(folder / "home")}
    done = CliRunner(env=environment).invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def harness_samples(folder: Path, tasks: Path, out: Path, *more: str) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """What lm-eval answered, by row, in a process of its own without a network; and its scores by task."""
    offline = dict.fromkeys(("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"), "1")
    environment = {**os.environ, **offline, "PYTHONPATH": str(Path(__file__).parents[2]), "HF_HOME": str(folder / "hf")}
    model = f"pretrained={folder / 'model'},dtype=float32"
    command = ("--model", "hf", "--model_args", model, "--device", "cpu", "--batch_size", "8", "--include_path", str(tasks), "--tasks", "transumanza")
    command = (sys.executable, "-m", "lm_eval", *command, "--output_path", str(out), "--log_samples", *more)
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=550)
    assert run.returncode == 0, run.stderr[-3000:]
    samples = [json.loads(text) for path in out.rglob("samples_*.jsonl") for text in path.read_text(encoding="utf-8").splitlines()]
    [results] = out.rglob("results_*.json")
    return {sample["doc"]["id"]: sample for sample in samples}, json.loads(results.read_text(encoding="utf-8"))["results"]


def likeliest(sample: dict[str, Any], per_character: bool) -> str:
    words = sample["doc"]["choices"]
    values = [float(found[0]) / (len(word) if per_character else 1) for word, found in zip(words, sample["filtered_resps"], strict=True)]
    return words[values.index(max(values))]


@pytest.mark.parametrize("form", ["instruction", "chat"])
def test_lm_eval_gives_the_same_answers_and_scores(line: Path, form: str) -> None:
    folder = line / form
    folder.mkdir()
    named = [argument for task in TASKS for argument in ("--task", task)]
    asked = ("--prompts", form, "--answer-tokens", str(TOKENS), "--stop", "e", *named)
    transumanza(line, "evalita", "export-lm-eval", str(folder / "tasks"), *asked)
    samples, results = harness_samples(line, folder / "tasks", folder / "out", *(["--apply_chat_template"] if form == "chat" else []))
    model = str(line / "model")
    seen: set[str] = set()
    for labels in ("likelihood", "likelihood_per_character"):
        table = folder / f"{labels}.jsonl"
        transumanza(line, "train", "answer", str(table), "--model", model, "--labels", labels, "--device", "cpu", *asked)
        rows = [json.loads(text) for text in table.read_text(encoding="utf-8").splitlines()]
        assert {row["id"] for row in rows} == set(samples)
        for row in rows:
            sample = samples[row["id"]]
            choice = "choices" in sample["doc"]
            wanted = likeliest(sample, labels != "likelihood") if choice else sample["filtered_resps"][0].strip()
            assert row["answer"] == wanted, row["id"]
            seen.add(row["answer"])
        scores = json.loads(transumanza(line, "evalita", "score", str(table), "--json"))
        assert {row["task"] for row in scores["wording_scores"]} == set(TASKS)
        for row in scores["wording_scores"]:
            found = results[f"transumanza_{row['task']}_own"]
            multiple = any("_per_character" in name for name in found)
            ending = "_per_character" if multiple and labels != "likelihood" else ""
            assert found[f"{row['metric']}{ending},none"] == pytest.approx(row["score"], abs=1e-9)
            if not multiple and "[" not in row["metric"]:
                assert found["parse_failure_rate,none"] == pytest.approx(row["parse_failure_rate"])
    words = {word for sample in samples.values() for word in sample["doc"].get("choices", ())}
    assert len(seen & words) > 6 and len(seen - words) > 6  # what is compared differs from item to item
    assert not any("e" in text for text in seen - words)
