"""Adaptation tokens: budgets, shares, order, and what must be refused."""

from __future__ import annotations

import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from foundation.language.settings import LanguageSettings
from training import tokens
from training.base import byte_tokenizer
from training.conversations import instruction_examples
from training.errors import TrainingError
from training.packing import Row
from training.settings import TokenSettings
from training.tokens import AdaptationRows, adaptation_rows, table_batches

TOKENIZER = byte_tokenizer(1024)
FOLDER = tempfile.TemporaryDirectory()


def corpus(name: str, count: int, words: int = 20) -> pl.LazyFrame:
    return pl.LazyFrame(
        {"document_id": [f"{name}{index:03}" for index in range(count)], "text": [f"{name} {index} " + "parola " * words for index in range(count)]}
    )


def rows(settings: TokenSettings, *, target: pl.LazyFrame | None = None, replay: pl.LazyFrame | None = None) -> AdaptationRows:
    frames = {"train": corpus("t", 40) if target is None else target, "validation": corpus("v", 5)}
    return adaptation_rows(frames, corpus("r", 10) if replay is None else replay, TOKENIZER, settings, 7, Path(tempfile.mkdtemp(dir=FOLDER.name)))


def test_the_budget_is_kept_and_shared() -> None:
    made = rows(TokenSettings(row_tokens=64, token_budget=3000, replay_share=0.1, validation_tokens=200))
    assert sum(row.tokens for row in made.train) == 3000
    assert sum(row.tokens for row in made.validation) == 200
    used = {name: sum(document.used for document in made.documents if document.corpus == name and document.split == "train") for name in ("target", "replay")}
    assert used == {"target": 2700, "replay": 300}


def test_without_a_budget_nothing_is_left_out() -> None:
    made = rows(TokenSettings(row_tokens=50, token_budget=None, replay_share=0.0))
    texts = corpus("t", 40).collect()["text"]
    assert sum(row.tokens for row in made.train) == sum(len(text.encode()) + 1 for text in texts)


def test_order_depends_on_ids_and_seed_alone(tmp_path: Path) -> None:
    settings = TokenSettings(row_tokens=64, token_budget=2000)
    made = list(rows(settings).train)
    assert made == list(rows(settings, target=corpus("t", 40).reverse()).train)
    frames = {"train": corpus("t", 40), "validation": corpus("v", 5)}
    assert list(adaptation_rows(frames, corpus("r", 10), TOKENIZER, settings, 8, tmp_path).train) != made


def test_how_much_is_read_at_one_time_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = TokenSettings(row_tokens=64, token_budget=3000)
    at_once = list(rows(settings).train)
    monkeypatch.setattr(tokens, "CHUNK", 3)
    monkeypatch.setattr(tokens, "READ_CHARACTERS", 1000)
    assert list(rows(settings).train) == at_once


def test_tokens_are_in_files_and_not_in_memory(tmp_path: Path) -> None:
    """Tokens go through far less memory than they take; rows are made anew each time they are gone through."""
    ids = tokens.TokenFile(tmp_path / "ids")
    length, count = 1_000, 600
    documents = [tokens.TokenizedDocument("target", str(index), "train", ids.add(range(length)), length, length, 1) for index in range(count)]
    packed = tokens.PackedDocuments(ids.mapped(), documents, 512)
    tracemalloc.start()
    for _ in range(2):
        total = 0
        for row in packed:
            total += int(np.sum(row.input_ids))
        assert total == count * length * (length - 1) // 2
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < length * count * 4 / 4


def test_documents_close_with_the_end_token_and_special_tokens_in_pages_are_text() -> None:
    page = pl.LazyFrame({"document_id": ["a"], "text": ["x<|im_end|>y"]})
    made = rows(TokenSettings(row_tokens=64, token_budget=None, replay_share=0.0), target=page)
    ids = list(next(iter(made.train)).input_ids)
    assert ids[-1] == TOKENIZER.eos_token_id
    assert ids.count(TOKENIZER.eos_token_id) == 1
    assert len(ids) == len("x<|im_end|>y") + 1


def test_begin_always_opens_with_bos() -> None:
    made = rows(TokenSettings(row_tokens=500, token_budget=None, replay_share=0.0, begin="always"))
    opened = sum(int(np.sum(np.asarray(row.input_ids) == TOKENIZER.bos_token_id)) for split in (made.train, made.validation) for row in split)
    assert opened == len(made.documents)
    assert next(iter(made.train)).input_ids[0] == TOKENIZER.bos_token_id


def test_rows_come_in_the_form_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "CHUNK", 3)
    made = list(rows(TokenSettings(row_tokens=64, token_budget=500)).train)
    written = [row for batch in table_batches(made, first=3) for row in batch]
    assert [(row["sequence"], row["row"]) for row in written] == [(3 + index, index) for index in range(len(made))]
    assert [Row(row["input_ids"], row["document_lengths"]) for row in written] == made


@pytest.mark.parametrize("split", ["train", "validation"])
def test_an_empty_split_is_refused(split: str, tmp_path: Path) -> None:
    frames = {"train": corpus("t", 3), "validation": corpus("v", 3), split: corpus("t", 3).clear()}
    with pytest.raises(TrainingError, match=f"no {split} documents"):
        adaptation_rows(frames, corpus("r", 2), TOKENIZER, TokenSettings(), 1, tmp_path)


@pytest.mark.parametrize(("split", "message"), [("train", "no train documents; nothing to adapt to"), ("validation", "no validation documents")])
def test_an_empty_corpus_is_refused(split: str, message: str, tmp_path: Path) -> None:
    frames = {"train": corpus("t", 4), "validation": corpus("v", 2), split: corpus("none", 0)}
    empty = {name: frame.cast({"document_id": pl.String, "text": pl.String}) for name, frame in frames.items()}
    with pytest.raises(TrainingError, match=message):
        adaptation_rows(empty, corpus("r", 1), TOKENIZER, TokenSettings(row_tokens=64), 7, tmp_path)


def test_examples_of_which_none_is_left_are_refused_with_the_reasons(language: LanguageSettings) -> None:
    long = {"instruction": "parola " * 200, "input": None, "answer": "sì"}
    with pytest.raises(TrainingError, match=r"no example is left to train on; left out, by reason: \{'.+': 2\}"):
        instruction_examples([long, long], TOKENIZER, language.templates, 64).packed(64)
