"""The sentence splitter: lossless, deterministic, and not fooled by abbreviations."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from foundation.language.sentences import SentenceSettings, clause_spans, sentence_spans
from foundation.language.settings import LanguageSettings

ITALIAN_FILE = Path(__file__).resolve().parents[2] / "profiles" / "languages" / "ita.yaml"


@pytest.fixture(scope="module")
def english() -> SentenceSettings:
    return LanguageSettings.model_validate(yaml.safe_load(ITALIAN_FILE.read_text(encoding="utf-8"))).source_sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It rains. We stay home.", ["It rains.", "We stay home."]),
        ("Dr. Smith met Mr. Jones. They spoke.", ["Dr. Smith met Mr. Jones.", "They spoke."]),
        ("See e.g. Page two, i.e. The end. Done.", ["See e.g. Page two, i.e. The end.", "Done."]),
        ("J. R. R. Tolkien wrote it. Fine!", ["J. R. R. Tolkien wrote it.", "Fine!"]),
        ("It costs 3.50 euros. No. 5 is red.", ["It costs 3.50 euros.", "No. 5 is red."]),
        ('"Go!" he said. "Why?" She left.', ['"Go!" he said.', '"Why?"', "She left."]),
        ("The cat sat. The sun set.", ["The cat sat.", "The sun set."]),
        ("one line\nanother line", ["one line", "another line"]),
        ("Wait... then go. Ok", ["Wait... then go.", "Ok"]),
        ("1. First item", ["1. First item"]),
        ("   (12. First item", ["(12. First item"]),
        ("It is 12. First item", ["It is 12.", "First item"]),
        ("Really?!... Yes", ["Really?!...", "Yes"]),
        ('He said (it.") Then', ['He said (it.")', "Then"]),
        ("  \n ", []),
        ("", []),
    ],
)
def test_known_sentences(english: SentenceSettings, text: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end in sentence_spans(text, english)] == expected


@given(st.text(alphabet=st.sampled_from("aB .!?…\n\"'()1,;:è。\t\u00a0"), max_size=80))
def test_only_white_space_is_outside_the_spans(text: str) -> None:
    position = 0
    for start, end in sentence_spans(text, SentenceSettings()):
        assert position <= start < end
        assert not text[position:start].strip()
        assert text[start:end] == text[start:end].strip()
        position = end
    assert not text[position:].strip()


@given(st.text(alphabet=st.sampled_from("ab ,;: "), max_size=200).map(str.strip), st.integers(5, 60))
def test_clauses_cover_the_span_and_keep_the_limit(text: str, limit: int) -> None:
    parts = clause_spans(text, 0, len(text), limit)
    position = 0
    for start, end in parts:
        assert not text[position:start].strip()
        assert end - start <= limit or not any(character.isspace() for character in text[start:end])
        position = end
    assert position == len(text) or not text[position:].strip()


@pytest.mark.parametrize("unit", ["a", ".", "! ", "?.!", ".\"", "a. ", "1. ", "Mr. ", " ", "x; ", "x, ", "。", "word "])
def test_time_grows_with_the_text_alone(unit: str) -> None:
    """What is quadratic takes sixteen times as long for four times the text."""

    def seconds(size: int) -> float:
        text = f"{' ' * size}{unit * (size // len(unit))}"
        began = time.process_time()
        spans = sentence_spans(text, SentenceSettings(abbreviations=("mr",)))
        for start, end in spans:
            clause_spans(text, start, end, 600)
        return time.process_time() - began

    assert seconds(120_000) < max(10 * seconds(30_000), 0.4)
