"""Readers of chats and instructions: forms, errors that name the line, counted drops, deterministic draws."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from foundation.sources.data import DataFolder
from translation.errors import SourceError
from translation.settings import SourcesSettings
from translation.sources import read_chats, read_instructions

EXCHANGE = ["Hello there", "Hello, how are you?"]


def write(path: Path, *rows: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows), encoding="utf-8")


def chats(root: Path, **settings: Any) -> Any:
    return read_chats(SourcesSettings(**settings), DataFolder(root), seed=1)


def instructions(root: Path, **settings: Any) -> Any:
    return read_instructions(SourcesSettings(**settings), DataFolder(root), seed=1)


def test_the_samples_are_whole() -> None:
    found = chats_ = read_chats(SourcesSettings(), DataFolder(None), 1)
    assert found.origin == "samples"
    assert len(chats_.rows) >= 24
    assert all(len(row["messages"]) >= 4 for row in chats_.rows)
    assert not chats_.dropped
    rows = read_instructions(SourcesSettings(), DataFolder(None), 1).rows
    assert len(rows) >= 60
    assert len({row["category"] for row in rows}) == 8
    assert sum(bool(row["context"]) for row in rows) * 3 >= len(rows)
    assert {row["licence"] for row in rows} == {"CC0-1.0"}


def test_chat_forms_and_drops(tmp_path: Path) -> None:
    write(
        tmp_path / "chat/ultrachat/train_0.jsonl",
        {"id": "0", "data": [*EXCHANGE, "A question without answer"]},
        {"id": "1", "data": ["Only a question"]},
        {"id": "2", "data": ["Hi", "I'm a model. I do not have emotions, sorry."]},
        {"id": "3", "data": EXCHANGE},
        {"id": "4", "data": ["  ", "x"]},
    )
    (tmp_path / "chat/ultrachat_200k").mkdir()
    messages = [{"role": role, "content": text} for role, text in zip(("system", "user", "assistant"), ("Be kind", "Hi", "Hi!"), strict=True)]
    pl.DataFrame([{"prompt_id": "abc", "messages": messages}]).write_parquet(tmp_path / "chat/ultrachat_200k/train_sft.parquet")
    found = chats(tmp_path)
    assert [(row["source"], row["source_id"], len(row["messages"])) for row in found.rows] == [
        ("ultrachat", "0", 2),
        ("ultrachat_200k", "abc", 3),
    ]
    assert dict(found.dropped) == {"no_exchange": 1, "drop_phrase": 1, "repeated": 1, "empty_message": 1}
    assert found.origin == "user"


def test_instruction_forms(tmp_path: Path) -> None:
    alpaca = "Below is an instruction that describes a task, paired with an input.\n\n### Instruction:\nWho?\n\n### Input:\nAnna.\n\n### Response:"
    write(tmp_path / "dolly/dolly_alpaca_prompt_1.jsonl", {"prompt": alpaca, "answer": "Anna ###eos_token###"})
    write(
        tmp_path / "dolly/databricks-dolly-15k.jsonl",
        {"instruction": "When?", "context": "In 1900[12] it began.", "response": "1900", "category": "closed_qa"},
        {"instruction": "When?", "context": "", "response": " ", "category": "open_qa"},
    )
    found = instructions(tmp_path)
    fields = sorted((row["instruction"], row["context"], row["response"], row["category"]) for row in found.rows)
    assert fields == [("When?", "In 1900 it began.", "1900", "closed_qa"), ("Who?", "Anna.", "Anna", None)]
    assert dict(found.dropped) == {"empty_response": 1}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{broken", "line 2 is not JSON"),
        ("[1]", "line 2: a JSON object"),
        ({"text": "x"}, "line 2: a chat needs 'data'"),
        ({"data": ["a", 3]}, "line 2: 'data' must be a text"),
        ({"messages": [{"role": "bot", "content": "x"}]}, "line 2: each message needs a role"),
        ({"messages": [{"role": "user"}]}, "line 2: 'content' must be a text"),
    ],
)
def test_a_bad_chat_is_named(tmp_path: Path, line: Any, message: str) -> None:
    write(tmp_path / "chat/ultrachat/a.jsonl", {"data": EXCHANGE}, line)
    with pytest.raises(SourceError, match=message):
        chats(tmp_path)


def test_a_bad_instruction_is_named(tmp_path: Path) -> None:
    write(tmp_path / "dolly/databricks-dolly-15k.jsonl", {"instruction": "x"})
    with pytest.raises(SourceError, match=r"databricks-dolly-15k\.jsonl, line 1: 'instruction' and 'response'"):
        instructions(tmp_path)


def test_a_clipped_archive_and_wrong_bytes_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "chat/ultrachat_200k"
    folder.mkdir(parents=True)
    whole = gzip.compress("".join(json.dumps({"data": [f"{n}", "x" * 50]}) + "\n" for n in range(500)).encode())
    (folder / "a.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match=r"a\.jsonl\.gz cannot be read after line"):
        chats(tmp_path)
    (folder / "a.jsonl.gz").unlink()
    (folder / "b.jsonl").write_bytes(b'{"data": ["\xff\xfe", "x"]}\n')
    with pytest.raises(SourceError, match="UTF-8 is expected"):
        chats(tmp_path)
    (folder / "b.jsonl").unlink()
    (folder / "c.parquet").write_bytes(b"PAR1")
    with pytest.raises(SourceError, match=r"c\.parquet is not a whole Parquet file"):
        chats(tmp_path)


def test_draws_depend_on_seed_and_id_alone(tmp_path: Path) -> None:
    rows = [{"data": [f"Question {number}", f"Answer {number}"]} for number in range(50)]
    write(tmp_path / "a/chat/ultrachat/x.jsonl", *rows)
    write(tmp_path / "b/chat/ultrachat/x.jsonl", *reversed(rows))
    write(tmp_path / "c/chat/ultrachat/x.jsonl", *rows, {"data": ["One more", "Yes"]})
    drawn = {name: {row["id"] for row in chats(tmp_path / name, max_chats=20).rows} for name in "abc"}
    assert drawn["a"] == drawn["b"]
    assert len(drawn["a"]) == 20
    assert len(drawn["a"] & drawn["c"]) >= 19
