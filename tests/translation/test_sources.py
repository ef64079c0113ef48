"""Sources: forms, places, damage that is named, rows that are dropped or set aside and counted, draws, any number of workers."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from foundation.language.sentences import SentenceSettings
from foundation.language.source_language import SourceCleaning, SourceTasks
from foundation.settings import PROFILES_ROOT
from foundation.stages import StageResult
from tests.hub_server import hub_server
from translation.errors import SourceError
from translation.settings import SourceFiles, SourcesSettings
from translation.sources import merging
from translation.sources.build import source_stages
from translation.sources.report import set_licence

ROOT = Path(__file__).parents[2]
EXCHANGE = ["Hello there", "Hello, how are you?"]
LANGUAGE = yaml.safe_load((PROFILES_ROOT / "languages" / "ita.yaml").read_text(encoding="utf-8"))
SECTIONS = {
    "language.source_sentences": SentenceSettings(**LANGUAGE["source_sentences"]),
    "language.source_cleaning": SourceCleaning(**LANGUAGE["source_cleaning"]),
    "language.source_tasks": SourceTasks(LANGUAGE["source_tasks"]),
}


@pytest.fixture
def build(stage_runner: Callable[..., Any]) -> Callable[..., StageResult]:
    """Build ``source_chats`` or ``source_instructions`` of a folder."""

    def run(kind: str, data: Path | None, workers: int = 1, **settings: Any) -> StageResult:
        sections = {**SECTIONS, "translation.sources": SourcesSettings(**settings)}
        return stage_runner(source_stages(), sections, f"source_{kind}", data=data, workers=workers)

    return run


def write(path: Path, *rows: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def rows(result: StageResult, table: str | None = None) -> list[dict[str, Any]]:
    return result.published.read(table or result.published.tables[0]).to_dicts()


def statistics(result: StageResult) -> dict[str, Any]:
    return dict(result.record.statistics)


def test_the_samples_are_whole(build: Any) -> None:
    chats = build("chats", None)
    assert statistics(chats)["origin"] == "samples" and statistics(chats)["dropped"] == {} == statistics(chats)["tasks"]
    assert len(rows(chats)) >= 24 and all(len(row["messages"]) >= 4 for row in rows(chats))
    instructions = rows(build("instructions", None))
    assert len(instructions) >= 60 and len({row["category"] for row in instructions}) == 8
    assert sum(bool(row["context"]) for row in instructions) * 3 >= len(instructions)
    assert {row["licence"] for row in instructions} == {"CC0-1.0"}


def test_forms_of_chats(build: Any, tmp_path: Path) -> None:
    write(tmp_path / "chat/ultrachat/train_0.jsonl", {"id": "0", "data": [*EXCHANGE, "A question without answer"]}, {"id": "1", "data": ["Only a question"]}, {"id": "2", "data": EXCHANGE})
    folder = tmp_path / "chat/ultrachat_200k"
    folder.mkdir()
    messages = [{"role": role, "content": text} for role, text in zip(("system", "user", "assistant"), ("Be kind.", "Hi", "Hi!"), strict=True)]
    pl.DataFrame([{"prompt_id": "abc", "messages": messages, "data": None}]).write_parquet(folder / "train_sft.parquet")
    write(folder / "shared.json.gz", json.dumps([{"id": "s", "conversations": [{"from": "human", "value": "Who?"}, {"from": "gpt", "value": "Nobody."}]}]))
    result = build("chats", tmp_path)
    found = {row["source_id"]: row for row in rows(result)}
    assert {key: [(message["role"], message["content"]) for message in row["messages"]] for key, row in found.items()} == {
        "0": [("user", EXCHANGE[0]), ("assistant", EXCHANGE[1])],
        "abc": [("system", "Be kind."), ("user", "Hi"), ("assistant", "Hi!")],
        "s": [("user", "Who?"), ("assistant", "Nobody.")],
    }
    assert statistics(result)["dropped"] == {"no_exchange": 1, "repeated": 1}
    assert {row["source"] for row in found.values()} == {"ultrachat", "ultrachat_200k"} and {row["licence"] for row in found.values()} == {"MIT"}


def test_forms_of_instructions(build: Any, tmp_path: Path) -> None:
    alpaca = "Below is an instruction that describes a task, paired with an input.\n\n### Instruction:\nWho?\n\n### Input:\nAnna.\n\n### Response:"
    write(tmp_path / "dolly/dolly_alpaca_prompt_1.jsonl", {"prompt": alpaca, "answer": "Anna ###eos_token###"})
    write(
        tmp_path / "dolly/databricks-dolly-15k.jsonl",
        {"instruction": "When?", "context": "In 1900[12] it began.", "response": "1900", "category": "closed_qa"},
        {"instruction": "When was it?", "context": "", "response": " ", "category": "open_qa"},
        {"instruction": "Where?", "input": "<noinput>", "output": "In a list: `a[12]`."},
    )
    result = build("instructions", tmp_path)
    fields = sorted((row["instruction"], row["context"], row["response"], row["category"]) for row in rows(result))
    assert fields == [("When?", "In 1900 it began.", "1900", "closed_qa"), ("Where?", "", "In a list: `a[12]`.", None), ("Who?", "Anna.", "Anna", None)]
    assert statistics(result)["dropped"] == {"empty_response": 1} and statistics(result)["changed"] == {"citation_marks": 1}
    assert statistics(result)["licence"] == "cc-by-sa-3.0"


def test_a_share_alike_source_makes_a_share_alike_set() -> None:
    assert set_licence(["MIT", "CC-BY-SA-3.0"]) == "cc-by-sa-3.0"
    assert set_licence(["MIT", "CC0-1.0"]) in ("mit", "other")
    assert set_licence(["CC-BY-SA-3.0", "CC-BY-NC-4.0"]) == "other"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{broken", r"a\.jsonl, line 2 is not JSON"),
        ("[1]", r"a\.jsonl, line 2: a JSON object"),
        ({"text": "x"}, r"a\.jsonl, line 2: a chat needs 'data'"),
        ({"data": ["a", 3]}, r"a\.jsonl, line 2: 'data' must be a text"),
        ({"data": "a"}, r"a\.jsonl, line 2: 'data' must be a list"),
        ({"messages": [{"role": "bot", "content": "x"}]}, r"a\.jsonl, line 2: each message needs a role"),
        ({"messages": [{"role": "user"}]}, r"a\.jsonl, line 2: .*'content' must be a text|a\.jsonl, line 2: each message"),
    ],
)
def test_a_bad_chat_is_named(build: Any, tmp_path: Path, line: Any, message: str) -> None:
    write(tmp_path / "chat/ultrachat/a.jsonl", {"data": EXCHANGE}, line)
    with pytest.raises(SourceError, match=message):
        build("chats", tmp_path)


def test_a_bad_instruction_is_named(build: Any, tmp_path: Path) -> None:
    write(tmp_path / "dolly/databricks-dolly-15k.jsonl", {"instruction": "x"})
    with pytest.raises(SourceError, match=r"databricks-dolly-15k\.jsonl, line 1: 'instruction' with 'response'"):
        build("instructions", tmp_path)


def test_damaged_files_are_named(build: Any, tmp_path: Path) -> None:
    folder = tmp_path / "chat/ultrachat_200k"
    folder.mkdir(parents=True)
    whole = gzip.compress("".join(json.dumps({"data": [f"{n}", "x" * 50]}) + "\n" for n in range(500)).encode())
    for name, content, message in (
        ("a.jsonl.gz", whole[: len(whole) // 2], r"a\.jsonl\.gz"),
        ("b.jsonl", b'{"data": ["\xff\xfe", "x"]}\n', r"b\.jsonl.*UTF-8"),
        ("c.parquet", b"PAR1", r"c\.parquet is not a whole Parquet file"),
        ("d.json", b'[{"data": ["a", "b"]}', r"d\.json"),
    ):
        (folder / name).write_bytes(content)
        with pytest.raises(SourceError, match=message):
            build("chats", tmp_path)
        (folder / name).unlink()


def test_what_is_left_out_is_counted(build: Any, tmp_path: Path) -> None:
    write(
        tmp_path / "chat/ultrachat/a.jsonl",
        {"data": ["What do you feel?", "As an AI language model, I don't have feelings."]},
        {"data": ["  ", "x"]},
        {"data": ["It is broken", "The cafÃ© in the Rue de lâ€™EuropÃ© was voilÃ  dÃ©jÃ  vu."]},
        {"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}, {"role": "assistant", "content": "c"}]},
        {"data": [*EXCHANGE, "And then?", "x" * 400]},
    )
    result = build("chats", tmp_path, max_characters=300)
    assert statistics(result)["dropped"] == {"empty_message": 1, "mojibake": 1, "refusal": 1, "roles_do_not_alternate": 1}
    (row,) = rows(result)
    assert [message["content"] for message in row["messages"]] == EXCHANGE and (row["messages_cut"], row["cut_before"]) == (2, "too_long")
    kept = build("chats", tmp_path, cleaning={"refusals": False, "mojibake": False})
    assert {"refusal", "mojibake"} & statistics(kept)["dropped"].keys() == set()


def test_questions_without_an_answer_are_missing_at_the_end(build: Any, tmp_path: Path) -> None:
    write(tmp_path / "chat/ultrachat/a.jsonl", {"data": [*EXCHANGE, "And then?"]})
    (row,) = rows(build("chats", tmp_path))
    assert (row["messages_cut"], row["cut_before"], row["changes"]) == (1, None, ["unanswered_question"])


def test_tasks_bound_to_their_language_are_set_aside(build: Any, tmp_path: Path) -> None:
    write(
        tmp_path / "dolly/databricks-dolly-15k.jsonl",
        {"instruction": "Write a poem about spring that rhymes.", "context": "", "response": "Spring, ring.", "category": "creative_writing"},
        {"instruction": "Which is a species of fish? Tope or Rope", "context": "", "response": "Tope", "category": "classification"},
        {"instruction": "Fix the grammar: he go home", "context": "", "response": "He goes home.", "category": "open_qa"},
        {"instruction": "Give me a list of fish", "context": "", "response": "Tope, trout.", "category": "brainstorming"},
        {"instruction": "Explain what a verb is.", "context": "", "response": "A word for what is done.", "category": "open_qa"},
    )
    result = build("instructions", tmp_path)
    assert statistics(result)["tasks"] == {"grammar": 1, "rhyme": 1, "word_game": 1}
    aside = {row["task"]: row for row in rows(result, "set_aside")}
    assert "rhym" in aside["rhyme"]["matched"] and aside["rhyme"]["response"] == "Spring, ring."
    assert sorted(row["instruction"] for row in rows(result)) == ["Explain what a verb is.", "Give me a list of fish"]
    assert len(rows(build("instructions", tmp_path, cleaning={"language_tasks": False}))) == 5
    assert len(rows(build("instructions", tmp_path, cleaning={"kept_tasks": ["rhyme"]}))) == 3
    with pytest.raises(SourceError, match=r"'rime'.* are no kinds"):
        build("instructions", tmp_path, cleaning={"kept_tasks": ["rime"]})
    write(tmp_path / "chat/ultrachat/a.jsonl", {"data": [*EXCHANGE, "Tell me a rhyme for cat", "Hat"]}, {"data": ["Spell backwards: cat", "tac"]})
    chats = build("chats", tmp_path)
    assert [(row["messages_cut"], row["cut_before"]) for row in rows(chats)] == [(2, "rhyme")] and statistics(chats)["tasks"] == {"spelling": 1}


def many(path: Path, count: int, files: int, *, backwards: bool = False) -> Path:
    for number in range(files):
        texts = [{"data": [f"Question {place} of all?", f"Answer {place}, and a little more of it."]} for place in range(number, count, files)]
        write(path / f"chat/ultrachat/{9 - number if backwards else number}.jsonl", *(reversed(texts) if backwards else texts), {"data": EXCHANGE})
    return path


def test_rows_do_not_depend_on_workers_files_or_buckets(build: Any, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build("chats", many(tmp_path / "a", 300, 3))
    ids = [row["id"] for row in rows(first)]
    assert ids == sorted(ids) and len(ids) == 301
    assert statistics(first)["dropped"] == {"repeated": 2}
    monkeypatch.setattr("translation.sources.build.FEW_BYTES", 0)
    monkeypatch.setattr(merging.Parts.tables, "__defaults__", (2_000,))  # many buckets
    shutil.rmtree(home / "store")
    assert build("chats", tmp_path / "a", workers=2).record.version == first.record.version
    other = build("chats", many(tmp_path / "b", 300, 5, backwards=True))
    assert [row["id"] for row in rows(other)] == ids


def test_draws_depend_on_seed_and_id_alone(build: Any, tmp_path: Path) -> None:
    drawn = {name: {row["id"] for row in rows(build("chats", path, max_chats=20))} for name, path in (("a", many(tmp_path / "a", 50, 1)), ("b", many(tmp_path / "b", 50, 4)))}
    more = many(tmp_path / "c", 50, 1)
    write(more / "chat/ultrachat/new.jsonl", {"data": ["One more", "Yes"]})
    drawn["c"] = {row["id"] for row in rows(build("chats", more, max_chats=20))}
    assert drawn["a"] == drawn["b"] and len(drawn["a"]) == 20 and len(drawn["a"] & drawn["c"]) >= 19


HUB_SCRIPT = """
import json, sys
from pathlib import Path
from foundation.sources.data import DataFolder
from foundation.sources.downloads import Downloads
from translation.errors import SourceError
from translation.settings import SourcesSettings
from translation.sources.files import rows_of
from translation.sources.places import row_files
settings = SourcesSettings(chats=[{"name": "chats", "files": sys.argv[1], "licence": "MIT"}])
try:
    for file in row_files(settings, DataFolder(None), Downloads(Path(sys.argv[2])), "chats"):
        rows = [row for _, row in rows_of(file.open(settings.access), file.name, remote=True)]
        print(json.dumps([file.name, file.origin(), rows]))
except SourceError as error:
    print(json.dumps(str(error)))
"""


def test_a_dataset_of_the_hub_at_a_commit(tmp_path: Path) -> None:
    """In a process of its own: huggingface_hub looks at its environment when it is imported."""
    commit = "a" * 40
    write(tmp_path / f"hub/owner/chats/{commit}/data/train.jsonl.gz", {"id": "7", "data": EXCHANGE})
    write(tmp_path / f"hub/owner/chats/{commit}/chats.py", "raise SystemExit('a loading script was run')")
    with hub_server(tmp_path / "hub") as hub:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING", "TRANSFORMERS_"))}
        variables = {**kept, "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}

        def read(files: str) -> Any:
            command = [sys.executable, "-c", HUB_SCRIPT, f"hf://datasets/owner/chats@{commit}/{files}", str(tmp_path / "cache")]
            run = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120, check=False)
            assert run.returncode == 0, run.stderr[-2000:]
            return json.loads(run.stdout)

        name, origin, found = read("data/*")
        assert name.endswith("data/train.jsonl.gz") and (origin, found) == (commit, [{"id": "7", "data": EXCHANGE}])
        assert "loading script" in read("*.py") and "never run" in read("*.py")
    with pytest.raises(ValueError, match="40 hex digits of a commit"):
        SourceFiles(name="chats", files="hf://datasets/owner/chats@main/data/*", licence="MIT")


def test_an_absolute_folder_without_rows_is_an_error(build: Any, tmp_path: Path) -> None:
    write(tmp_path / "mine/notes.txt", "x")
    with pytest.raises(SourceError, match=r"notes\.txt, and names must end in"):
        build("chats", None, chats=[{"name": "mine", "files": f"{tmp_path}/mine/*", "licence": "MIT"}])
    write(tmp_path / "mine/rows.jsonl", {"data": EXCHANGE})
    assert len(rows(build("chats", None, chats=[{"name": "mine", "files": f"{tmp_path}/mine/*.jsonl", "licence": "MIT"}]))) == 1


def test_real_rows_are_read(build: Any, shared_data: Path) -> None:
    chats, instructions = build("chats", shared_data), build("instructions", shared_data)
    assert statistics(chats)["read"] == 200 == statistics(chats)["rows"] + statistics(chats)["set_aside"] + sum(statistics(chats)["dropped"].values())
    counts = statistics(instructions)
    assert counts["read"] == 6_551 == counts["rows"] + counts["set_aside"] + sum(counts["dropped"].values())
    assert counts["set_aside"] < 0.06 * counts["read"], "a pattern is too wide"
