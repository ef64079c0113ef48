"""Overlap with benchmark items: planted text is found where it is, other text is not; words as the plain tokenizer."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.language.overlap import Overlap, OverlapIndex, merged
from foundation.language.words import WordTokenizer

ITEM = "Il mugnaio era un personaggio importante e un poco sospetto, perché tratteneva per sé una parte della farina"
WORD = st.text("abcdefghilmnopqrstuvz", min_size=3, max_size=8)


def test_planted_text_is_found_with_its_place() -> None:
    index = OverlapIndex.build([("prova", ITEM)], 13)
    before, after = "Una pagina qualunque comincia così. ", " Poi continua con altre parole."
    found = index.find(before + ITEM + after)
    assert found == [Overlap("prova", len(before), len(before) + len(ITEM))]


@pytest.mark.parametrize("text", [ITEM.upper(), ITEM.replace(" ", "\n"), ITEM.replace(",", " —"), ITEM.replace("é", "e")])
def test_case_accents_and_punctuation_do_not_hide(text: str) -> None:
    assert [overlap.benchmark for overlap in OverlapIndex.build([("prova", ITEM)], 13).find(text)] == ["prova"]


def test_too_little_in_common_is_nothing() -> None:
    index = OverlapIndex.build([("prova", ITEM)], 13)
    assert index.find(" ".join(ITEM.split()[:12])) == [] and index.find("") == []


def test_short_items_count_whole_down_to_the_shortest() -> None:
    index = OverlapIndex.build([("nove", "uno due tre quattro cinque sei sette otto nove"), ("due", "uno due")], 13, shortest=8)
    assert [o.benchmark for o in index.find("zero uno due tre quattro cinque sei sette otto nove dieci")] == ["nove"]
    assert index.find("uno due tre quattro cinque sei sette otto") == []


def test_every_benchmark_is_named() -> None:
    index = OverlapIndex.build([("b", ITEM), ("a", ITEM)], 8)
    assert {overlap.benchmark for overlap in index.find(ITEM)} == {"a", "b"}


@settings(max_examples=80, deadline=None)
@given(st.lists(WORD, min_size=8, max_size=20), st.lists(WORD, max_size=15), st.lists(WORD, max_size=15))
def test_any_planted_item_is_covered(item: list[str], before: list[str], after: list[str]) -> None:
    index = OverlapIndex.build([("x", " ".join(item))], 8)
    text = " ".join([*before, *item, *after])
    start = len(" ".join(before)) + bool(before)
    spans = index.find(text)
    assert any(span.start <= start and span.end >= start + len(" ".join(item)) for span in spans)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)).map(lambda pair: (pair[0], pair[0] + pair[1])), max_size=12))
def test_merged_spans_are_apart_and_cover_the_same(spans: list[tuple[int, int]]) -> None:
    joined = merged(spans)
    assert all(one[1] < other[0] for one, other in itertools.pairwise(joined))
    assert {p for a, b in spans for p in range(a, b)} == {p for a, b in joined for p in range(a, b)}


@pytest.fixture(scope="module")
def tokenizer() -> WordTokenizer:
    return WordTokenizer("it", cache_chunks=50)


@settings(max_examples=60, deadline=None)
@given(text=st.text(st.sampled_from("abcDèé l'’.,;:!?()1234-/«»\n\t"), max_size=120))
def test_memoised_words_are_the_plain_tokenizers(tokenizer: WordTokenizer, text: str) -> None:
    import spacy

    plain = [token.text for token in spacy.blank("it")(" ".join(text.split()))] if text.split() else []
    assert tokenizer(text) == plain == tokenizer(text)


def test_elision_and_trouble(tokenizer: WordTokenizer) -> None:
    assert tokenizer("L'acqua dell’orto") == ["L'", "acqua", "dell’", "orto"]
    assert tokenizer("prima IS_ALPHA dopo") == ["prima", "IS_ALPHA", "dopo"]
