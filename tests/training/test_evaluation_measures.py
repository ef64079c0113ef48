"""Intervals, measures of answers, and the comparison, on figures that can be checked by hand."""

from __future__ import annotations

import math
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.language.identification import LanguageScore
from foundation.language.settings import LanguageSettings
from foundation.sources.data import DataFolder
from foundation.sources.downloads import Downloads
from foundation.stages import StageSetup
from training.builds.language_report import judge_of
from training.comparison import Reported, Scored, compare
from training.errors import TrainingError
from training.evaluation.answer_measures import measure_answers, repetition, summary
from training.evaluation.bootstrap import DocumentScore, bits_per_byte, change
from training.generation import Answer

DOCUMENTS = st.dictionaries(
    st.text("abcdef", min_size=1), st.tuples(st.floats(1, 1000), st.integers(1, 1000)).map(lambda pair: DocumentScore(*pair)), min_size=1
)


@given(DOCUMENTS, st.integers(0, 99))
def test_an_interval_holds_between_the_best_and_the_worst_document(scores: dict[str, DocumentScore], seed: int) -> None:
    found = bits_per_byte(scores, 200, seed)
    assert found.value == pytest.approx(sum(score.nats for score in scores.values()) / math.log(2) / sum(score.bytes for score in scores.values()))
    each = [score.nats / math.log(2) / score.bytes for score in scores.values()]
    assert min(each) - 1e-9 <= found.low <= found.high <= max(each) + 1e-9
    assert found == bits_per_byte(dict(reversed(scores.items())), 200, seed), "the order of scoring changes nothing"


@given(DOCUMENTS, st.floats(0.5, 2))
def test_a_change_that_is_the_same_on_every_document_is_certain(scores: dict[str, DocumentScore], factor: float) -> None:
    """Paired: what makes a document hard for both models cancels out, however far the documents lie apart."""
    other = {key: DocumentScore(score.nats * factor, score.bytes) for key, score in scores.items()}
    found = change(other, scores, 200, 1)
    assert found.value == pytest.approx(factor - 1) and found.low == pytest.approx(factor - 1) and found.high == pytest.approx(factor - 1)


def test_more_documents_narrow_the_interval() -> None:
    def width(count: int) -> float:
        found = bits_per_byte({f"{index:04}": DocumentScore(50 + 7 * (index % 13), 100) for index in range(count)}, 1000, 3)
        return found.high - found.low

    assert width(400) < 0.3 * width(13)


def test_other_documents_are_no_measure() -> None:
    with pytest.raises(TrainingError, match="not the same ones"):
        change({"a": DocumentScore(1, 1)}, {"b": DocumentScore(1, 1)}, 100, 1)


def test_repetition_counts_4_grams_that_come_again() -> None:
    assert repetition(["a", "b", "c", "d"]) == 0
    assert repetition(["a", "a", "a", "a", "a", "a", "a"]) == pytest.approx(3 / 4)
    assert repetition(["a", "b", "c", "d", "e", "a", "b", "c", "d"]) == pytest.approx(1 / 6)
    assert repetition(["a", "b", "c"]) is None


class Capitals:
    """Says that capitals are English."""

    def scores(self, text: str, k: int = 1) -> list[LanguageScore]:
        return [LanguageScore("en" if text.isupper() else "it", 0.9)]


def test_answers_are_measured_and_summed_up() -> None:
    answers = [Answer("sì sì sì sì sì", 9, True), Answer("NO", 2, True), Answer("", 0, True), Answer("1 2 3", 48, False)]
    measured = measure_answers(answers, Capitals(), str.split)
    assert [answer.language for answer in measured] == ["it", "en", "", ""], "without letters there is no language"
    found = summary(measured, "it")
    assert found.target_language is not None and found.ended is not None
    assert (found.prompts, found.target_language.share, found.ended.share) == (4, 0.25, 0.75)
    assert found.target_language.low < 0.25 < found.target_language.high
    assert (found.repetition, found.long_enough) == (0.5, 1)
    assert (found.mean_words, found.mean_tokens) == (9 / 4, 59 / 4)
    unknown = summary(measure_answers([*answers, Answer("sì", None, True)], Capitals(), str.split), "it")
    assert unknown.mean_tokens is None, "a mean over some of the answers would be no mean"
    assert summary([], "it").target_language is None


def test_the_language_of_answers_is_told_by_the_model_of_the_language_file(language: LanguageSettings, home: Path) -> None:
    judge = judge_of(StageSetup({"language": language}, DataFolder(None), Downloads(home / "cache"), None, 1))
    measured = judge.measured([Answer(prompt, 9, True) for prompt in language.prompts])
    assert {answer.language for answer in measured} == {"it"}
    (english,) = judge.measured([Answer("A spreadsheet is a document that arranges figures in rows and columns.", 12, True)])
    assert english.language == "en"


def test_the_comparison_refers_bits_to_the_base_of_the_same_form_and_scores_to_the_baseline() -> None:
    bits = pl.DataFrame(
        [
            {"model": model, "form": form, "text": "english", "bits_per_byte": value, "low": value - 0.1, "high": value + 0.1}
            for model, form, value in (
                ("base_model", "base", 1.0), ("base_model", "nf4_base", 2.0), ("adapted_model", "export", 0.9), ("adapted_model", "adapter_on_nf4", 1.5),
            )
        ]
    )  # fmt: skip
    changes = pl.DataFrame(
        [
            {"model": "adapted_model", "form": form, "text": "english", "against": "base_model", "against_form": base}
            for form, base in (("export", "base"), ("adapter_on_nf4", "nf4_base"))
        ]
    )
    answers = pl.DataFrame(
        [
            {"model": model, "target_language_share": share, "target_language_low": 0.0, "target_language_high": 1.0, "ended_share": 1.0,
             "ended_low": 0.5, "ended_high": 1.0, "repetition": None, "mean_words": 3.0}
            for model, share in (("base_model", 0.5), ("adapted_model", 1.0))
        ],
        schema_overrides={"repetition": pl.Float64},
    )  # fmt: skip
    reported = Reported(bits, changes, answers, {"base_model": "b1", "adapted_model": "a1"}, {"english": frozenset({"p"})})
    scores = pl.DataFrame({"model": ["evalita_model"], "task": ["wic"], "metric": ["f1"], "score": [0.0], "low": [0.0], "high": [0.1], "baseline": [0.0]})
    rows = {(row["model"], row["form"], row["measure"]): row for row in compare(reported, Scored(scores, {}))}
    assert rows["adapted_model", "export", "bits_per_byte"]["difference_percent"] == pytest.approx(-10)
    assert rows["adapted_model", "adapter_on_nf4", "bits_per_byte"]["difference_percent"] == pytest.approx(-25)
    assert rows["adapted_model", "", "target_language_share"]["difference_percent"] == pytest.approx(100)
    assert rows["evalita_model", "", "f1"]["difference_percent"] is None
    assert rows["adapted_model", "export", "bits_per_byte"]["version"] == "a1"
