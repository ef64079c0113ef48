"""Answers: what is written is read back, whatever the text; anything else is a value of the right form or a typed failure."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.evalita.answers.choice import ChoiceAnswer, yes_or_no
from corpus.evalita.answers.entities import TYPES, NumberedMentions, SeparatedMentions, TaggedMentions
from corpus.evalita.answers.labels import LabelSetAnswer
from corpus.evalita.answers.mentions import places
from corpus.evalita.answers.numbers import NumberAnswer, NumbersAnswer, Scale
from corpus.evalita.answers.relations import NumberedRelations, SeparatedRelations, TaggedRelations
from corpus.evalita.answers.spans import GappedSpans, NumberedSpans
from corpus.evalita.errors import EvalitaError
from corpus.evalita.task import ParseFailure

TOKENS = st.lists(st.sampled_from(["Roma", "di", ",", "[2]", "$PER", "[LOC]", "nessuna", "PER:", "Anna", "."]), min_size=1, max_size=12)
TEXTS = st.lists(st.sampled_from(["FE", "55%", " ", "[2]", ": ", '"', "\n", "nessuna", "è", "2", "[gap]", "\\", "\u2028"]), min_size=2, max_size=14).map("".join)


def spans_of(text: str, data: st.DataObject, most: int) -> list[list[int]]:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=2 * most)))
    return [[start, end] for start, end in itertools.pairwise(cuts) if data.draw(st.booleans())]


@given(tokens=TOKENS, data=st.data())
def test_numbered_mentions_keep_any_entities(tokens: list[str], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(tokens)), max_size=6)))
    label = [[start, end, data.draw(st.sampled_from(TYPES))] for start, end in itertools.pairwise(cuts) if data.draw(st.booleans())]
    fields = {"text": " ".join(tokens)}
    answer = NumberedMentions()
    assert answer.decode(fields, answer.encode(fields, label)) == label


@given(text=TEXTS, data=st.data())
def test_numbered_spans_keep_any_sequences(text: str, data: st.DataObject) -> None:
    label = spans_of(text, data, 4)
    assert NumberedSpans().decode({"text": text}, NumberedSpans().encode({"text": text}, label)) == label


@given(text=TEXTS, data=st.data())
def test_numbered_relations_keep_any_pairs(text: str, data: st.DataObject) -> None:
    spans = spans_of(text, data, 4)
    label = sorted([*result, *test] for result in spans for test in spans if result != test and data.draw(st.booleans()))
    assert NumberedRelations().decode({"text": text}, NumberedRelations().encode({"text": text}, label)) == label


@given(value=st.floats(1, 5))
def test_numbers_keep_every_digit_or_lose_less_than_they_say(value: float) -> None:
    for comma in (True, False):
        exact = NumberAnswer(Scale(1, 5, comma=comma))
        assert exact.decode({}, exact.encode({}, value)) == value
    rounded = NumberAnswer(Scale(1, 5, decimals=1))
    kept = rounded.decode({}, rounded.encode({}, value))
    assert isinstance(kept, float) and value - 0.1 < kept <= value + 1e-9


@given(values=st.lists(st.floats(1, 5), min_size=3, max_size=3))
@pytest.mark.parametrize(("separator", "named", "comma"), [("; ", True, True), (" ", False, False)])
def test_several_numbers_keep_their_order(separator: str, named: bool, comma: bool, values: list[float]) -> None:
    code = NumbersAnswer({name: Scale(1, 5, comma=comma) for name in ("valenza", "stimolo", "controllo")}, separator, named)
    assert code.decode({}, code.encode({}, values)) == values


@pytest.mark.parametrize(
    ("answer", "expected"),
    [("3,5", 3.5), ("3.5.", 3.5), (" 4 ", 4.0), ("7", "out_of_range"), ("-1", "out_of_range"), ("", "empty"), ("tre", "malformed"), ("3,5 su 5", "malformed"), ("nan", "malformed"), ("1e0", "malformed")],
)
def test_a_number_is_one_number_of_the_scale(answer: str, expected: float | str) -> None:
    value = NumberAnswer(Scale(1, 5)).decode({}, answer)
    assert value == expected if isinstance(expected, float) else isinstance(value, ParseFailure) and value.kind == expected


@given(chosen=st.sets(st.sampled_from(["Joy", "Anger", "Trust"])))
@pytest.mark.parametrize("separator", [", ", " "])
def test_label_sets_are_read_in_any_order_and_never_with_strangers(separator: str, chosen: set[str]) -> None:
    code = LabelSetAnswer({"Joy": "gioia", "Anger": "rabbia", "Trust": "fiducia"}, none="nessuna", separator=separator)
    written = code.encode({}, sorted(chosen))
    assert code.decode({}, written) == sorted(chosen)
    assert code.decode({}, separator.join(reversed(written.split(separator)))) == sorted(chosen)
    if chosen:
        for wrong in (f"{written}{separator}boh", f"{written}{separator}nessuna", f"{written}{separator}{written}"):
            assert isinstance(code.decode({}, wrong), ParseFailure)


@given(answer=st.text(alphabet="PERLOCG: []$,\n1Roma&%BS\"\\gap", max_size=40))
@pytest.mark.parametrize("code", [NumberedMentions(), TaggedMentions(), SeparatedMentions(), NumberedSpans(), GappedSpans(), NumberedRelations(), TaggedRelations(), SeparatedRelations()])
def test_any_answer_is_a_value_or_a_failure(code: Any, answer: str) -> None:
    value = code.decode({"text": "Roma e Roma"}, answer)
    assert isinstance(value, ParseFailure) or all(entry[0] >= -1 for entry in value)
    if not answer.strip():
        assert isinstance(value, ParseFailure) and value.kind == "empty"


def test_case_a_full_stop_blanks_and_a_missing_accent_are_forgiven_and_nothing_else() -> None:
    code = yes_or_no()
    assert [code.decode({}, answer) for answer in ("sì", "Sì.", " SI ", "si\u0300", "no", "No.")] == [1, 1, 1, 1, 0, 0]
    for answer in ("sì, certo", "non so", "ja", "1", "s ì", "sìì"):
        assert isinstance(code.decode({}, answer), ParseFailure)


def test_two_classes_may_not_share_a_word() -> None:
    with pytest.raises(EvalitaError, match="share a word"):
        ChoiceAnswer({0: "Vero", 1: "vero"})
    with pytest.raises(EvalitaError, match="share a word"):
        LabelSetAnswer({"a": "gioia", "b": "Gioia"}, none="nessuna")


def test_equal_mentions_get_different_places_in_text_order() -> None:
    fields = {"text": "Roma ama Roma"}
    label = [[0, 1, "ORG"], [2, 3, "LOC"]]
    for code in (TaggedMentions(), SeparatedMentions(), NumberedMentions()):
        assert code.decode(fields, code.encode(fields, label)) == label


def test_whole_words_are_counted_before_parts_of_words() -> None:
    assert places("12, 2 e 22", "2") == [4, 1, 8, 9]
    code = NumberedRelations()
    fields = {"text": "valore 12, FE 2"}
    assert code.encode(fields, [[14, 15, 11, 13]]) == "FE: 2"
    assert code.decode(fields, "FE: 2 [2]") == [[8, 9, 11, 13]]


def test_results_may_hold_the_sign_that_parts_relations() -> None:
    fields = {"text": "FE 55% e FE 60%; PA 120/80"}
    label = [[3, 6, 0, 2], [12, 15, 9, 11], [20, 26, 17, 19]]
    assert SeparatedRelations().encode(fields, label) == "55%$FE%60%$FE%120/80$PA"
    for code in (SeparatedRelations(), TaggedRelations(), NumberedRelations()):
        assert code.decode(fields, code.encode(fields, label)) == label


def test_what_the_text_does_not_hold_is_wrong_and_not_a_failure() -> None:
    fields = {"text": "FE 55%"}
    assert NumberedRelations().decode(fields, "PA: 55%\nFE: 55%") == [[3, 6, 0, 2], [-1, -1, -1, -1]]
    assert NumberedRelations().decode(fields, "FE: 55% [2]") == [[-1, -1, -1, -1]]
    assert TaggedRelations().decode(fields, "[BREL] 60% [SEP] FE [EREL]") == [[-1, -1, -1, -1]]
    assert NumberedSpans().decode(fields, "altro") == [[-1, 5]]
    assert NumberedMentions().decode(fields, "PER: Anna") == [[-1, 1, "PER"]]
