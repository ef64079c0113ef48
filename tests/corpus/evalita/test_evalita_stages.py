"""The stages of the workshop: the built tables, caps, benchmark texts, and the report on answers."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from corpus.evalita.benchmarks import file_rows
from corpus.evalita.errors import EvalitaError
from corpus.evalita.items import items_of
from corpus.evalita.report import masked, rendered_examples
from corpus.evalita.settings import BenchmarkFile, BenchmarkSettings, EvalitaSettings, RawSettings
from corpus.evalita.splits import SPLITS, Assignment, assign, on_two_sides
from corpus.evalita.stages import stages
from corpus.evalita.tasks import TASKS
from corpus.evalita.texts import text_keys
from foundation.stages import Stage, StageContext, StageReport
from foundation.store import PublishedVersion, TableSpec
from tests.corpus.evalita.sampled import copied_samples, sample_items

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
    assert raw.statistics["missing"] == [] and set(raw.statistics["items"]) == set(TASKS)
    items = raw.read("items")
    assert set(items["licence"]) == {"CC0-1.0"} and items["redistributable"].all() and items["official_test"].all()
    assert set(items["split"]) == {"train", "dev", "test"}
    test_items = items.filter(pl.col("split") == "test")["item_id"].sort().to_list()
    assert results["evalita_instructions"].published.read("instructions", "test")["item_id"].sort().to_list() == test_items
    assert results["benchmark_sets"].published.read("items")["item_id"].sort().to_list() == test_items
    report = results["evalita_report"].published
    scores = report.read("scores")
    perfect, mute = (scores.filter(pl.col("model") == name) for name in ("perfect", "mute"))
    higher = perfect["higher_is_better"]
    assert perfect.filter(higher)["score"].to_list() == [1.0] * int(higher.sum()) and perfect.filter(~higher)["score"].to_list() == [0.0]
    assert perfect["parse_failure_rate"].sum() == 0 and perfect["score_parsed"].to_list() == perfect["score"].to_list()
    answered = mute.filter(pl.col("task") != "hodi_b")  # its answer is words, and these are words
    assert (answered.filter(pl.col("higher_is_better"))["score"] <= 0).all()
    assert set(answered["parse_failure_rate"]) == {1.0} and answered["score_parsed"].null_count() == answered.height
    assert set(scores["task"]) == set(TASKS) and set(scores["coverage"]) == {1.0}
    assert set(perfect["metric"]) >= {"token_macro_f1", "token_macro_f1[WN]", "mean_f1_opos_oneg", "macro_f1[it-en]", "pearson_valence", "mean_kilometres"}
    assert "macro_f1" not in set(perfect.filter(pl.col("task") == "wic_ita")["metric"])  # no score over both languages together
    assert not perfect.filter(pl.col("task") == "clinkart")["metric_verified"].any()
    baselines = report.read("baselines")
    assert set(baselines["task"]) == set(TASKS)
    assert report.statistics["failures"]["mute wic_ita/own"] == {"unknown_word": 22}


def test_the_built_table_has_no_group_and_no_text_on_two_sides(stage_runner: Callable[..., Any]) -> None:
    built = run_all(stage_runner, stages(EvalitaSettings()), LINE[:3], instructions={"validation_share": 0.3, "held_out_wordings": ["evalita-llm"]})
    check_table(built["evalita_raw"].published, built["evalita_instructions"])


def test_the_built_table_of_the_real_sets(stage_runner: Callable[..., Any], shared_data: Path) -> None:
    built = run_all(stage_runner, stages(EvalitaSettings()), ("evalita_raw", "evalita_instructions"), data=shared_data)
    check_table(built["evalita_raw"].published, built["evalita_instructions"])
    statistics = built["evalita_instructions"].published.statistics
    assert statistics["rows"]["nermud"]["test"] == 4126 and statistics["rows"]["wic_ita"]["test"] == 1000
    assert built["evalita_raw"].published.statistics["test_items_of_this_project"] == ["clinkart"]
    assert {"none stated", "MIT", "CC-BY-NC-SA-3.0-IT"} <= set(statistics["licences"])
    assert set(statistics["lossy"]) == {"clinkart/evalita-llm", "clinkart/extremita", "discotex_2/own-rounded"}


def check_table(raw: PublishedVersion, result: Any) -> None:
    """The checks of the gates, made again on what was published."""
    assert {gate.name: gate.passed for gate in result.record.gates} == {"groups_apart": True, "texts_apart": True, "answers_read_back": True}
    instructions = result.published
    items = {item.item_id: (name, item) for name, rows in items_of(raw)[0].items() for item in rows}
    groups, texts, splits = [], [], {}
    for split in SPLITS:
        for row in instructions.read("instructions", split).iter_rows(named=True):
            name, item = items[row["item_id"]]
            assert row["group_id"] == item.group_id and (split == "test") == (item.split == "test")
            groups.append((split, [row["group_id"]]))
            texts.append((split, text_keys(TASKS[name].texts(item.fields))))
            assert splits.setdefault(row["item_id"], split) == split  # every wording of an item in one split
        for name, wording_name, sha256, parser in instructions.read("instructions", split).select("task", "wording", "template_sha256", "parser").unique().iter_rows():
            wording = TASKS[name].wording(wording_name)
            assert (sha256, parser) == (wording.sha256, wording.parser)
    assert on_two_sides(groups) == 0 and on_two_sides(texts) == 0
    assert on_two_sides([("train", ["a", "b"]), ("test", ["b"])]) == 1


def test_a_leak_or_a_lost_label_fails_a_gate(stage_runner: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def leaking(*arguments: Any) -> Assignment:
        assignment = assign(*arguments)
        assignment.splits["train"] += [replace(candidate, suffix="~leaked") for candidate in assignment.splits["test"] if candidate.task.name == "erte3"]
        return assignment

    monkeypatch.setattr("corpus.evalita.stages.assign", leaking)
    monkeypatch.setattr("corpus.evalita.answers.numbers.NumberAnswer.decode", lambda *_arguments: 3.0)
    gates = {gate.name: gate for gate in run_all(stage_runner, stages(EvalitaSettings()), LINE[:3])["evalita_instructions"].record.gates}
    assert not any(gate.passed for gate in gates.values())
    assert gates["groups_apart"].value == 4  # the texts of nine pairs


def test_rows_are_counted_by_task_split_wording_and_licence(stage_runner: Callable[..., Any]) -> None:
    result = run_all(stage_runner, stages(EvalitaSettings()), LINE[:3])["evalita_instructions"]
    statistics, published = result.published.statistics, result.published
    for split in SPLITS:
        rows = published.read("instructions", split)
        assert statistics["total"][split] == rows.height == sum(found.get(split, 0) for found in statistics["licences"].values())
        for column, counted in (("task", "rows"), ("template_id", "wordings"), ("licence", "licences")):
            assert dict(rows[column].value_counts().iter_rows()) == {name: found[split] for name, found in statistics[counted].items() if split in found}
    assert statistics["lossy"]["discotex_2/own-rounded"] > 0
    assert {"Rows by task", "Rows by wording", "Rows by licence", "Left out", "Rows"} == set(result.previews)
    assert "| CC0-1.0 |" in result.previews["Rows by licence"] and "| erte3 | group_in_test | 2 |" in result.previews["Left out"]


def test_ten_examples_of_every_task_are_shown_without_personal_data(stage_runner: Callable[..., Any]) -> None:
    published = run_all(stage_runner, stages(EvalitaSettings()), LINE[:3])["evalita_instructions"].published
    examples = rendered_examples(published)
    assert set(examples) == set(TASKS) and all(len(rows) == 10 for rows in examples.values())
    assert len({row["split"] for rows in examples.values() for row in rows}) == 3
    shown = json.dumps(rendered_examples(published, per_task=100), ensure_ascii=False)
    assert "@user" not in shown and "https://" not in shown and "@utente" in shown
    assert masked("Scrivi a ada.rossi@esempio.it o al +39 06 1234 5678, www.esempio.it") == "Scrivi a [e-mail] o al [numero], [link]"


def test_the_same_rows_come_out_twice(stage_runner: Callable[..., Any]) -> None:
    first = run_all(stage_runner, stages(EvalitaSettings()), LINE[:3])
    again = run_all(stage_runner, stages(EvalitaSettings()), LINE[:3])
    assert all(result.reused for result in again.values())
    other = run_all(stage_runner, stages(EvalitaSettings()), LINE[:3], instructions={"wordings": ["own"]})
    assert other["evalita_raw"].reused and not other["evalita_instructions"].reused
    assert set(other["evalita_instructions"].published.read("instructions", "train")["wording"]) == {"own"}
    assert first["evalita_instructions"].published.version != other["evalita_instructions"].published.version


def test_a_held_out_wording_is_scored_beside_the_first(stage_runner: Callable[..., Any]) -> None:
    def knows_its_wording(row: Mapping[str, Any]) -> list[dict[str, str]]:
        answer = row["output"] if row["wording"] == "own" else "boh"
        return [{"model": "m", "task": row["task"], "id": row["id"], "gold": row["output"], "answer": answer}] if row["task"] == "wic_ita" else []

    results = run_all(stage_runner, answering(knows_its_wording), LINE, instructions={"held_out_wordings": ["wic_ita/evalita-llm"]}, report={"resamples": 100})
    report = results["evalita_report"].published
    assert report.read("scores")["score"].to_list() == [1.0, 1.0]
    by_wording = {(row["wording"], row["metric"]): (row["score"], row["trained_on"]) for row in report.read("wording_scores").to_dicts()}
    assert by_wording == {("own", "macro_f1[it]"): (1.0, True), ("own", "macro_f1[it-en]"): (1.0, True), ("evalita-llm", "macro_f1[it]"): (0.0, False), ("evalita-llm", "macro_f1[it-en]"): (0.0, False)}
    assert "evalita-llm" not in set(results["evalita_instructions"].published.read("instructions", "train").filter(pl.col("task") == "wic_ita")["wording"])


def test_answers_to_the_chunks_of_a_cluster_are_scored_as_one(stage_runner: Callable[..., Any], tmp_path: Path) -> None:
    data = copied_samples(tmp_path / "data", "politicit_gender")
    path = data / "evalita/politicit/politicit_test.csv"
    long = "".join(f"201,male,right,right,{' '.join(['parola'] * 100)} {number}\n" for number in range(3))
    path.write_text(path.read_text(encoding="utf-8") + long, encoding="utf-8")

    def half_right(row: Mapping[str, Any]) -> list[dict[str, str]]:
        answer = "donna" if row["item_id"].endswith("/201/000") else row["output"]
        return [{"model": "m", "task": row["task"], "id": row["id"], "gold": row["output"], "answer": answer}]

    changes = {"raw": {"tasks": ["politicit_gender"]}, "report": {"resamples": 100}}
    results = run_all(stage_runner, answering(half_right), LINE, data=data, **changes)
    row = results["evalita_report"].published.read("scores").to_dicts()[0]
    assert row["items"] == 6 and row["score"] == 1.0  # 4 clusters, one of 3 chunks; one wrong chunk is outvoted


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
    assert scores["items"].to_list() == [6, 6] and scores["coverage"].to_list() == [0.4, 1.0]  # 6 of 15 sentences, 6 of 6 of the domain


@pytest.mark.parametrize(("name", "limit"), [("max_train_rows", 5), ("max_validation_rows", 3), ("max_test_rows", 2)])
def test_rows_are_capped_per_task_and_counted(stage_runner: Callable[..., Any], name: str, limit: int) -> None:
    results = run_all(stage_runner, stages(EvalitaSettings()), LINE[:3], instructions={name: limit, "validation_share": 0.2})
    published = results["evalita_instructions"].published
    split = name.removeprefix("max_").removesuffix("_rows")
    sizes = published.read("instructions", split).group_by("task").len()["len"].to_list()
    assert max(sizes) == limit
    assert any(f"over_{name}" in reasons for reasons in published.statistics["left_out"].values())


def test_a_users_folder_is_used_alone(stage_runner: Callable[..., Any], tmp_path: Path) -> None:
    data = copied_samples(tmp_path / "data", "wic_ita", "acti_a")
    accepted = {"accept_changed": ["wic_ita"]}
    results = run_all(stage_runner, stages(EvalitaSettings()), LINE[:1], data=data, raw=accepted)
    items = results["evalita_raw"].published.read("items")
    assert set(items["task"]) == {"wic_ita", "acti_a"} and set(items["licence"]) == {"none stated"} and not items["redistributable"].any()
    assert set(items["source"]) == {"wic-ita/data", "kaggle: acti-subtask-a"}
    record = results["evalita_raw"].record
    assert "evalita/wic-ita/binary/train.jsonl" in record.inputs["user_files"]


def test_an_empty_folder_is_an_error_that_says_what_to_do(stage_runner: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(EvalitaError, match=r"put files there .* or set evalita.raw.origin to samples"):
        stage_runner(stages(EvalitaSettings()), sections(), "evalita_raw", data=tmp_path)
    assert stage_runner(stages(EvalitaSettings()), sections(raw={"origin": "samples"}), "evalita_raw", data=tmp_path).published.rows


def test_further_benchmarks_come_from_files(stage_runner: Callable[..., Any], tmp_path: Path) -> None:
    data = tmp_path / "data"
    copied_samples(data, "acti_a")
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


def test_unknown_tasks_are_named() -> None:
    with pytest.raises(ValueError, match="no task 'wicita'"):
        RawSettings(tasks=("wicita",))


def test_items_survive_the_table(stage_runner: Callable[..., Any]) -> None:
    items, provenance = items_of(stage_runner(stages(EvalitaSettings()), sections(), "evalita_raw").published)
    for name, rows in items.items():
        assert [(item.item_id, item.split, item.group_id, item.fields, item.label) for item in rows] == [
            (item.item_id, item.split, item.group_id, item.fields, item.label) for item in sample_items(name)
        ]
    assert len(provenance) == sum(len(sample_items(name)) for name in TASKS)
