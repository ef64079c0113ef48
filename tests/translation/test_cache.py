"""The translation cache: nothing is asked twice, batches are kept whole, damage is explained, processes share it."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundation.language.sentences import SentenceSettings
from translation import translate
from translation.batches import Effort
from translation.cache import TranslationCache
from translation.engines.engine import EngineChoice, Translation, in_slices
from translation.errors import EngineError
from translation.translate import Translator, translate_texts

INDEPENDENT = EngineChoice("argos", "kept 1", (("beam_size", 4),), deterministic=True)
DEPENDENT = EngineChoice("argos", "kept 1", (("beam_size", 4), ("compute_type", "int8")), deterministic=False, independent=False)


class Counting:
    """Translates a sentence into its place in the batch, so that a batch of another make shows."""

    def __init__(self, size: int = 3, fails_at: int | None = None) -> None:
        self.asked: list[list[str]] = []
        self._size = size
        self._fails_at = fails_at

    def batches(self, sentences: Sequence[str]) -> list[list[str]]:
        return in_slices(sentences, self._size)

    def lengths(self, sentences: Sequence[str]) -> list[int]:
        return [0] * len(sentences)

    def translate(self, sentences: Sequence[str]) -> list[Translation]:
        if self._fails_at == len(self.asked):
            raise EngineError("the engine is killed here")
        self.asked.append(list(sentences))
        return [Translation(f"{sentence.upper()} {index}", score=-0.25) for index, sentence in enumerate(sentences)]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    def translated(engine: Counting, texts: Sequence[str], choice: EngineChoice = INDEPENDENT) -> tuple[list[str], Effort]:
        monkeypatch.setattr(translate, "open_engine", lambda _: engine)
        effort = Effort()
        found = translate_texts(texts, Translator(choice, SentenceSettings(), cache=tmp_path), effort)
        return [text.text for text in found], effort

    return translated


TEXTS = [f"sentence {word} here" for word in ["one", "two", "three", "four", "five", "six", "seven"]]


@pytest.mark.parametrize("choice", [INDEPENDENT, DEPENDENT], ids=["independent", "dependent"])
def test_what_was_translated_is_not_asked_again(run: Any, choice: EngineChoice) -> None:
    first, again = Counting(), Counting()
    texts, effort = run(first, TEXTS, choice)
    assert (effort.sentences, effort.cached) == (7, 0)
    assert run(again, TEXTS, choice)[0] == texts
    assert again.asked == []
    assert sorted(sentence for batch in first.asked for sentence in batch) == sorted(TEXTS)


@pytest.mark.parametrize("choice", [INDEPENDENT, DEPENDENT], ids=["independent", "dependent"])
def test_a_resumed_run_asks_only_for_batches_that_were_not_finished(run: Any, choice: EngineChoice) -> None:
    whole, killed, resumed = Counting(), Counting(fails_at=2), Counting()
    expected, _ = run(whole, TEXTS, dataclasses.replace(choice, package="another"))
    with pytest.raises(EngineError, match="killed here"):
        run(killed, TEXTS, choice)
    texts, effort = run(resumed, TEXTS, choice)
    assert texts == expected
    assert killed.asked + resumed.asked == whole.asked
    assert effort.cached == 6


def test_a_sentence_of_another_text_is_known_only_where_neighbours_do_not_count(run: Any) -> None:
    run(Counting(), TEXTS)
    asked = Counting()
    run(asked, [TEXTS[4], "something new"])
    assert asked.asked == [["something new"]]
    run(Counting(), TEXTS, DEPENDENT)
    asked = Counting()
    run(asked, [TEXTS[4], "something new"], DEPENDENT)
    assert asked.asked == [["sentence five here", "something new"]]


def test_engines_do_not_share(tmp_path: Path) -> None:
    kept = TranslationCache(tmp_path, INDEPENDENT)
    kept.keep(["a"], {"a": Translation("b")})
    assert kept.find(["a"]) == {"a": Translation("b")}
    for other in (EngineChoice("argos", "kept 2", (("beam_size", 4),), deterministic=True), EngineChoice("argos", "kept 1", (("beam_size", 1),), deterministic=True)):
        assert TranslationCache(tmp_path, other).find(["a"]) == {}
    moved = EngineChoice("argos", "kept 1", (("beam_size", 4),), deterministic=True, location="elsewhere", run_parameters=(("threads", 9),))
    assert TranslationCache(tmp_path, moved).find(["a"]) == {"a": Translation("b")}


@given(st.dictionaries(st.text(max_size=20), st.tuples(st.text(max_size=20), st.none() | st.floats(-9, 0), st.booleans(), st.integers(0, 9)), max_size=12))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_entries_come_back_as_they_were(tmp_path: Path, entries: dict[str, tuple[str, float | None, bool, int]]) -> None:
    choice = EngineChoice("argos", f"any {len(list(tmp_path.rglob('*.sqlite')))}", (), deterministic=True)
    translations = {sentence: Translation(*entry) for sentence, entry in entries.items()}
    kept = TranslationCache(tmp_path, choice)
    kept.keep(list(entries), translations)
    assert kept.find(list(entries)) == translations
    kept.close()


def test_more_sentences_than_a_query_holds(tmp_path: Path) -> None:
    kept = TranslationCache(tmp_path, INDEPENDENT)
    many = {f"sentence {number}": Translation(str(number)) for number in range(2_500)}
    kept.keep(list(many), many)
    assert kept.find(list(many)) == many


def test_a_damaged_file_is_explained(tmp_path: Path) -> None:
    TranslationCache(tmp_path, INDEPENDENT).close()
    path = next(tmp_path.rglob("*.sqlite"))
    path.write_bytes(b"not a database, but long enough to be taken for one" * 40)
    with pytest.raises(EngineError, match=r"is damaged .* delete the file"):
        TranslationCache(tmp_path, INDEPENDENT).find(["a"])


WRITER = """
import sys
from pathlib import Path
from translation.cache import TranslationCache
from translation.engines.engine import EngineChoice, Translation
cache = TranslationCache(Path(sys.argv[1]), EngineChoice("argos", "kept 1", (("beam_size", 4),), deterministic=True))
for batch in range(40):
    names = [f"{sys.argv[2] if number % 2 else 'shared'} {batch} {number}" for number in range(20)]
    cache.keep(names, {name: Translation(name.upper()) for name in names})
"""


def test_processes_share_a_file(tmp_path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), name], stderr=subprocess.PIPE) for name in ("first", "second")]
    for writer in writers:
        _, complaints = writer.communicate(timeout=120)
        assert writer.returncode == 0, complaints.decode()[-1000:]
    kept = TranslationCache(tmp_path, INDEPENDENT)
    names = [f"{who} {batch} {number}" for batch in range(40) for number in range(20) for who in (("first", "second") if number % 2 else ("shared",))]
    assert kept.find(names) == {name: Translation(name.upper()) for name in names}
