"""Overlap with benchmark items: planted text is found where it is, other text is not; words as the plain tokenizer."""

from __future__ import annotations

import gzip
import itertools
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.language.overlap import Overlap, OverlapCounts, OverlapIndex, merged
from foundation.language.words import WordTokenizer

ITEM = "Il mugnaio era un personaggio importante e un poco sospetto, perché tratteneva per sé una parte della farina"
WORD = st.text("abcdefghilmnopqrstuvz", min_size=3, max_size=8)
PIECE = "seme{0} volpe{0} lago{0} treno{0} mela{0} tetto{0} neve{0} ramo{0} luna{0} sasso{0}"
"""Ten words; no two numbers share one."""


def index_of(*texts: str, words: int = 13, shortest: int = 8) -> OverlapIndex:
    return OverlapIndex.build([("prova", str(place), text) for place, text in enumerate(texts)], words, shortest)


def test_planted_text_is_found_with_its_place() -> None:
    before, after = "Una pagina qualunque comincia così. ", " Poi continua con altre parole."
    found = index_of(ITEM).find(before + ITEM + after)
    assert found == [Overlap("prova", len(before), len(before) + len(ITEM), ("0",))]


@pytest.mark.parametrize(
    "text",
    [ITEM.upper(), ITEM.replace(" ", "\n"), ITEM.replace(",", " —"), ITEM.replace("é", "e"), unicodedata.normalize("NFD", ITEM), f"İ {ITEM}"],
)
def test_case_accents_and_punctuation_do_not_hide(text: str) -> None:
    assert [overlap.benchmark for overlap in index_of(ITEM).find(text)] == ["prova"]


def test_too_little_in_common_is_nothing() -> None:
    index = index_of(ITEM)
    assert index.find(" ".join(ITEM.split()[:12])) == [] and index.find("") == []
    assert index_of().find(ITEM) == []


def test_a_run_of_words_is_enough_in_a_long_line() -> None:
    """Thirteen words are a third of the line's: too few for the share, and one word less is nothing."""
    line = " ".join(PIECE.format(number) for number in range(4))
    words = line.split()
    assert index_of(line).find(" ".join(words[3:16]))[0].items == ("0",)
    assert index_of(line).find(" ".join(words[3:15])) == []


def test_short_items_need_most_of_their_words_and_the_shortest_are_counted() -> None:
    nine = "uno due tre quattro cinque sei sette otto nove"
    index = OverlapIndex.build([("nove", "a", nine), ("due", "b", "uno due")], 13, shortest=8)
    assert [o.benchmark for o in index.find(f"zero {nine} dieci")] == ["nove"]
    assert [o.benchmark for o in index.find(nine.replace("cinque", "diverso"))] == ["nove"]
    assert index.find(nine.replace("cinque", "diverso").replace("due", "altro")) == []
    assert index.find("sei sette otto nove uno due tre quattro cinque") == []
    assert index.items == {"nove": 1} and index.too_short == {"due": 1}


def test_lines_are_found_one_by_one_and_short_ones_together() -> None:
    long = PIECE.format(1) + " " + PIECE.format(2)
    index = index_of(f"{long}\nuna domanda breve di poche parole\nun altra risposta")
    assert index.find(f"Intro. {long} Fine.") and index.find("una domanda breve di poche parole, un altra risposta")
    assert index.find("una domanda breve di poche parole") == []


def test_items_of_common_phrases_alone_are_found_too() -> None:
    """All sequences of ten times yes or no: every n-gram stands in hundreds of items, and each item is still found as itself."""
    items = [" ".join(words) for words in itertools.product(("si", "no"), repeat=10)]
    index = OverlapIndex.build([("risposte", item, item) for item in items])
    for item in items[::37]:
        assert any(item in overlap.items for overlap in index.find(f"ecco: {item}. Fine."))


def test_words_in_another_order_or_far_apart_are_nothing() -> None:
    index = index_of(ITEM)
    assert index.find(" ".join(reversed(ITEM.split()))) == []
    assert index.find(" e anche questo pezzo di testo che non c'entra niente con il resto del discorso ".join(ITEM.split())) == []


def test_every_benchmark_and_item_is_named() -> None:
    index = OverlapIndex.build([("b", "1", ITEM), ("a", "2", ITEM), ("a", "1", ITEM)], 8)
    assert [(overlap.benchmark, overlap.items) for overlap in index.find(ITEM)] == [("a", ("1", "2")), ("b", ("1",))]


def test_counts_by_benchmark() -> None:
    index = OverlapIndex.build([("a", "1", ITEM), ("a", "2", PIECE.format(1)), ("b", "1", PIECE.format(2)), ("b", "2", "corto")])
    counts = OverlapCounts()
    for text in (f"{ITEM}. E ancora altro. {PIECE.format(1)}", ITEM, "niente"):
        counts.add(index.find(text))
    assert counts.report(index) == {
        "a": {"items": 2, "items_too_short": 0, "items_found": 2, "documents": 2, "characters": 2 * len(ITEM) + len(PIECE.format(1))},
        "b": {"items": 1, "items_too_short": 1, "items_found": 0, "documents": 0, "characters": 0},
    }


@settings(max_examples=80, deadline=None)
@given(st.lists(WORD, min_size=8, max_size=20), st.lists(WORD, max_size=15), st.lists(WORD, max_size=15))
def test_any_planted_item_is_covered(item: list[str], before: list[str], after: list[str]) -> None:
    text = " ".join([*before, *item, *after])
    start = len(" ".join(before)) + bool(before)
    spans = index_of(" ".join(item), words=8).find(text)
    assert any(span.start <= start and span.end >= start + len(" ".join(item)) for span in spans)


@settings(max_examples=150, deadline=None)
@given(st.integers(8, 90), st.randoms(use_true_random=False), st.integers(0, 40), st.integers(0, 40))
def test_a_tenth_of_the_words_changed_hides_nothing_when_spread(length: int, random: Random, before: int, after: int) -> None:
    """One word in ten, each at a random place of its ten, so that no stretch is destroyed as a whole."""
    item = [f"parola{number}" for number in range(length)]
    changed = list(item)
    for start in range(0, length - 9, 10) or (0,):
        changed[start + random.randrange(min(10, length - start))] = "altra"
    text = " ".join([*(f"prima{number}" for number in range(before)), *changed, *(f"dopo{number}" for number in range(after))])
    assert index_of(" ".join(item)).find(text)


@settings(max_examples=80, deadline=None)
@given(st.lists(WORD, max_size=60), st.lists(st.lists(WORD, min_size=8, max_size=30), max_size=5))
def test_text_that_shares_less_than_a_seed_is_clean(text: list[str], items: list[list[str]]) -> None:
    taken = {word for item in items for word in item}
    assert index_of(*(" ".join(item) for item in items)).find(" ".join(word for word in text if word not in taken)) == []


def planted(item: str, random: Random, words: list[str], share: float) -> str:
    """The item with a share of its words, rounded up, replaced by words of other texts."""
    lines = [line.split() for line in item.split("\n")]
    places = [(row, place) for row, line in enumerate(lines) for place in range(len(line))]
    for row, place in random.sample(places, -int(-len(places) * share // 1)):
        lines[row][place] = random.choice(words)
    return "\n".join(" ".join(line) for line in lines)


def test_real_items_in_real_pages(shared_data: Path) -> None:
    """EVALITA test items planted between real Italian sentences: verbatim all are found, nine of ten with a tenth of the words
    changed; the sentences alone hold none."""
    items = list(real_items(shared_data))
    index = OverlapIndex.build(items)
    sentences = real_sentences(shared_data)
    pages = [sentences[start : start + 30] for start in range(0, len(sentences) - 30, 30)]
    assert [index.find("\n".join(page)) for page in pages if index.find("\n".join(page))] == []
    random = Random(1)
    words = [word for page in pages[:20] for sentence in page for word in sentence.split()]
    long_enough = [entry for entry in items if len(re.findall(r"[^\W_]+", entry[2])) >= 8]
    found = {0.0: 0, 0.1: 0}
    sample = random.sample(long_enough, 400)
    for _, item, text in sample:
        page = random.choice(pages)
        for share in found:
            text_there = "\n".join([*page[:15], planted(text, random, words, share), *page[15:]])
            found[share] += any(item in overlap.items for overlap in index.find(text_there))
    assert found[0.0] == len(sample) and found[0.1] >= 0.9 * len(sample)


def real_items(shared_data: Path) -> Iterator[tuple[str, str, str]]:
    """Entailment pairs and tweets, as the benchmark sets hold them."""
    from corpus.evalita.benchmarks import task_rows
    from corpus.evalita.items import locate_all, read_items
    from corpus.evalita.settings import RawSettings
    from foundation.sources.data import DataFolder

    present, _ = locate_all(DataFolder(shared_data), RawSettings(tasks=("erte3", "sentipolc_irony", "xcopa", "wic_ita")))
    for located in present:
        for row in task_rows(located.task, read_items(located)):
            yield row["benchmark"], row["item_id"], row["text"]


def real_sentences(shared_data: Path) -> list[str]:
    """Italian sides of pairs from software manuals and parliament."""
    with gzip.open(shared_data / "parallel" / "train.tsv.gz", "rt", encoding="utf-8") as lines:
        return [line.rstrip("\n").split("\t")[2] for line in itertools.islice(lines, 0, None, 6)]


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
