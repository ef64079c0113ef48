"""Planted faults: engines that drop placeholders, copy English, loop, cut or lose numbers are all caught."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from foundation.language.identification import LanguageIdentifier, load_identifier
from foundation.language.sentences import SentenceSettings
from translation import translate
from translation.contamination import benchmark_index
from translation.engines.engine import EngineChoice, Translation, in_slices
from translation.rows import Judge, Judged, judge_chats, judge_instructions
from translation.settings import ChatsSettings, GateSettings
from translation.translate import Translator, translate_texts

QUESTION = "What is the color of the water in the lake that you can see? It is number 42 for me."
ANSWER = "The water in the lake is blue, and it is cold.\n\n- Use `make all` for the build of the lake.\n- You can drink 3 of it."
ORIGIN = {"source": "s", "revision": "r", "licence": "CC0-1.0", "source_id": None}
ITALIAN = "il gatto e il cane della una per con non sono questo nel come"

Engine = Callable[[str], Translation]


def italian(sentence: str) -> Translation:
    """Italian words of about the same length; marks and numbers kept."""
    words = ITALIAN.split() * 5
    kept = [word for word in re.findall(r"\S+", sentence) if re.search(r"XQ\d+Z|\{\d+\}|\d", word)]
    text = " ".join(words[: max(1, len(sentence.split()) - len(kept))])
    return Translation(" ".join([text, *kept]))


FAULTS: dict[str, tuple[Engine, str]] = {
    "drops placeholders": (lambda s: Translation(re.sub(r"XQ\d+Z|\{\d+\}", "", italian(s).text)), "protected_spans"),
    "repeats placeholders": (lambda s: Translation(re.sub(r"(XQ\d+Z|\{\d+\})", r"\1 \1", italian(s).text)), "protected_spans"),
    "copies English": (Translation, "untranslated"),
    "speaks English": (lambda s: Translation("and of the " + s), "language"),
    "knows no word": (lambda s: Translation(italian(s).text, unknown_words=len(s.split())), "untranslated"),
    "loops": (lambda s: Translation(italian(s).text + " bello" * 12), "repetition"),
    "goes on": (lambda s: Translation(" ".join([ITALIAN] * 4) + re.sub(r"[^\d ]", "", s)), "length_ratio"),
    "cuts": (lambda s: Translation(italian(s).text, truncated=True), "truncated"),
    "swallows": (lambda s: Translation(italian(s).text[:5] + " ".join(re.findall(r"XQ\d+Z|\d+", s))), "length_ratio"),
    "loses numbers": (lambda s: Translation(re.sub(r"\b\d+\b", "molti", italian(s).text)), "numbers"),
    "invents lists": (lambda s: Translation("\n- " + italian(s).text), "structure"),
}


class Faulty:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def batches(self, sentences: Sequence[str]) -> list[list[str]]:
        return in_slices(sentences, 3)

    def translate(self, sentences: Sequence[str]) -> list[Translation]:
        return [self._engine(sentence) for sentence in sentences]


def judge(identifier: LanguageIdentifier, items: Sequence[tuple[str, str, str]] = (), **gates: Any) -> Judge:
    choice = EngineChoice("argos", "faulty 1", (), deterministic=True)
    return Judge(identifier, "it", benchmark_index(items, 13), choice, GateSettings(**gates))


@pytest.fixture
def identifier(tiny_identifier: Path) -> LanguageIdentifier:
    return load_identifier(tiny_identifier)


@pytest.fixture
def translated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Engine, Sequence[str]], dict[str, Any]]:
    def run(engine: Engine, texts: Sequence[str]) -> dict[str, Any]:
        monkeypatch.setattr(translate, "open_engine", lambda choice: Faulty(engine))
        choice = EngineChoice("argos", "faulty 1", (), deterministic=True)
        return dict(zip(texts, translate_texts(texts, Translator(choice, SentenceSettings())), strict=True))

    return run


def judged_instruction(translations: dict[str, Any], made: Judge, **changes: str) -> Judged:
    row = {"id": "1", "instruction": QUESTION, "context": "", "response": ANSWER, "category": "open_qa", **ORIGIN, **changes}
    return judge_instructions([row], translations, made)


def test_a_good_engine_passes(translated: Any, identifier: LanguageIdentifier) -> None:
    result = judged_instruction(translated(italian, [QUESTION, ANSWER, ""]), judge(identifier))
    assert not result.quarantined, result.reasons
    row = result.kept[0]
    assert "`make all`" in row["response"]
    assert row["response"].count("\n") == ANSWER.count("\n")
    assert row["language"] == "it"


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_every_fault_is_caught(fault: str, translated: Any, identifier: LanguageIdentifier) -> None:
    engine, reason = FAULTS[fault]
    if fault == "invents lists":  # line ends cannot leave the engine, so the fault is planted in the whole text
        found = {text: translate.TranslatedText(engine(text).text) for text in (QUESTION, ANSWER, "")}
    else:
        found = translated(engine, [QUESTION, ANSWER, ""])
    result = judged_instruction(found, judge(identifier))
    assert not result.kept
    assert reason in result.quarantined[0]["reasons"]


def test_lost_spans_leave_the_source_sentence(translated: Any) -> None:
    drops = FAULTS["drops placeholders"][0]
    found = translated(drops, [ANSWER])[ANSWER]
    assert "- Use `make all` for the build of the lake." in found.text.split("\n")
    assert found.spans_lost == 1


def test_a_second_form_of_mark_is_tried(translated: Any) -> None:
    eats_names = translated(lambda s: Translation(re.sub(r"XQ\d+Z", "", italian(s).text)), [ANSWER])[ANSWER]
    assert eats_names.spans_lost == 0
    assert "`make all`" in eats_names.text


def test_an_engine_that_miscounts_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Short:
        def batches(self, sentences: Sequence[str]) -> list[list[str]]:
            return [list(sentences)]

        def translate(self, sentences: Sequence[str]) -> list[Translation]:
            return [Translation("x")] * (len(sentences) - 1)

    monkeypatch.setattr(translate, "open_engine", lambda choice: Short())
    choice = EngineChoice("argos", "short 1", (), deterministic=True)
    with pytest.raises(translate.EngineError, match="0 translations for 1 sentences"):
        translate_texts(["Hello you."], Translator(choice, SentenceSettings()))


def test_a_corrected_error_is_noticed(translated: Any, identifier: LanguageIdentifier) -> None:
    wrong, right = "The cat are on the water of the lake that you see.", "The cat is on the water of the lake that you see."
    result = judged_instruction(translated(italian, [QUESTION, wrong, right]), judge(identifier), context=wrong, response=right)
    assert "input_equals_output" in result.quarantined[0]["reasons"]


def test_benchmark_text_is_noticed(translated: Any, identifier: LanguageIdentifier) -> None:
    found = translated(italian, [QUESTION, ANSWER, ""])
    made = judge(identifier, [("xcopa", "1", found[QUESTION].text)])
    row = judged_instruction(found, made).quarantined[0]
    assert row["reasons"] == ["benchmark_overlap"]
    assert row["benchmark_overlap"] == ["xcopa"]
    allowed = judge(identifier, [("xcopa", "1", found[QUESTION].text)], drop_benchmark_overlap=False)
    assert judged_instruction(found, allowed).kept[0]["benchmark_overlap"] == ["xcopa"]


@pytest.mark.parametrize(("bad", "left"), [(None, 6), (5, 4), (4, 4), (3, 2), (2, 2), (1, None), (0, None)])
def test_a_chat_is_cut_before_its_first_bad_exchange(bad: int | None, left: int | None, translated: Any, identifier: LanguageIdentifier) -> None:
    contents = [f"{QUESTION} And message {number} is here." for number in range(6)]
    found = translated(italian, contents)
    if bad is not None:
        found[contents[bad]] = translate.TranslatedText(contents[bad], words=20, untranslated_words=20)
    messages = [{"role": ("user", "assistant")[number % 2], "content": text} for number, text in enumerate(contents)]
    result = judge_chats([{"id": "1", "messages": messages, **ORIGIN}], found, judge(identifier), ChatsSettings())
    if left is None:
        assert not result.kept
        assert "untranslated" in result.quarantined[0]["reasons"]
        assert len(result.quarantined[0]["messages"]) == 6
    else:
        row = result.kept[0]
        assert (len(row["messages"]), row["messages_cut"], len(row["source_messages"])) == (left, 6 - left, left)
        assert row["messages"][-1]["role"] == "assistant"
        assert ("cut" in row["flags"]) == (left < 6)
