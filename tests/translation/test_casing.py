"""Truecasing: capitals where a sentence of prose begins, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.translation.test_sources import SECTIONS
from translation.sources.casing import Truecaser

CASER = Truecaser(SECTIONS["language.source_sentences"], SECTIONS["language.source_cleaning"])  # type: ignore[arg-type]
PIECES = st.lists(
    st.sampled_from(["hello", "Hello.", "i", "how are you?", "i'm", "e.g.", "the cat sat. it slept!", "`npm run`", "```\ncode. more\n```", "http://x.org/a.b", "iPhone", "- item.",
                     "\n", "  ", "U.S.", "3.", "a, b, c", "é vero.", "ß.", "ﬁne. ok", "İ. x", "npm", "“quoted.” next"]),
    max_size=12,
).map(" ".join)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello. how are you?", "Hello. How are you?"),
        ("what is the capital of France?", "What is the capital of France?"),
        ("Yes, i think so.", "Yes, I think so."),
    ],
)
def test_capitals_are_put_in(text: str, expected: str) -> None:
    assert CASER(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Hello. How are you?",
        "Use e.g. a list of items.",
        "npm install and then run it.",
        "It works. use `npm install. then` now.",  # a sentence with code in it may be a command
        "See http://example.org/a. and so on",
        "```\nx = 1. y\n```",
        "cats, dogs, birds, fish",
        "The iPhone and the eBay account are mine.",
        "for i in range(10): print(i)",
        "It weighs 3 kg. approx. 7 lb.",
    ],
)
def test_what_is_right_stays(text: str) -> None:
    assert CASER(text) == text


@given(PIECES | st.text(max_size=80))
def test_only_the_case_of_single_letters_changes(text: str) -> None:
    cased = CASER(text)
    assert len(cased) == len(text)
    assert all(after in (before, before.upper()) for before, after in zip(text, cased, strict=True))
    assert CASER(cased) == cased


def test_real_prose_hardly_changes(shared_data: Path) -> None:
    """Dolly was written by people with care: what changes there is mostly wrong to change."""
    path = shared_data / "dolly/dolly_instr_resp_nocontext.jsonl"
    answers = [json.loads(line)["response"] for line in path.read_text(encoding="utf-8").splitlines()[:3_000]]
    assert sum(CASER(text) != text for text in answers) < 0.06 * len(answers)
