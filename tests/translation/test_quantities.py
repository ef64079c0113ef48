"""Quantities in the marks of the target language: everything else stays, and the gate on numbers agrees."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.profile import load_profile
from foundation.language.sentences import SentenceSettings
from foundation.stages import StageSetup
from tests.translation.markdown_texts import MARKDOWN
from translation.engines.engine import EngineChoice, EngineKind, Translation
from translation.engines.identity import IdentityEngine
from translation.numbers import numbers_changed
from translation.quantities import with_marks
from translation.segmentation import segment
from translation.settings import EngineSettings, NumberMarks
from translation.text import translate_markdown

ITALIAN = NumberMarks(decimal=",", thousands=".")
FRENCH = NumberMarks(decimal=",", thousands="\u202f")
SWISS = NumberMarks(decimal=".", thousands="’")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("It is 3.5 kg, or 1,234.5 km.", "It is 3,5 kg, or 1.234,5 km."),
        ("$1,234,567.89 and 10.5% of -3.5 °C", "$1.234.567,89 and 10,5% of -3,5 °C"),
        ("**3.5 kg** but `3.5 kg`", "**3,5 kg** but `3.5 kg`"),
        ("| a | b |\n|---|---|\n| 3.5 kg | 1,000 km |", "| a | b |\n|---|---|\n| 3,5 kg | 1.000 km |"),
        ("```\n3.5 kg\n```\n\n- 3.5 kg", "```\n3.5 kg\n```\n\n- 3,5 kg"),
        ("1.2.3 GB, 2,5 kg, 1,23,456 km, 5 kg", "1.2.3 GB, 2,5 kg, 1,23,456 km, 5 kg"),
        ("pi is 3.14, version 2.0, https://x.org/3.5%", "pi is 3.14, version 2.0, https://x.org/3.5%"),
    ],
)
def test_only_quantities_get_other_marks(source: str, text: str) -> None:
    assert with_marks(source, ITALIAN) == text
    assert numbers_changed(source, text) == 0
    assert with_marks(source, NumberMarks()) == source


@given(st.decimals(0, 10**9, places=2), st.sampled_from([ITALIAN, FRENCH, SWISS]))
def test_the_value_stays(number: object, marks: NumberMarks) -> None:
    source = f"It is {number:,} kg."
    text = with_marks(source, marks)
    assert numbers_changed(source, text) == 0
    assert f"{marks.decimal}{str(number)[-2:]} kg" in text


@given(MARKDOWN, st.sampled_from([ITALIAN, FRENCH, SWISS]))
def test_segments_stay_where_they_were(text: str, marks: NumberMarks) -> None:
    source = f"{text}\n\nIt is 1,003.5 kg or $1,234,567. {text}"
    before, after = (segment(one, SentenceSettings()) for one in (source, with_marks(source, marks)))
    assert [(len(piece.text), piece.sentence, piece.spans) for piece in before] == [(len(piece.text), piece.sentence, piece.spans) for piece in after]


@pytest.mark.parametrize(("engine", "text"), [("argos", "PESA 3,5 kg."), ("identity", "Pesa 3.5 kg.")])
def test_engines_that_translate_get_them_written(engine: EngineKind, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Loud(IdentityEngine):
        def translate(self, sentences: Sequence[str]) -> list[Translation]:
            return [Translation(sentence.upper() if engine == "argos" else sentence) for sentence in sentences]

    choice = EngineChoice(engine, "loud 1", (), deterministic=True)
    monkeypatch.setattr("translation.text.engine_choice", lambda _: choice)
    monkeypatch.setattr("translation.translate.open_engine", lambda _: Loud())
    setup = SimpleNamespace(cache=None, settings={"translation.engine": EngineSettings(quantities=ITALIAN), "language.source_sentences": SentenceSettings()})
    assert translate_markdown("Pesa 3.5 kg.", cast(StageSetup, setup)) == text


def test_the_language_file_gives_them() -> None:
    assert load_profile("smoke", []).profile.translation.engine.quantities == ITALIAN


def test_marks_must_be_told_apart() -> None:
    with pytest.raises(ValueError, match="two marks that can be told apart"):
        NumberMarks(decimal=",", thousands=",")
