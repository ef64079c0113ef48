"""Apertium: one sentence in, one out; marks and markup survive; unpacking and modes are checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from foundation.sources.data import DataFolder
from foundation.sources.debian import DebianPackages
from foundation.sources.downloads import DownloadError, Downloads
from tests.translation.conftest import PAIRS
from translation.engines import apertium as engine
from translation.engines.apertium import ApertiumEngine
from translation.engines.choice import choose
from translation.engines.engine import EngineChoice
from translation.errors import EngineError
from translation.protection import mask
from translation.settings import ApertiumSettings, EngineSettings


def test_genuine_italian_with_all_marks(apertium: EngineChoice) -> None:
    sentences = [
        "The houses of the friends are in the garden.",
        "Run `a_b()` and open https://example.org/x?y=1 now.",
        "It costs $5 ^ {0} [0] a/b\\c @home <b>#3</b> * 50% of 1,000.",
        "Yes",
    ]
    masks = [mask(sentence) for sentence in sentences]
    translations = ApertiumEngine(apertium).translate([masked.text for masked in masks])
    assert translations[0].text == "Le case delle amiche sono nel giardino."
    restored = [masked.restore(translation.text) for masked, translation in zip(masks, translations, strict=True)]
    assert restored[1] is not None
    assert "`a_b()`" in restored[1]
    assert "https://example.org/x?y=1" in restored[1]
    assert restored[2] is not None
    for kept in ("$5", "^", "{0}", "[0]", "\\", "<b>", "#3", "*", "50%", "1,000", "@"):
        assert kept in restored[2]
    assert translations[3].text == "Sì"
    assert "sha256:" in apertium.package


def test_a_last_word_that_reads_as_an_abbreviation(apertium: EngineChoice) -> None:
    """With the stop that is added, "p" is "p.", and no stop comes back."""
    translations = ApertiumEngine(apertium).translate(['", "p', "Good night"])
    assert translations[0].text == '", "p' and translations[0].unknown_words == 1
    assert translations[1].text == "Buona notte"


def test_unknown_words_are_counted_and_their_marks_removed(apertium: EngineChoice) -> None:
    translation = ApertiumEngine(apertium).translate(["The Benthesikyme sees the frobnicator."])[0]
    assert "*" not in translation.text
    assert translation.unknown_words == 2


def test_the_same_batch_gives_the_same_output(apertium: EngineChoice) -> None:
    sentences = [f"The {noun} of the {other} is red." for noun in ("house", "garden", "book") for other in ("friend", "king", "sea")]
    opened = ApertiumEngine(apertium)
    assert opened.translate(sentences) == opened.translate(sentences)
    assert len(opened.translate(["One.", "", "Two."])) == 3
    assert opened.translate([]) == []


def test_a_missing_pair_is_named(apertium: EngineChoice) -> None:
    with pytest.raises(EngineError, match="no mode eng-xxx"):
        engine.pipe(Path(apertium.location), ["eng-xxx"])


def test_a_failing_program_is_named(apertium: EngineChoice, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = ApertiumEngine(apertium)
    monkeypatch.setattr(opened, "_commands", [*opened._commands[:3], ["/bin/false"]])
    with pytest.raises(EngineError, match="false failed"):
        opened.translate(["Hello."])
    monkeypatch.setattr(opened, "_commands", [["/bin/cat"], ["/usr/bin/tr", "-d", "\\000"]])
    with pytest.raises(EngineError, match="for 2 sentences"):
        opened.translate(["One.", "Two."])


def test_without_packages_there_is_an_error_or_a_loud_fallback(tmp_path: Path) -> None:
    places = DataFolder(None), Downloads(tmp_path, offline=True), DebianPackages(tmp_path, offline=True)
    with pytest.raises(DownloadError, match="transumanza fetch"):
        choose(EngineSettings(engine="apertium", apertium=ApertiumSettings(pairs=PAIRS)), *places)
    choice = choose(EngineSettings(engine="apertium", apertium=ApertiumSettings(pairs=PAIRS), fallback="identity"), *places)
    assert choice.kind == "identity"
    assert choice.note.startswith("NOT TRANSLATED")
