"""Tables of answers from any generator: what is read, what is refused, and that scores do not depend on the kind of file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from corpus.evalita.answer_files import read_answers
from corpus.evalita.answer_scores import AnswerScores, Questions, questions_of, score_answers
from corpus.evalita.answers.choice import label_words
from corpus.evalita.errors import EvalitaError
from corpus.evalita.settings import EvalitaSettings, ReportSettings
from corpus.evalita.stages import stages
from corpus.evalita.tasks import TASKS
from tests.corpus.evalita.test_evalita_stages import LINE, run_all

ROW = {"task": "wic_ita", "id": "x", "answer": "sì"}


@pytest.fixture
def questions(stage_runner: Callable[..., Any]) -> Questions:
    built = run_all(stage_runner, stages(EvalitaSettings()), LINE[:3], instructions={"held_out_wordings": ["wic_ita/evalita-llm"]})
    return questions_of(built["evalita_instructions"].published, built["evalita_raw"].published)


def score(questions: Questions, rows: list[dict[str, Any]]) -> AnswerScores:
    rows = [{"model": "m", "gold": None, **row} for row in rows]
    return score_answers(questions, rows, ReportSettings(resamples=100), 1, origin="a.csv", remedy="answer them again")


def gold_rows(questions: Questions) -> list[dict[str, Any]]:
    return [{"task": row["task"], "id": row["id"], "answer": row["output"]} for row in questions.rows.values()]


def test_every_kind_of_file_is_read_alike(tmp_path: Path) -> None:
    rows = [{**ROW, "id": "a", "answer": "«sì»,\n\"no\"\t|"}, {**ROW, "id": "b", "answer": ""}]
    frame = pl.DataFrame(rows)
    frame.write_parquet(tmp_path / "a.parquet")
    frame.write_csv(tmp_path / "a.csv")
    frame.write_csv(tmp_path / "a.tsv", separator="\t")
    frame.write_ndjson(tmp_path / "a.jsonl")
    wanted = [{"model": "a", "gold": None, **row} for row in rows]
    for ending in ("parquet", "csv", "tsv", "jsonl"):
        assert read_answers(tmp_path / f"a.{ending}") == wanted
    (tmp_path / "a.jsonl").write_text(json.dumps({**ROW, "answer": None, "model": "q", "more": [1]}))
    assert read_answers(tmp_path / "a.jsonl", "named") == [{**ROW, "answer": "", "model": "q", "gold": None}]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.xlsx", b"x", r"read from files that end in \.parquet, \.jsonl, \.csv, \.tsv"),
        ("a.parquet", b"PAR1 not quite", "cannot be read as Parquet"),
        ("a.parquet", None, "there is no such file; name a table with the columns task, id, answer"),
        ("a.csv", b"", "is empty"),
        ("a.csv", b"task,id,answer\n", "holds no answer"),
        ("a.csv", b"task,id,reply\nwic_ita,x,no\n", "row 1: no column 'answer'"),
        ("a.csv", b"task,id,answer\nwic_ita,x\n", "row 2: 2 columns, expected 3"),
        ("a.csv", b'task,id,answer\nwic_ita,x,"no\n', "unexpected end of data"),
        ("a.csv", b"task,id,answer\nwic_ita,x,perch\xe9\n", "not UTF-8"),
        ("a.jsonl", b'{"task": "wic_ita", "id": "x"}\n', "row 1: no column 'answer'"),
        ("a.jsonl", b'{"task": "wic_ita", "id": 7, "answer": "no"}\n', "row 1: column 'id' is 7, expected a text"),
        ("a.jsonl", b'{"task": "wic_ita", "id": "x", "answer": 1}\n', "row 1: column 'answer' is 1, expected a text"),
        ("a.jsonl", b"no\n", "line 1: not JSON"),
    ],
)
def test_a_table_that_cannot_be_read_is_one_clear_message(name: str, content: bytes | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(EvalitaError, match=message) as caught:
        read_answers(tmp_path / name)
    assert name in str(caught.value)


def test_parquet_without_a_column_is_told(tmp_path: Path) -> None:
    pl.DataFrame([{"task": "a", "id": "b"}]).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(EvalitaError, match="row 1: no column 'answer'"):
        read_answers(tmp_path / "a.parquet")


def test_gold_answers_reach_the_optimum_and_silence_is_counted(questions: Questions) -> None:
    found = score(questions, gold_rows(questions))
    optimum = {metric.name: metric.optimum for task in TASKS.values() for metric in task.metrics}
    assert {row["task"] for row in found.scores} == set(TASKS)
    assert all(row["score"] == pytest.approx(optimum[row["metric"].partition("[")[0]]) and row["coverage"] == 1 for row in found.scores)
    assert not any(found.failures.values()) and not any(found.unanswered.values())
    some = [row for row in gold_rows(questions) if row["task"] == "wic_ita"]
    part = score(questions, [*some[2:-1], {**some[-1], "answer": ""}])
    assert part.failures["m wic_ita/own"] == {"empty": 1} or part.failures["m wic_ita/evalita-llm"] == {"empty": 1}
    assert sum(part.unanswered.values()) == 2 and any(row["coverage"] < 1 for row in part.wording_scores)
    assert {row["wording"] for row in part.wording_scores} == {"own", "evalita-llm"} and {row["task"] for row in part.scores} == {"wic_ita"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": "nowhere"}, r"a\.csv, row 'nowhere' of task 'wic_ita': no such test row in evalita_instructions; answer them again"),
        ({"task": "nermud"}, "of task 'nermud': no such test row"),
        ({"gold": "forse"}, "gold is 'forse', the item's is .*; the answers are of other instructions, answer them again"),
    ],
)
def test_rows_that_answer_nothing_are_refused(questions: Questions, change: dict[str, Any], message: str) -> None:
    row = next(row for row in gold_rows(questions) if row["task"] == "wic_ita")
    with pytest.raises(EvalitaError, match=message):
        score(questions, [{**row, **change}])


def test_a_row_is_answered_once(questions: Questions) -> None:
    row = gold_rows(questions)[0]
    with pytest.raises(EvalitaError, match=r"a\.csv, row .*: 'm' answers it twice; answer them again"):
        score(questions, [row, row])
    assert score(questions, [row, {**row, "model": "n"}]).scores  # another model may


def test_other_splits_are_scored_over_what_they_hold(stage_runner: Callable[..., Any]) -> None:
    built = run_all(stage_runner, stages(EvalitaSettings()), LINE[:3])
    versions = built["evalita_instructions"].published, built["evalita_raw"].published
    validation = questions_of(*versions, "validation")
    found = score(validation, gold_rows(validation))
    assert found.scores and all(row["coverage"] == 1 for row in found.scores)
    assert not set(validation.rows) & set(questions_of(*versions).rows)
    with pytest.raises(EvalitaError, match="there is no split 'dev'; evalita_instructions has train, validation, test"):
        questions_of(*versions, "dev")


def test_instructions_and_items_have_to_belong_together(stage_runner: Callable[..., Any]) -> None:
    graph = stages(EvalitaSettings())
    built = run_all(stage_runner, graph, LINE[:3])
    other = run_all(stage_runner, graph, LINE[:1], raw={"tasks": ["erte3"]})
    with pytest.raises(EvalitaError, match="is not in evalita_raw; give the two versions that belong together"):
        questions_of(built["evalita_instructions"].published, other["evalita_raw"].published)


def test_rows_name_the_words_that_an_answer_may_be(questions: Questions) -> None:
    for row in questions.rows.values():
        assert tuple(row["choices"]) == label_words(TASKS[row["task"]].wording(row["wording"]).answer)
        assert not row["choices"] or row["output"] in row["choices"]
    with_words = {row["task"] for row in questions.rows.values() if row["choices"]}
    assert {"wic_ita", "discotex_1", "erte3", "geolingit_region", "emit_b"} <= with_words | {"geolingit_region", "geolingit_a"}
    assert not with_words & {"nermud", "clinkart", "discotex_2", "wic_ita_ranking"}
