"""Gates at their thresholds, and the signals behind them."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.language.identification import LanguageIdentifier
from translation.gates import REASONS, failed_gates
from translation.numbers import numbers_changed, values
from translation.settings import GateSettings
from translation.signals import Signals, answer_in_context, chrf, longest_repetition, measure, worst
from translation.translate import TranslatedText

SETTINGS = GateSettings()
GOOD = Signals(1.1, "it", 0.9, 0.1, 2, 0.6, 0)
EDGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "length_ratio": ({"length_ratio": 0.6}, {"length_ratio": 0.599}),
    "language": ({"language": "es", "language_score": 0.5}, {"language": "es", "language_score": 0.499}),
    "untranslated": ({"untranslated_share": 0.3}, {"untranslated_share": 0.301}),
    "source_copy": ({"copied_words": 5}, {"copied_words": 6}),
    "compression": ({"compression_ratio": 0.18}, {"compression_ratio": 0.179}),
    "repetition": ({"repetition": 3}, {"repetition": 4}),
    "numbers": ({"numbers_changed": 0}, {"numbers_changed": 1}),
    "urls": ({"urls_changed": 0}, {"urls_changed": 1}),
    "code": ({"code_changed": 0}, {"code_changed": 1}),
    "placeholders": ({"placeholders_changed": 0}, {"placeholders_changed": 1}),
    "protected_spans": ({"spans_lost": 0}, {"spans_lost": 1}),
    "lines": ({"lines_changed": 0}, {"lines_changed": 1}),
    "paragraphs": ({"paragraphs_changed": 0}, {"paragraphs_changed": 1}),
    "list_items": ({"list_items_changed": 0}, {"list_items_changed": 1}),
    "truncated": ({"truncated_sentences": 0}, {"truncated_sentences": 1}),
    "score": ({"min_score": -3.0}, {"min_score": -3.001}),
    "round_trip": ({"round_trip_chrf": 30.0}, {"round_trip_chrf": 29.9}),
    "answer_left_context": ({"answer_in_context": 0.6}, {"answer_in_context": 0.599}),
    "input_equals_output": ({"input_equals_output": False}, {"input_equals_output": True}),
}
"""For each gate, signals just inside its threshold and just outside."""


def test_every_gate_has_its_edges_here() -> None:
    assert {*EDGES, "benchmark_overlap"} == set(REASONS)


@pytest.mark.parametrize("reason", EDGES)
def test_gates_at_their_thresholds(reason: str) -> None:
    inside, outside = (replace(GOOD, **changes) for changes in EDGES[reason])
    assert failed_gates(inside, SETTINGS) == []
    assert failed_gates(outside, SETTINGS) == [reason]


def test_the_upper_length_and_engines_that_do_not_translate() -> None:
    assert failed_gates(replace(GOOD, length_ratio=1.8), SETTINGS) == []
    assert failed_gates(replace(GOOD, length_ratio=1.801), SETTINGS) == ["length_ratio"]
    copied = replace(GOOD, language="en", language_score=0.0, untranslated_share=1.0, copied_words=50)
    assert failed_gates(copied, SETTINGS) == ["language", "untranslated", "source_copy"]
    assert failed_gates(copied, SETTINGS, translating=False) == []
    assert failed_gates(Signals(), SETTINGS) == [], "what cannot be measured rejects nothing"


def test_all_thresholds_are_settings() -> None:
    loose = GateSettings(
        min_length_ratio=0, min_language_score=0, max_untranslated_share=1, max_copied_words=99, min_compression_ratio=0, max_repetition=99, max_numbers_changed=9, max_urls_changed=9,
        max_code_changed=9, max_placeholders_changed=9, max_spans_lost=9, max_lines_changed=9, max_paragraphs_changed=9, max_list_items_changed=9, max_truncated_sentences=9,
        min_score=-99, min_round_trip_chrf=0, min_answer_in_context=0, drop_input_equals_output=False,
    )  # fmt: skip
    for _, outside in EDGES.values():
        assert failed_gates(replace(GOOD, **outside), loose) == []


def test_the_worst_of_several() -> None:
    one = Signals(0.5, "en", 0.2, 0.1, 3, 0.5, 1, 1, min_score=-1.0, input_equals_output=True)
    other = Signals(1.5, "it", 0.9, None, 1, 0.4, 2, 2, min_score=None)
    found = worst([one, other], SETTINGS)
    assert (found.length_ratio, found.language, found.language_score, found.untranslated_share, found.copied_words) == (0.5, "en", 0.2, 0.1, 3)
    assert (found.compression_ratio, found.repetition, found.numbers_changed, found.min_score, found.input_equals_output) == (0.4, 2, 3, -1.0, True)
    assert worst([], SETTINGS) == Signals()
    assert worst([other], SETTINGS) == other


def test_a_text_that_fails_is_never_hidden_by_one_that_passes() -> None:
    """1.7 is farther from 1 than 0.59 is, and passes; so does a text in a little Italian beside one in English."""
    for one, other in (({"length_ratio": 1.7}, {"length_ratio": 0.59}), ({"language_score": 0.55}, {"language": "en", "language_score": 0.49})):
        passes, fails = replace(GOOD, **one), replace(GOOD, **other)
        assert not failed_gates(passes, SETTINGS)
        assert failed_gates(worst([passes, fails], SETTINGS), SETTINGS) == failed_gates(fails, SETTINGS) != []


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 1), st.sampled_from(["it", "en"])), min_size=1))
def test_the_worst_fails_what_any_fails(values: list[tuple[float, float, str]]) -> None:
    several = [replace(GOOD, length_ratio=ratio, language_score=score, language=language) for ratio, score, language in values]
    assert set(failed_gates(worst(several, SETTINGS), SETTINGS)) == {reason for signals in several for reason in failed_gates(signals, SETTINGS)}


def test_the_threshold_of_the_language_holds_for_the_likeliest_one_too() -> None:
    strict = SETTINGS.model_copy(update={"min_language_score": 0.8})
    assert failed_gates(replace(GOOD, language_score=0.79), strict) == ["language"]
    assert failed_gates(replace(GOOD, language_score=0.8), strict) == []


@pytest.mark.parametrize(
    ("source", "translation", "changed"),
    [
        ("It costs 1,234.5 euros", "Costa 1.234,5 euro", 0),
        ("It costs 1,234.5 euros", "Costa 1234,5 euro", 0),
        ("It costs 1,234.5 euros", "Costa 1\u00a0234,5 euro", 0),
        ("in 10,000 years", "in 10.000 anni", 0),
        ("in 10,000 years", "in 10000 anni", 0),
        ("pi is 3.14", "pi è 3,14", 0),
        ("pi is 3.14", "pi è 314", 1),
        ("pi is 3.14", "pi è 31,4", 1),
        ("version 1.2.3", "versione 1.2.3", 0),
        ("version 1.2.3", "versione 1.2", 1),
        ("1,000,000 men", "1.000.000 di uomini", 0),
        ("1,000,000 men", "un milione di uomini", 1),
        ("1, 2 and 3", "1, 2 e 3", 0),
        ("1, 2 and 3", "3, 1 e 2", 0),
        ("1, 2 and 3", "1 e 2", 1),
        ("two and 2", "2 e 2", 1),
        ("5 men", "cinque uomini", 1),
        ("10:30 on 2024-01-05", "10:30 del 05-01-2024", 0),
        ("none", "nessuno", 0),
    ],
)
def test_numbers(source: str, translation: str, changed: int) -> None:
    assert numbers_changed(source, translation) == changed


def test_thousands_of_changed_numbers_take_no_time() -> None:
    lists = [" ".join(f"{number}.{digit}" for number in range(20_000)) for digit in (5, 7)]
    clock = time.monotonic()
    assert numbers_changed(*lists) == 20_000
    assert time.monotonic() - clock < 30, "each with each would take ten minutes"


def test_small_numbers_may_become_words_where_the_profile_says_so() -> None:
    assert numbers_changed("5 men and 12 boats", "cinque uomini e 12 barche", small=10) == 0
    assert numbers_changed("5 men and 12 boats", "cinque uomini e dodici barche", small=10) == 1
    assert numbers_changed("0 men", "zero uomini", small=0) == 0


@given(st.integers(0, 10**9), st.integers(0, 99))
def test_a_number_written_in_either_way_is_the_same(whole: int, fraction: int) -> None:
    english = f"{whole:,}.{fraction:02}"
    assert values(english) & values(english.translate(str.maketrans(",.", ".,")))
    assert numbers_changed(english, f"{whole + 1:,}.{fraction:02}") == 1


def test_the_account_of_a_text(identifier: LanguageIdentifier) -> None:
    source = "Use `a b` at https://x.org for {name}.\n\n- one is here\n- two is here"
    kept = measure(source, TranslatedText("Usa `a b` su https://x.org per {name}.\n\n- uno è qui\n- due è qui"), identifier, "it", SETTINGS)
    assert failed_gates(replace(kept, language="it"), SETTINGS) == []
    damaged = measure(source, TranslatedText("Usa `a  b` su https://x.org/ per {nome}.\n- uno è qui - due è qui"), identifier, "it", SETTINGS)
    found = (damaged.urls_changed, damaged.code_changed, damaged.placeholders_changed, damaged.lines_changed, damaged.paragraphs_changed, damaged.list_items_changed)
    assert found == (1, 1, 1, 1, 1, 1)


def test_answers_in_their_context() -> None:
    assert answer_in_context("The red cat sleeps.", "red cat", "Il gatto rosso dorme.", "gatto rosso.") == 1.0
    assert answer_in_context("The red cat sleeps.", "Red cat.", "Il gatto rosso dorme.", "micio rosso") == 0.5
    assert answer_in_context("The red cat sleeps.", "blue dog", "Il gatto rosso dorme.", "cane blu") is None
    assert answer_in_context("", "", "", "") is None
    assert answer_in_context("It is not known.", "No", "Non si sa.", "Sì") is None, "a part of a word is no quotation"
    assert answer_in_context("It costs (about) $5.", "$5", "Costa (circa) 5 $.", "5 $") == 1.0


def test_round_trips_and_repetition(identifier: LanguageIdentifier) -> None:
    source = "The cat is on the table, and it looks at the dog outside."
    assert chrf(source, source) == pytest.approx(100)
    assert chrf("A dog eats.", source) < 30
    there = TranslatedText("Il gatto è sul tavolo e guarda il cane che sta fuori.")
    assert measure(source, there, identifier, "it", SETTINGS).round_trip_chrf is None
    assert measure(source, there, identifier, "it", SETTINGS, source).round_trip_chrf == pytest.approx(100)
    assert longest_repetition("so so so on") == 3
    assert longest_repetition("one two one two one two") == 3
    assert longest_repetition("no loop here") == 1
