"""Signals and rules: definitions, thresholds on the border, every failing rule named."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.web.decisions import decide, without_lines, without_spans
from corpus.web.errors import WebCorpusError
from corpus.web.lines import LINE_FLAGS
from corpus.web.minhash import bands, normalised_words, signature
from corpus.web.repetition import DUPLICATED_SIZES, TOP_SIZES, duplicate_lines, duplicate_paragraphs, ngram_shares
from corpus.web.rules import load_rules
from corpus.web.settings import SignalSettings
from corpus.web.signals import SIGNALS, SignalMeter, SignalRun, make_meter, signal_table
from foundation.language.overlap import OverlapIndex
from foundation.language.settings import LanguageSettings
from foundation.settings import PROFILES_ROOT

RULES = PROFILES_ROOT / "rules" / "transumanza.yaml"
PROSE = (
    "La biblioteca della valle nacque in una stanza della scuola, con i volumi donati da un maestro in pensione. "
    "Per dieci anni fu aperta solo il sabato, e il registro dei prestiti era un quaderno a righe che si conserva ancora.\n"
    "Con il tempo gli scaffali occuparono il corridoio, poi la palestra, infine l'intero edificio. Oggi i libri sono più di "
    "ventimila, e una parte racconta la vita di questi luoghi: diari, fotografie, mappe dei pascoli.\n"
    "Ogni inverno un gruppo di lettori si ritrova intorno alla stufa per leggere ad alta voce, e chi arriva tardi porta il vino."
)


@pytest.fixture(scope="module")
def meter(language: LanguageSettings) -> SignalMeter:
    run = SignalRun(SignalSettings(), language.words, language.phrases)
    return make_meter(run)


def verdict(meter: SignalMeter, text: str, rules: Path = RULES) -> dict:
    table = signal_table([("d", text)], meter).append_column("text", pa.array([text])).append_column("language_score", pa.array([0.99]))
    rows = pl.from_arrow(table)
    assert isinstance(rows, pl.DataFrame)
    return decide(rows, load_rules(rules), OverlapIndex.build([]), "research")[0][0]


def test_a_row_holds_every_declared_signal(meter: SignalMeter) -> None:
    row = meter.measure(PROSE)
    assert {"document_id", *row} == set(SIGNALS.schema.names)
    assert row["lines"] == 3 and row["ended_line_share"] == 1.0 and row["stop_words"] > 8
    assert len(row["signature"]) == 112 and len(row["bands"]) == 14 and len(row["line_signals"]) == 3


@pytest.mark.parametrize("rules", ["transumanza", "fineweb2_ita"])
def test_prose_passes(meter: SignalMeter, rules: str) -> None:
    assert verdict(meter, PROSE, PROFILES_ROOT / "rules" / f"{rules}.yaml")["failed_rules"] == []


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("Troppo breve.", "short_document"),
        (f"{PROSE}\nLorem ipsum dolor sit amet.", "placeholder_text"),
        ("\n".join(f"Prezzo {n}: {n * 7} - {n * 3} = {n * 4} ; {n * n}" for n in range(80)), "alphabetic_words"),
        ("\n".join(f"voce {n} del menu di casa" for n in range(60)), "ended_lines"),
        ("offerta scarpe " * 120 + ".", "top_2_gram"),
        ("\n".join(["Torna alla pagina principale di questo sito."] * 20), "duplicate_lines"),
        (" ".join(["parola"] * 80) + ".", "stop_words"),
        ("\n".join("- una voce dell'elenco di casa nostra." for _ in range(40)), "bullet_lines"),
        ("\n".join(f"Leggi la notizia numero {n} del giorno di oggi e di ieri..." for n in range(30)), "ellipsis_lines"),
    ],
)
def test_junk_is_named(meter: SignalMeter, text: str, rule: str) -> None:
    result = verdict(meter, text)
    assert rule in result["failed_rules"] and not result["passes_rules"]
    assert result["first_failed"] == result["failed_rules"][0]


def test_policy_lines_go_and_the_rest_stays(meter: SignalMeter) -> None:
    notice = "Questo sito utilizza i cookie: leggi l'informativa sulla privacy."
    result = verdict(meter, f"{notice}\n{PROSE}\nAttiva JavaScript per continuare.")
    assert result["removed_lines"] == [0, 4] and result["passes_rules"]
    assert result["kept_characters"] == len(PROSE)


@settings(max_examples=40, deadline=None)
@given(text=st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=300))
def test_any_text_can_be_measured(meter: SignalMeter, text: str) -> None:
    row = meter.measure(text)
    shares = [value for name, value in row.items() if name.endswith("_share") and not name.startswith("top_")]  # those count the space between words
    assert all(0 <= value <= 1.0 + 1e-9 for value in shares if value is not None)
    assert len(row["line_signals"]) == len(text.split("\n"))


def test_repetition_by_hand() -> None:
    for text, expected in (("a\nbb\na\n\nbb", (0.5, 3 / 10, 3 / 6)), ("\n\n", (0.5, 0, 0)), ("", (0, 0, 0)), ("\na\n \n ", (0.25, 1 / 6, 0))):
        assert duplicate_lines(text, text.split("\n")) == expected
    assert duplicate_paragraphs("a\n\nbb\n\n\na") == (1 / 3, 1 / 9) and duplicate_paragraphs("a\na") == (0.0, 0.0)
    assert shares(["a", "b", "a", "b"], 10)["top_2_gram_share"] == 3 * 2 / 10
    assert shares(list("abcdeabcde"), 10)["duplicated_5_gram_share"] == 0.5
    assert set(shares([], 0).values()) == {0.0}


def shares(words: list[str], characters: int) -> dict[str, float]:
    """The measures over n-grams of words, each numbered by its first place: any numbers that differ will do."""
    mixed = (np.array([words.index(word) for word in words], np.uint64) + np.uint64(1)) * np.uint64(0xBF58476D1CE4E5B9)
    return ngram_shares(mixed, np.array(list(map(len, words)), np.int64), characters)


def _plain_top(words: list[str], size: int, characters: int) -> float:
    grams = Counter(" ".join(words[start : start + size]) for start in range(len(words) - size + 1))
    gram, count = grams.most_common(1)[0] if grams else ("", 0)
    return len(gram) * count / characters


def _plain_duplicated(words: list[str], size: int, characters: int) -> float:
    seen: set[tuple[str, ...]] = set()
    repeated = start = 0
    while start <= len(words) - size:
        gram = tuple(words[start : start + size])
        repeated += sum(map(len, gram)) if gram in seen else 0
        start += size if gram in seen else 1
        seen.add(gram)
    return repeated / characters


@settings(max_examples=100, deadline=None)
@given(words=st.lists(st.sampled_from(["di", "e", "pascolo", "l'", "è", "."]), max_size=60))
def test_ngram_shares_are_those_of_the_plain_definitions(words: list[str]) -> None:
    characters = max(len(" ".join(words)), 1)
    found = shares(words, characters)
    for size in TOP_SIZES:
        assert found[f"top_{size}_gram_share"] == _plain_top(words, size, characters)
    for size in DUPLICATED_SIZES:
        assert found[f"duplicated_{size}_gram_share"] == _plain_duplicated(words, size, characters)


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=60))
def test_marks_of_any_script_are_stripped(text: str) -> None:
    plain = "".join(char for char in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(char) != "Mn")
    assert normalised_words(text) == re.sub(r"[\W_]+", " ", re.sub(r"\d+", "0", plain)).split()


def test_signatures_forgive_case_accents_and_numbers() -> None:
    plain = SignalSettings()
    assert signature("Alle 12 è già notte nella valle, e nevica.", plain) == signature("alle 3 E GIA notte... nella valle e nevica", plain)
    assert signature("troppo poche parole", plain) is None and bands(None, 8) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name: x\ndocuments:\n- {id: a, signal: wordz, comparison: at_least, threshold: 1, source: s, why: w}", "signal 'wordz'; known are"),
        ("name: x\ndocuments:\n- {id: a, signal: words, comparison: above, threshold: 1, source: s, why: w}", "no rule file"),
        ("name: x\ndocuments: []\nlines:\n- {id: a, signal: blink, comparison: at_most, threshold: 0, source: s, why: w}", "signal 'blink'"),
        ("name: x\ndocuments: []\nlines:\n- {id: a, signal: blank, comparison: at_most, threshold: 0, source: s, why: w}\n- {id: a, signal: brace, comparison: at_most, threshold: 0, source: s, why: w}", "given twice"),
        ("name: x\ndocuments:\n- {id: a, signal: words, comparison: at_least, threshold: 1, ignoring: [pesce], source: s, why: w}", "words counts none"),
        ("name: x\ndocuments: []\nlines:\n- {id: a, signal: 'classifier:x', comparison: at_least, threshold: 1, source: s, why: w}", "signal 'classifier:x'"),
        ("- 1\n- 2", "no rule file"),
        ("name: [", "no rule file"),
    ],
)
def test_wrong_rule_files_are_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(content)
    with pytest.raises(WebCorpusError, match=message):
        load_rules(path)


def test_removing_lines_and_spans() -> None:
    assert without_lines("a\nb\nc", [1]) == "a\nc" and without_lines("a\nb", []) == "a\nb" and without_lines("a", [0]) == ""
    assert without_spans("uno due tre quattro", [(4, 11)]) == "uno\nquattro" and without_spans("tutto", [(0, 5)]) == ""
    assert LINE_FLAGS.index("ended") == 0
