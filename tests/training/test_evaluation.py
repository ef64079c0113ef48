"""Bits per byte against an independent computation, greedy answers, the choice of test items."""

from __future__ import annotations

import math
from pathlib import Path

import polars as pl
import pytest
import torch

from training.answers import choose_items
from training.bits_per_byte import measure, passages
from training.checkpoints import load_model, load_tokenizer
from training.errors import TrainingError
from training.generation import generate

TEXTS = ["La neve è caduta.", "Il gregge scende al mare, piano piano, senza fretta alcuna."]


def test_bits_per_byte_is_the_textbook_sum(tiny: Path) -> None:
    """Every byte's probability, token by token, from full forward passes of the plain model."""
    model, tokenizer = load_model(tiny), load_tokenizer(tiny)
    nats = 0.0
    for text in TEXTS:
        ids = list(text.encode())
        tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert len(tokens) == len(ids)
        for start in range(0, len(tokens), 15):
            window = [tokenizer.eos_token_id, *tokens[start : start + 15]]
            with torch.no_grad():
                probabilities = torch.softmax(model(torch.tensor([window]), use_cache=False).logits[0].double(), -1)
            nats -= sum(math.log(float(probabilities[place, token])) for place, token in enumerate(window[1:]))
    score = measure(model, tokenizer, TEXTS, window_tokens=16)
    size = sum(len(text.encode()) for text in TEXTS)
    assert score.bits_per_byte == pytest.approx(nats / math.log(2) / size, rel=1e-5)
    assert (score.bytes, score.tokens, score.documents) == (size, size, 2)


def test_passages_follow_from_ids_and_seed() -> None:
    frame = pl.LazyFrame({"document_id": ["a", "b", "c"], "text": ["aaa", "bbb", "ccc"]})
    chosen = passages(frame, 2, 2, seed=1)
    assert chosen == passages(frame.reverse(), 2, 2, seed=1)
    assert all(len(text) == 2 for text in chosen)
    with pytest.raises(TrainingError, match="holds no document"):
        passages(frame.filter(pl.lit(False)), 2, 2, seed=1)


def test_batched_answers_equal_single_ones(tiny: Path) -> None:
    """Left padding with the end token must not be seen; answers keep the order of their prompts."""
    model, tokenizer = load_model(tiny), load_tokenizer(tiny)
    with torch.no_grad():  # a random model repeats one token; widen the logits' spread so that context matters
        model.get_output_embeddings().weight.mul_(20)
    prompts = [list(range(40, 40 + length)) for length in (12, 3, 7, 5)]
    together = [answer.text for answer in generate(model, tokenizer, prompts, max_tokens=6, batch=4)]
    alone = [generate(model, tokenizer, [prompt], max_tokens=6, batch=1)[0].text for prompt in prompts]
    assert together == alone
    assert len(set(together)) > 1


def test_test_items_are_chosen_per_task_and_never_from_nothing() -> None:
    frame = pl.DataFrame({"id": [f"x{index}" for index in range(10)], "task": ["a"] * 7 + ["b"] * 3, "instruction": "i", "input": "t", "output": "o"})
    chosen = choose_items(frame, 4, seed=1)
    assert [row["task"] for row in chosen] == ["a"] * 4 + ["b"] * 3
    assert chosen == choose_items(frame.reverse(), 4, seed=1)
    with pytest.raises(TrainingError, match="no test rows"):
        choose_items(frame.clear(), 4, seed=1)
