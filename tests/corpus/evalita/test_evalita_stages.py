"""The stages of the workshop: splits without leakage, caps, benchmark texts, and the report on answers."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from corpus.evalita.benchmarks import file_rows
from corpus.evalita.instructions import assign, groups_on_two_sides, instruction_row, text_keys, wording_for
from corpus.evalita.items import locate, read_items
from corpus.evalita.settings import (
    ALL_TASKS,
    BenchmarkFile,
    BenchmarkSettings,
    EvalitaSettings,
    InstructionSettings,
    RawSettings,
    ReportSettings,
)
from corpus.evalita.stages import items_of, stages
from corpus.evalita.task import EvalitaError, Item
from corpus.evalita.tasks import TASKS
from foundation.sources.data import SAMPLES_ROOT, DataFolder
from foundation.stages import Stage, StageContext, StageReport
from foundation.store import TableSpec

ANSWERS = TableSpec("answers", pa.schema([(name, pa.string()) for name in ("model", "task", "id", "answer", "gold")]), key=("model", "id"))


def sections(**changes: Any) -> dict[str, Any]:
    settings = EvalitaSettings(**changes)
    return {
        "evalita.raw": settings.raw,
        "evalita.benchmarks": settings.benchmarks,
        "evalita.instructions": settings.instructions,
        "evalita.report": settings.report,
    }


def answering(answer: Callable[[Mapping[str, Any]], list[dict[str, str]]]) -> tuple[Stage, ...]:
    """The workshop's stages with a stand-in for the models."""

    def build(context: StageContext) -> StageReport:
        rows = [entry for row in context.input("evalita_instructions").read("instructions", "test").iter_rows(named=True) for entry in answer(row)]
        rows.sort(key=lambda row: (row["model"], row["id"]))
        with context.staging.table(ANSWERS) as table:
            table.write(rows)
        return StageReport()

    models = Stage("evalita_answers", "1", "evaluation", build, upstream=("evalita_instructions",), tables=(ANSWERS,))
    return (*stages(EvalitaSettings()), models)


def perfect_and_mute(row: Mapping[str, Any]) -> list[dict[str, str]]:
    base = {"task": row["task"], "id": row["id"], "gold": row["output"]}
    return [{"model": "perfect", "answer": row["output"], **base}, {"model": "mute", "answer": "Non saprei proprio.", **base}]


def run_all(stage_runner: Callable[..., Any], graph: tuple[Stage, ...], assets: tuple[str, ...], data: Path | None = None, **changes: Any) -> dict[str, Any]:
    return {asset: stage_runner(graph, sections(**changes), asset, data=data) for asset in assets}


LINE = ("evalita_raw", "benchmark_sets", "evalita_instructions", "evalita_answers", "evalita_report")


def test_the_whole_line_on_the_samples(stage_runner: Callable[..., Any]) -> None:
    results = run_all(stage_runner, answering(perfect_and_mute), LINE)
    raw = results["evalita_raw"].published
    assert raw.statistics["missing"] == ["erte3", "discotex", "xcopa"]
    items = raw.read("items")
    assert set(items["licence"]) == {"Apache-2.0"} and items["redistributable"].all()
    assert set(items["split"]) == {"train", "dev", "test"}
    instructions = results["evalita_instructions"]
    assert [gate.passed for gate in instructions.record.gates] == [True]
    test_items = items.filter(pl.col("split") == "test")["item_id"].sort()
    assert instructions.published.read("instructions", "test")["item_id"].sort().to_list() == test_items.to_list()
    assert results["benchmark_sets"].published.read("items")["item_id"].sort().to_list() == test_items.to_list()
    scores = results["evalita_report"].published.read("scores")
    perfect, mute = (scores.filter(pl.col("model") == name) for name in ("perfect", "mute"))
    assert perfect["score"].to_list() == [1.0] * perfect.height and perfect["parse_failure_rate"].sum() == 0
    assert mute["score"].to_list() == [0.0] * mute.height and mute["parse_failure_rate"].to_list() == [1.0] * mute.height
    assert set(perfect["metric"]) >= {"token_macro_f1", "token_macro_f1[WN]", "mean_f1_opos_oneg"}
    assert scores["coverage"].to_list() == [1.0] * scores.height
    assert all(0 < value < 1 for value in perfect.filter(pl.col("task") != "nermud")["baseline"])


def test_the_same_rows_come_out_twice(stage_runner: Callable[..., Any]) -> None:
    first = run_all(stage_runner, stages(EvalitaSettings()), LINE[:3])
    again = run_all(stage_runner, stages(EvalitaSettings()), LINE[:3])
    assert all(result.reused for result in again.values())
    other = run_all(stage_runner, stages(EvalitaSettings()), LINE[:3], instructions={"wordings": ["own"]})
    assert other["evalita_raw"].reused and not other["evalita_instructions"].reused
    assert set(other["evalita_instructions"].published.read("instructions", "train")["wording"]) == {"own"}
    assert first["evalita_instructions"].published.version != other["evalita_instructions"].published.version


def test_answers_of_other_instructions_are_refused(stage_runner: Callable[..., Any]) -> None:
    def wrong_gold(row: Mapping[str, Any]) -> list[dict[str, str]]:
        return [{"model": "m", "answer": "sì", "task": row["task"], "id": row["id"], "gold": "forse"}]

    graph = answering(wrong_gold)
    run_all(stage_runner, graph, LINE[:4])
    with pytest.raises(EvalitaError, match="the answers are of other instructions"):
        stage_runner(graph, sections(), "evalita_report")


def test_unknown_answer_ids_are_refused(stage_runner: Callable[..., Any]) -> None:
    graph = answering(lambda row: [{"model": "m", "answer": "sì", "task": row["task"], "id": row["id"] + "x", "gold": row["output"]}])
    run_all(stage_runner, graph, LINE[:4])
    with pytest.raises(EvalitaError, match="no such test row"):
        stage_runner(graph, sections(), "evalita_report")


def test_coverage_counts_what_was_not_answered(stage_runner: Callable[..., Any]) -> None:
    def only_news(row: Mapping[str, Any]) -> list[dict[str, str]]:
        return perfect_and_mute(row)[:1] if "/WN/" in row["id"] else []

    results = run_all(stage_runner, answering(only_news), LINE, report={"resamples": 100})
    scores = results["evalita_report"].published.read("scores")
    assert scores["metric"].to_list() == ["token_macro_f1", "token_macro_f1[WN]"]
    assert scores["items"].to_list() == [6, 6] and scores["coverage"].to_list() == [0.4, 0.4]  # 6 of 15 sentences


@pytest.mark.parametrize(("name", "limit"), [("max_train_rows", 5), ("max_validation_rows", 3), ("max_test_rows", 2)])
def test_rows_are_capped_per_task_and_counted(stage_runner: Callable[..., Any], name: str, limit: int) -> None:
    results = run_all(stage_runner, stages(EvalitaSettings()), LINE[:3], instructions={name: limit, "validation_share": 0.2})
    published = results["evalita_instructions"].published
    split = name.removeprefix("max_").removesuffix("_rows")
    sizes = published.read("instructions", split).group_by("task").len()["len"].to_list()
    assert max(sizes) == limit
    assert any(f"over_{name}" in reasons for reasons in published.statistics["left_out"].values())


def test_a_users_folder_is_used_alone(stage_runner: Callable[..., Any], tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(SAMPLES_ROOT / "evalita" / "wic-ita", data / "evalita" / "wic-ita")
    results = run_all(stage_runner, stages(EvalitaSettings()), LINE[:1], data=data)
    items = results["evalita_raw"].published.read("items")
    assert set(items["task"]) == {"wic_ita"} and set(items["licence"]) == {"none stated"} and not items["redistributable"].any()
    assert set(items["source"]) == {"wic-ita/data"}
    record = results["evalita_raw"].record
    assert "evalita/wic-ita/binary/train.jsonl" in record.inputs["user_files"]


def test_an_empty_folder_is_an_error_that_says_what_to_do(stage_runner: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(EvalitaError, match=r"put files there .* or set evalita.raw.origin to samples"):
        stage_runner(stages(EvalitaSettings()), sections(), "evalita_raw", data=tmp_path)
    assert stage_runner(stages(EvalitaSettings()), sections(raw={"origin": "samples"}), "evalita_raw", data=tmp_path).published.rows


def test_further_benchmarks_come_from_files(stage_runner: Callable[..., Any], tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(SAMPLES_ROOT / "evalita", data / "evalita")
    (data / "quiz.jsonl").write_text('{"domanda": "Quanto fa due più due?"}\n{"domanda": "Quanto fa due più due?"}\n', encoding="utf-8")
    settings = {"files": [{"name": "quiz", "file": "quiz.jsonl", "columns": ["domanda"]}]}
    results = run_all(stage_runner, stages(EvalitaSettings()), LINE[:2], data=data, benchmarks=settings)
    rows = results["benchmark_sets"].published.read("items").filter(pl.col("benchmark") == "quiz")
    assert rows["text"].to_list() == ["Quanto fa due più due?"]
    with pytest.raises(EvalitaError, match=r"quiz.jsonl, line 1: no column 'question'"):
        stage_runner(stages(EvalitaSettings()), sections(benchmarks=BenchmarkSettings(files=(BenchmarkFile(name="q", file="quiz.jsonl", columns=("question",)),))), "benchmark_sets", data=data)


SQUAD = {
    "data": [
        {
            "title": "Mulini",
            "paragraphs": [
                {
                    "context": "Il mulino ad acqua macinava il grano.",
                    "qas": [
                        {"id": "1", "question": "Che cosa macinava?", "answers": [{"text": "il grano", "answer_start": 28}]},
                        {"id": "2", "question": "Che cosa lo muoveva?", "answers": [{"text": "acqua", "answer_start": 13}, {"text": "ad acqua", "answer_start": 10}]},
                    ],
                }
            ],
        }
    ]
}
FLAT = [
    {"context": "Il mulino ad acqua macinava il grano.", "question": question, "answers": {"text": answers}}
    for question, answers in (("Che cosa macinava?", ["il grano"]), ("Che cosa lo muoveva?", ["acqua", "ad acqua"]))
]


@pytest.mark.parametrize(
    ("name", "rows", "write"),
    [
        ("squad.json", "data.paragraphs.qas", lambda path: path.write_text(json.dumps(SQUAD))),
        ("squad.json.gz", "data.paragraphs.qas", lambda path: path.write_bytes(gzip.compress(json.dumps(SQUAD).encode()))),
        ("squad.parquet", None, lambda path: pl.DataFrame(FLAT).write_parquet(path)),
        ("squad.jsonl", None, lambda path: path.write_text("\n".join(map(json.dumps, FLAT)))),
        ("list.json", None, lambda path: path.write_text(json.dumps(FLAT))),
    ],
)
def test_question_answering_sets_in_every_form_give_the_same_items(name: str, rows: str | None, write: Callable[[Path], Any], tmp_path: Path) -> None:
    write(tmp_path / name)
    entry = BenchmarkFile(name="squad_it", file=name, rows=rows, columns=("context", "question", "answers.text"))
    found = list(file_rows(entry, tmp_path / name))
    assert [row["text"].split("\n")[1:] for row in found] == [["Che cosa macinava?", "il grano"], ["Che cosa lo muoveva?", "acqua", "ad acqua"]]
    assert {row["text"].split("\n")[0] for row in found} == {SQUAD["data"][0]["paragraphs"][0]["context"]}
    assert len({row["item_id"] for row in found}) == 2


@pytest.mark.parametrize(
    ("content", "rows", "columns", "message"),
    [
        ('{"data": []}', "data", ("q",), "holds no item"),
        ('{"data": []}', None, ("q",), r"holds an object \(\['data'\]\); say by `rows`"),
        ('{"data": {"q": "x"}}', "data", ("q",), "'data' is no list of objects there; keys are"),
        ('[{"q": "x"}]', None, ("a",), r"row 1: no column 'a'; at 'a' there is \['q'\]"),
        ('[{"q": 3}]', None, ("q",), "row 1: column 'q' is 3, expected a text"),
        ('[{"q": null}]', None, ("q",), "row 1: column 'q' is None, expected a text"),
        ("[", None, ("q",), "not JSON"),
    ],
)
def test_a_file_in_another_form_is_an_error(content: str, rows: str | None, columns: tuple[str, ...], message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(EvalitaError, match=message):
        list(file_rows(BenchmarkFile(name="x", file="x.json", rows=rows, columns=columns), path))


def test_benchmark_paths_stay_below_the_folder() -> None:
    with pytest.raises(ValueError, match="below the user's data folder"):
        BenchmarkFile(name="x", file="../x.jsonl", columns=("a",))


def check_sides(items: Mapping[str, list[Item]], settings: InstructionSettings) -> None:
    assignment = assign(items, TASKS, settings, seed=7)
    assert groups_on_two_sides(assignment) == 0
    texts = {split: set().union(*(text_keys(one.task, one.item.fields) for one in rows)) if rows else set() for split, rows in assignment.splits.items()}
    assert not texts["train"] & texts["test"] and not texts["train"] & texts["validation"] and not texts["validation"] & texts["test"]
    ids = [candidate.id for rows in assignment.splits.values() for candidate in rows]
    assert len(ids) == len(set(ids))


def test_no_group_and_no_text_on_two_sides_of_the_samples() -> None:
    items = {name: read_items(locate(TASKS[name], DataFolder(None))) for name in ALL_TASKS[:5]}
    check_sides(items, InstructionSettings(validation_share=0.3))


def test_no_group_and_no_text_on_two_sides_of_the_real_sets(shared_data: Path) -> None:
    items = {name: read_items(locate(TASKS[name], DataFolder(shared_data))) for name in ALL_TASKS}
    check_sides(items, InstructionSettings(tasks=ALL_TASKS))
    assignment = assign(items, TASKS, InstructionSettings(), seed=7)
    assert assignment.left_out["erte3"]["group_in_test"] > 0  # 38 texts lie in both files
    assert sum(candidate.task.name == "xcopa" for candidate in assignment.splits["train"]) == 0
    talks = [{candidate.item.group_id for candidate in rows if candidate.task.name == "discotex"} for rows in assignment.splits.values()]
    assert talks[1] and not talks[0] & talks[1]


def test_a_pair_the_other_way_round_is_the_same_text() -> None:
    fields = {"sentence1": "Il gatto dorme.", "sentence2": "Piove."}
    turned = {"sentence1": fields["sentence2"], "sentence2": fields["sentence1"]}
    assert text_keys(TASKS["wic_ita"], fields) == text_keys(TASKS["wic_ita"], turned)
    assert text_keys(TASKS["wic_ita"], fields) != text_keys(TASKS["wic_ita"], {**fields, "sentence2": "Nevica."})


def test_sub_tasks_of_one_tweet_validate_together() -> None:
    items = {name: read_items(locate(TASKS[name], DataFolder(None))) for name in ALL_TASKS[2:5]}
    assignment = assign(items, TASKS, InstructionSettings(validation_share=0.3), seed=1)
    tasks_by_group: dict[str, set[str]] = {}
    for candidate in assignment.splits["validation"]:
        tasks_by_group.setdefault(candidate.item.group_id, set()).add(candidate.task.name)
    assert tasks_by_group and all(len(found) == 3 for found in tasks_by_group.values())


def test_training_wordings_vary_and_test_wordings_do_not() -> None:
    items = {"wic_ita": read_items(locate(TASKS["wic_ita"], DataFolder(None)))}
    settings = InstructionSettings()
    assignment = assign(items, TASKS, settings, seed=3)
    drawn = {wording_for(candidate, "train", settings, 3).name for candidate in assignment.splits["train"]}
    assert drawn == {"extremita", "own", "evalita-llm"}
    assert {wording_for(candidate, "test", settings, 3).name for candidate in assignment.splits["test"]} == {"extremita"}
    with pytest.raises(EvalitaError, match="wordings"):
        wording_for(assignment.splits["train"][0], "train", InstructionSettings(wordings=("x",)), 3)


def test_mirrored_pairs_swap_sentences_and_keep_group_and_label() -> None:
    items = {"wic_ita": read_items(locate(TASKS["wic_ita"], DataFolder(None)))}
    rows = assign(items, TASKS, InstructionSettings(), seed=3).splits["train"]
    by_id = {candidate.id: candidate.item for candidate in rows}
    mirrored = [name for name in by_id if name.endswith("~mirrored")]
    assert len(mirrored) * 2 == len(rows)
    for name in mirrored:
        original, swapped = by_id[name.removesuffix("~mirrored")], by_id[name]
        assert (original.fields["sentence1"], original.fields["start1"]) == (swapped.fields["sentence2"], swapped.fields["start2"])
        assert (original.group_id, original.label) == (swapped.group_id, swapped.label)
    assert len(assign(items, TASKS, InstructionSettings(mirrored_pairs=False), seed=3).splits["train"]) == len(rows) // 2


def test_rows_hold_the_words_and_their_hash() -> None:
    item = read_items(locate(TASKS["wic_ita"], DataFolder(None)))[0]
    candidate = assign({"wic_ita": [item]}, TASKS, InstructionSettings(), 1)
    rows = [instruction_row(one, TASKS["wic_ita"].wording("own")) for split in candidate.splits.values() for one in split]
    assert rows[0]["template_id"] == "wic_ita/own" and len(rows[0]["template_sha256"]) == 64
    assert len({wording.sha256 for task in TASKS.values() for wording in task.wordings}) == sum(len(task.wordings) for task in TASKS.values())
    assert item.fields["sentence1"] in rows[0]["input"] and rows[0]["output"] in ("sì", "no")


def test_unknown_tasks_are_named() -> None:
    from corpus.evalita.items import locate_all

    with pytest.raises(EvalitaError, match="no task 'wicita'"):
        locate_all(DataFolder(None), RawSettings(tasks=("wicita",)))


def test_intervals_hold_the_score_and_shrink_with_items() -> None:
    import numpy as np

    from corpus.evalita.metrics import ACCURACY, interval

    def width(items: int) -> float:
        counts = np.stack([ACCURACY.count({}, 1, int(index % 4 != 0)) for index in range(items)])
        found = interval(ACCURACY, counts, [str(index) for index in range(items)], resamples=500, confidence=0.95, seed=1)
        assert found.low <= found.score <= found.high and found.score == pytest.approx(0.75, abs=0.01)
        return found.high - found.low

    assert width(40) > 2 * width(400) > 0


def test_items_survive_the_table(stage_runner: Callable[..., Any]) -> None:
    published = stage_runner(stages(EvalitaSettings()), sections(), "evalita_raw").published
    items, provenance = items_of(published)
    direct = {name: read_items(locate(TASKS[name], DataFolder(None))) for name in items}
    assert {name: [(item.item_id, item.fields, item.label) for item in rows] for name, rows in items.items()} == {
        name: [(item.item_id, item.fields, json.loads(json.dumps(item.label))) for item in rows] for name, rows in direct.items()
    }
    assert len(provenance) == sum(map(len, direct.values()))
    assert ReportSettings().confidence == 0.95
