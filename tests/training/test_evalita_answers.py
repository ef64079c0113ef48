"""Answers to EVALITA rows: likelihoods against an independent sum, what too long prompts become, servers, files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from tqdm import tqdm

from foundation.language.prompts import render_instruction, up_to_stop, user_message
from foundation.language.settings import LanguageSettings
from foundation.sources.chat_completions import ChatServer
from tests.training.talking_model import talking
from tests.translation.openai_server import completion, server
from training.answer_files import write_answers
from training.answers import Asking, answer_items, choose_items
from training.checkpoints import load_model, load_tokenizer, save_checkpoint
from training.conversations import encode_prompt
from training.errors import TrainingError
from training.generation import end_tokens, generate
from training.likelihood import choice_likelihoods, likeliest
from training.server_answers import ask_server

QUESTIONS = [("Ha lo stesso senso?\n", ("sì", "no")), ("Dove vive chi scrive?\n\n", ("Lazio", "Molise")), ("Sì o no: ", ("sì", "no"))]


def silent(total: int | None, label: str, unit: str) -> tqdm:
    return tqdm(total=total, disable=True)


def item(name: str, *, instruction: str = "Rispondi.", given: str = "Il gregge scende.", choices: Sequence[str] = ()) -> dict[str, Any]:
    return {"id": name, "task": name.partition("/")[0], "instruction": instruction, "input": given, "output": "sì", "choices": list(choices), "wording": "own"}


@pytest.fixture(scope="session")
def talkative(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with an output layer that says plain ASCII, and another thing after each context."""
    folder = tmp_path_factory.mktemp("talkative")
    save_checkpoint(talking(tiny), load_tokenizer(tiny), folder, "float32")
    return folder


@pytest.fixture(scope="session")
def loaded(talkative: Path) -> tuple[Any, Any]:
    return load_model(talkative), load_tokenizer(talkative)


def textbook(loaded: tuple[Any, Any], prompt: str, word: str) -> float:
    """The sum of log-probabilities of the word's tokens, one forward pass a token; blanks before the word count with it."""
    model, tokenizer = loaded
    whole, given = encode_prompt(tokenizer, prompt + word), encode_prompt(tokenizer, prompt.rstrip())
    assert whole[: len(given)] == given and len(whole) - len(given) == len((prompt + word)[len(prompt.rstrip()) :].encode())
    total = 0.0
    for place in range(len(given), len(whole)):
        with torch.no_grad():
            probabilities = torch.softmax(model(torch.tensor([whole[:place]]), use_cache=False).logits[0, -1].double(), -1)
        total += math.log(float(probabilities[whole[place]]))
    return total


@pytest.mark.parametrize("batch", [1, 4])
def test_likelihoods_are_the_textbook_sum(loaded: tuple[Any, Any], batch: int) -> None:
    model, tokenizer = loaded
    told: list[int] = []
    found = choice_likelihoods(model, tokenizer, QUESTIONS, batch=batch, context=1024, advance=told.append)
    for (prompt, words), values in zip(QUESTIONS, found, strict=True):
        assert values == pytest.approx([textbook(loaded, prompt, word) for word in words], rel=1e-4)
    assert sum(told) == 6 and max(told) <= batch


def test_the_choice_is_the_likeliest_or_the_likeliest_per_character() -> None:
    words, values = ("sì", "probabilmente"), [-3.0, -6.0]
    assert likeliest(words, values, "likelihood") == "sì"
    assert likeliest(words, values, "likelihood_per_character") == "probabilmente"
    assert likeliest(("a", "b"), [-1.0, -1.0], "likelihood") == "a"


def test_answers_that_do_not_fit_are_none(loaded: tuple[Any, Any]) -> None:
    model, tokenizer = loaded
    prompt = "x" * 20
    assert choice_likelihoods(model, tokenizer, [(prompt, ("aa", "bbb"))], batch=2, context=21) == [None]
    assert choice_likelihoods(model, tokenizer, [(prompt, ("aa", "bbb"))], batch=2, context=22)[0] is not None  # the last token is not fed


def test_labels_are_chosen_and_the_rest_is_generated(talkative: Path, loaded: tuple[Any, Any], language: LanguageSettings) -> None:
    items = [item("wic/1", choices=("sì", "no")), item("ner/1"), item("wic/2", given="y" * 2000, choices=("sì", "no")), item("ner/2", given="z" * 2000)]
    asking = Asking(labels="likelihood", answer_tokens=6, batch=2)
    found = answer_items("m", talkative, items, language.templates, asking, silent, device="cpu")
    answers = [row["answer"] for row in found.rows]
    model, tokenizer = loaded
    prompt = render_instruction(language.templates, "Rispondi.", "Il gregge scende.")
    [[yes, no]] = choice_likelihoods(model, tokenizer, [(prompt, ("sì", "no"))], batch=1, context=1024)  # type: ignore[misc]
    assert answers[0] == ("sì" if yes >= no else "no")
    assert answers[1] == generate(model, tokenizer, [encode_prompt(tokenizer, prompt)], max_tokens=6, batch=1)[0].text
    assert answers[2:] == ["", ""] and found.too_long == 2
    assert [(row["model"], row["task"], row["id"], row["gold"]) for row in found.rows] == [("m", entry["task"], entry["id"], "sì") for entry in items]
    generated = answer_items("m", talkative, items[:1], language.templates, Asking(answer_tokens=6, batch=2), silent, device="cpu")
    assert generated.rows[0]["answer"] == answers[1]


def test_a_chat_needs_a_chat_template(talkative: Path, language: LanguageSettings, tmp_path: Path) -> None:
    chat = Asking(form="chat", answer_tokens=4)
    asked = answer_items("m", talkative, [item("a/1")], language.templates, chat, silent, device="cpu")
    plain = answer_items("m", talkative, [item("a/1")], language.templates, Asking(answer_tokens=4), silent, device="cpu")
    assert asked.rows[0]["answer"] != plain.rows[0]["answer"]
    bare = tmp_path / "bare"
    tokenizer = load_tokenizer(talkative)
    tokenizer.chat_template = None
    save_checkpoint(load_model(talkative), tokenizer, bare, "float32")
    with pytest.raises(TrainingError, match="has no chat template; ask in the instruction form"):
        answer_items("m", bare, [item("a/1")], language.templates, chat, silent, device="cpu")
    with pytest.raises(TrainingError, match=r"sees 1024 tokens, and answers may have 1024"):
        answer_items("m", talkative, [item("a/1")], language.templates, Asking(answer_tokens=1024), silent, device="cpu")


def test_answers_end_at_stop_texts_and_at_every_end_token(talkative: Path) -> None:
    model, tokenizer = load_model(talkative), load_tokenizer(talkative)
    prompt = encode_prompt(tokenizer, "Il gregge scende al mare.")
    free = generate(model, tokenizer, [prompt], max_tokens=12, batch=1)[0].text
    assert len(free) > 3
    stop = free[2:4]
    assert generate(model, tokenizer, [prompt], max_tokens=12, batch=1, stop=[stop])[0].text == free[: free.index(stop)].strip()
    ids = tokenizer(free, add_special_tokens=False)["input_ids"]
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, ids[1]]
    assert end_tokens(model, tokenizer) == sorted({tokenizer.eos_token_id, ids[1]})
    first = ids.index(ids[1])
    assert generate(model, tokenizer, [prompt], max_tokens=12, batch=1, ends=end_tokens(model, tokenizer))[0].text == tokenizer.decode(ids[:first]).strip()
    assert up_to_stop(" sì\n\nPoi", ["\n\n", ""]) == "sì" and up_to_stop("\n\nsì", ["\n\n"]) == ""


def test_items_are_chosen_by_task_and_wording() -> None:
    frame = pl.DataFrame([item(f"{task}/{number}") | {"wording": wording} for task in ("a", "b") for number, wording in enumerate(["own", "own", "other"])])
    assert {row["task"] for row in choose_items(frame, None, 1, tasks=["b"])} == {"b"}
    assert [row["wording"] for row in choose_items(frame, None, 1, wordings=["other"])] == ["other", "other"]
    with pytest.raises(TrainingError, match="no rows of task 'c'; it has a, b"):
        choose_items(frame, None, 1, tasks=["c"])
    with pytest.raises(TrainingError, match="no rows of wording 'only_b' among those of a; it has other, own"):
        choose_items(pl.concat([frame, pl.DataFrame([item("b/9") | {"wording": "only_b"}])]), None, 1, tasks=["a"], wordings=["only_b"])


def test_a_server_is_asked_by_messages_and_answers_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "s3cret")
    items = [item(f"a/{number}", given=f"testo {number}") for number in range(12)]

    def answer(request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        return completion(f"<think>boh</think>\n{request['messages'][0]['content'].split()[-1]}\nFINE e altro")

    with server(answer) as (url, requests):
        reached = ChatServer(url, key_variable="OPENAI_API_KEY", concurrency=4, timeout_s=20)
        found = ask_server("m", reached, "modello", items, Asking(form="chat", answer_tokens=9, stop=("\nFINE",)), threads=4)
    assert [row["answer"] for row in found.rows] == [str(number) for number in range(12)] and found.too_long == 0
    assert all(len(request["messages"]) == 1 and request["messages"][0]["role"] == "user" for request in requests)
    assert {request["messages"][0]["content"] for request in requests} == {user_message(entry["instruction"], entry["input"]) for entry in items}
    assert {(request["model"], request["max_tokens"], request["temperature"], tuple(request["stop"])) for request in requests} == {("modello", 9, 0.0, ("\nFINE",))}
    assert {request["headers"]["Authorization"] for request in requests} == {"Bearer s3cret"}


def test_what_a_server_cannot_do_is_told() -> None:
    chat = Asking(form="chat")
    with server(lambda _: (401, {"error": "no key"})) as (url, _):
        reached = ChatServer(url, key_variable="NO_SUCH_KEY", concurrency=2, timeout_s=20)
        with pytest.raises(TrainingError, match=r"status 401.*put the key into the environment variable that --key-variable names"):
            ask_server("m", reached, "x", [item("a/1")], chat, threads=2)
    with server(lambda _: (200, {"choices": []})) as (url, requests):
        reached = ChatServer(url, key_variable="NO_SUCH_KEY", concurrency=2, timeout_s=20)
        with pytest.raises(TrainingError, match="without choices"):
            ask_server("m", reached, "x", [item("a/1")], chat, threads=2)
        for wrong in (Asking(), Asking(form="chat", labels="likelihood")):
            with pytest.raises(TrainingError, match="a server is asked by messages and generates its answers"):
                ask_server("m", reached, "x", [item("a/1")], wrong, threads=2)
        assert len(requests) == 1  # nothing was asked in vain


def test_a_half_written_table_is_not_there(tmp_path: Path) -> None:
    rows = [{"model": "m", "task": "a", "id": "a/1", "answer": "«sì»,\n\"no\"", "gold": "sì"}]
    for name in ("a.parquet", "a.jsonl", "a.csv"):
        write_answers(tmp_path / name, rows)
    read = {"a.parquet": pl.read_parquet, "a.jsonl": pl.read_ndjson, "a.csv": pl.read_csv}
    assert all(read[name](tmp_path / name).to_dicts() == rows for name in read)
    with pytest.raises(KeyError):
        write_answers(tmp_path / "b.csv", [{"model": "m"}])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(read)
    with pytest.raises(TrainingError, match=r"answers are written to files that end in \.parquet, \.jsonl, \.csv"):
        write_answers(tmp_path / "a.xlsx", rows)
    with pytest.raises(TrainingError, match="there is no folder"):
        write_answers(tmp_path / "none" / "a.csv", rows)
