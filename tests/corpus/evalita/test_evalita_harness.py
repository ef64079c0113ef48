"""The folder that lm-eval runs: what is in it, what is left out, and that its scores are those of the report. lm-eval is not needed here."""

from __future__ import annotations

import importlib.util
import json
import random
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from corpus.evalita.answer_scores import Questions, questions_of, score_answers
from corpus.evalita.errors import EvalitaError
from corpus.evalita.harness.export import HarnessOptions, export_lm_eval
from corpus.evalita.settings import EvalitaSettings, ReportSettings
from corpus.evalita.stages import stages
from corpus.evalita.tasks import TASKS
from foundation.language.prompts import render_instruction, user_message
from foundation.language.settings import TemplateSettings
from tests.corpus.evalita.sampled import copied_samples
from tests.corpus.evalita.test_evalita_stages import LINE, run_all

TEMPLATES = TemplateSettings(instruction_with_input="I: {instruction}\nT: {input}\nR:\n", instruction_without_input="I: {instruction}\nR:\n")
HELD_OUT = {"held_out_wordings": ["wic_ita/evalita-llm"]}


class _Loader(yaml.SafeLoader):
    pass


_Loader.add_constructor("!function", lambda loader, node: f"function {loader.construct_scalar(node)}")  # type: ignore[arg-type]


@pytest.fixture
def questions(stage_runner: Callable[..., Any]) -> Questions:
    built = run_all(stage_runner, stages(EvalitaSettings()), LINE[:3], instructions=HELD_OUT)
    return questions_of(built["evalita_instructions"].published, built["evalita_raw"].published)


def module_of(folder: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"official_{folder.name}", folder / "official.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tasks_of(folder: Path) -> dict[str, dict[str, Any]]:
    return {path.stem: yaml.load(path.read_text(encoding="utf-8"), _Loader) for path in sorted(folder.glob("*.yaml"))}  # noqa: S506


def rows_of(folder: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "data" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def aggregated(module: ModuleType, task: Mapping[str, Any], results: list[dict[str, Any]]) -> dict[str, float]:
    """What lm-eval does with results: each metric over the documents that have it."""
    found = {}
    for entry in task["metric_list"]:
        values = [result[entry["metric"]] for result in results if entry["metric"] in result]
        named = entry["aggregation"].removeprefix("function official.")
        found[entry["metric"]] = sum(values) / len(values) if named == "mean" else getattr(module, named)(values)
    return found


@pytest.mark.parametrize("labels", ["choice", "generation"])
def test_scores_in_the_harness_are_those_of_the_report(questions: Questions, tmp_path: Path, labels: Any) -> None:
    """For every task: answers of other items, gold ones and garbage, scored both ways."""
    folder = tmp_path / "tasks"
    export_lm_eval(folder, questions, TEMPLATES, HarnessOptions(labels=labels), "x")
    shutil.move(folder, tmp_path / "moved")
    folder = tmp_path / "moved"  # nothing in it knows where it lay
    module, generator = module_of(folder), random.Random(3)
    answers: list[dict[str, Any]] = []
    in_harness: dict[tuple[str, str], dict[str, float]] = {}
    for name, task in tasks_of(folder).items():
        rows, results = rows_of(folder, name), []
        for row in rows:
            others = [other["target"] for other in rows]
            answer = generator.choice(others if task["output_type"] == "multiple_choice" else [*others, "boh, chi lo sa"])
            answers.append({"model": "m", "task": row["task"], "id": row["id"], "answer": answer, "gold": row["target"]})
            if task["output_type"] == "multiple_choice":
                likelihoods = [(-1.0 * len(word) if word == answer else -9.0 * len(word), False) for word in row["choices"]]
                chosen = module.scored_choice(row, [(value if row["choices"][place] == answer else -1e9, greedy) for place, (value, greedy) in enumerate(likelihoods)])
                results.append({**chosen, **{k: v for k, v in module.scored_choice(row, likelihoods).items() if k.endswith("_per_character")}})
                assert row["choices"][row["gold"]] == row["target"]
            else:
                results.append(module.scored_text(row, [answer]))
        in_harness[rows[0]["task"], rows[0]["wording"]] = aggregated(module, task, results)
    found = score_answers(questions, answers, ReportSettings(resamples=100), 1, origin="a", remedy="b")
    assert {(row["task"], row["wording"]) for row in found.wording_scores} == set(in_harness) and {task for task, _ in in_harness} == set(TASKS)
    for row in found.wording_scores:
        scores = in_harness[row["task"], row["wording"]]
        assert scores[row["metric"]] == pytest.approx(row["score"])
        assert scores.get(f"{row['metric']}_per_character", row["score"]) == pytest.approx(row["score"])
        if "parse_failure_rate" in scores and "[" not in row["metric"]:
            assert scores["parse_failure_rate"] == pytest.approx(row["parse_failure_rate"])


def test_prompts_are_those_that_models_are_asked(questions: Questions, tmp_path: Path) -> None:
    for form, name in (("instruction", "a"), ("chat", "b")):
        options = HarnessOptions(tasks=("wic_ita",), wordings=("own",), form=form, answer_tokens=7, stop=("\n\n",))  # type: ignore[arg-type]
        export = export_lm_eval(tmp_path / name, questions, TEMPLATES, options, "x")
        assert list(export.rows) == ["transumanza_wic_ita_own"]
        for row in rows_of(tmp_path / name, "transumanza_wic_ita_own"):
            asked = questions.rows[row["id"]]["instruction"], questions.rows[row["id"]]["input"]
            assert row["prompt"] == (render_instruction(TEMPLATES, *asked) if form == "instruction" else user_message(*asked))
    task = tasks_of(tmp_path / "a")["transumanza_wic_ita_own"]
    assert task["output_type"] == "multiple_choice" and task["target_delimiter"] == "" and task["num_fewshot"] == 0
    export_lm_eval(tmp_path / "c", questions, TEMPLATES, HarnessOptions(tasks=("wic_ita",), labels="generation", answer_tokens=7, stop=("\n\n",)), "x")
    task = tasks_of(tmp_path / "c")["transumanza_wic_ita_own"]
    assert task["output_type"] == "generate_until"
    assert task["generation_kwargs"] == {"until": ["\n\n"], "max_gen_toks": 7, "do_sample": False, "temperature": 0.0}


def test_wordings_and_held_out_ones_are_chosen(questions: Questions, tmp_path: Path) -> None:
    export = export_lm_eval(tmp_path / "a", questions, TEMPLATES, HarnessOptions(held_out=True), "x")
    assert list(export.rows) == ["transumanza_wic_ita_evalita_llm", "transumanza_xcopa_own"]  # xcopa is never trained on
    both = export_lm_eval(tmp_path / "b", questions, TEMPLATES, HarnessOptions(tasks=("wic_ita",)), "x")
    assert list(both.rows) == ["transumanza_wic_ita_evalita_llm", "transumanza_wic_ita_own"]
    one = export_lm_eval(tmp_path / "c", questions, TEMPLATES, HarnessOptions(wordings=("wic_ita/own",)), "x")
    assert list(one.rows) == ["transumanza_wic_ita_own"]


def test_rows_that_may_not_go_are_left_out_and_counted(stage_runner: Callable[..., Any], tmp_path: Path) -> None:
    data = copied_samples(tmp_path / "data", "wic_ita", "erte3")
    built = run_all(stage_runner, stages(EvalitaSettings()), LINE[:3], data=data, raw={"accept_changed": ["wic_ita", "erte3"]})
    questions = questions_of(built["evalita_instructions"].published, built["evalita_raw"].published)
    size = sum(row["task"] == "wic_ita" for row in questions.rows.values())
    export = export_lm_eval(tmp_path / "open", questions, TEMPLATES, HarnessOptions(), "x")
    assert list(export.rows) == ["transumanza_erte3_own"] and export.left_out == {"wic_ita": {"none stated: no licence is stated": size}}
    readme = (tmp_path / "open" / "README.md").read_text(encoding="utf-8")
    assert f"| wic_ita | none stated: no licence is stated | {size} |" in readme and "for this machine alone" not in readme
    with pytest.raises(EvalitaError, match=r"no row of wic_ita may be given on \(none stated: no licence is stated\); .* export with --private"):
        export_lm_eval(tmp_path / "asked", questions, TEMPLATES, HarnessOptions(tasks=("wic_ita",)), "x")
    assert not (tmp_path / "asked").exists()
    private = export_lm_eval(tmp_path / "private", questions, TEMPLATES, HarnessOptions(private=True), "x")
    assert private.rows["transumanza_wic_ita_own"] == size and not private.left_out
    assert "for this machine alone" in (tmp_path / "private" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": ("wicita",)}, "no task 'wicita'"),
        ({"wordings": ("extremita",)}, "no test row of extremita; it has"),
        ({"tasks": ("erte3",), "held_out": True}, "no test row of erte3 that no training row has"),
    ],
)
def test_what_is_not_there_cannot_be_exported(questions: Questions, tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(EvalitaError, match=message):
        export_lm_eval(tmp_path / "a", questions, TEMPLATES, HarnessOptions(**options), "x")
    assert not list(tmp_path.glob("*a*"))


def test_an_export_is_whole_or_not_there(questions: Questions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "old.yaml").write_text("task: old")
    with pytest.raises(EvalitaError, match="is not empty; name a new folder"):
        export_lm_eval(tmp_path / "full", questions, TEMPLATES, HarnessOptions(), "x")
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(yaml, "dump", lambda *_args, **_more: (_ for _ in ()).throw(OSError("no space left")))
    with pytest.raises(OSError, match="no space"):
        export_lm_eval(tmp_path / "empty", questions, TEMPLATES, HarnessOptions(), "x")
    assert sorted(path.name for path in tmp_path.rglob("*") if "home" not in path.parts) == ["empty", "full", "old.yaml"]
