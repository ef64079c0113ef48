"""Planted faults: engines that drop placeholders, copy English, loop, cut or lose numbers are all caught."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from foundation.language.identification import LanguageIdentifier
from foundation.language.sentences import SentenceSettings
from translation import translate
from translation.contamination import benchmark_index
from translation.engines.engine import EngineChoice, Translation, in_slices
from translation.errors import EngineError
from translation.protection import mask
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


def words_only(sentence: str) -> str:
    return re.sub(r"XQ\d+Z|\{\d+\}", "", italian(sentence).text)


FAULTS: dict[str, tuple[Engine, str]] = {
    "invents marks": (lambda s: Translation(f"XQ8Z {italian(s).text} {{9}}"), "protected_spans"),
    "says nothing": (lambda s: Translation(""), "protected_spans"),
    "copies English": (Translation, "source_copy"),
    "copies long sentences": (lambda s: Translation(s) if len(s.split()) > 9 else italian(s), "source_copy"),
    "speaks English": (lambda s: Translation("and of the " + s), "language"),
    "knows no word": (lambda s: Translation(italian(s).text, unknown_words=len(s.split())), "untranslated"),
    "loops": (lambda s: Translation(italian(s).text + " bello" * 12), "repetition"),
    "loops at length": (lambda s: Translation(italian(s).text + " il gatto e il cane della una casa" * 30), "compression"),
    "goes on": (lambda s: Translation(" ".join([ITALIAN] * 4) + re.sub(r"[^\d ]", "", s)), "length_ratio"),
    "cuts and says so": (lambda s: Translation(italian(s).text, truncated=True), "truncated"),
    "cuts silently": (lambda s: Translation(italian(s).text[: len(s) // 3] + " " + " ".join(re.findall(r"XQ\d+Z|\d+", s))), "length_ratio"),
    "swallows": (lambda s: Translation(italian(s).text[:5] + " ".join(re.findall(r"XQ\d+Z|\d+", s))), "length_ratio"),
    "loses numbers": (lambda s: Translation(re.sub(r"\b\d+\b", "molti", italian(s).text)), "numbers"),
    "swaps figures": (lambda s: Translation(re.sub(r"\b42\b", "24", italian(s).text)), "numbers"),
    "invents numbers": (lambda s: Translation(italian(s).text + " 7"), "numbers"),
    "invents addresses": (lambda s: Translation(italian(s).text + " www.esempio.it"), "urls"),
    "invents code": (lambda s: Translation(italian(s).text + " `codice`"), "code"),
    "invents placeholders": (lambda s: Translation(italian(s).text + " [Nome]"), "placeholders"),
    "is not sure": (lambda s: Translation(italian(s).text, score=-3.5), "score"),
    "invents lists": (lambda s: Translation("\n- " + italian(s).text), "list_items"),
    "invents lines": (lambda s: Translation(italian(s).text + "\ne il cane"), "lines"),
    "invents paragraphs": (lambda s: Translation(italian(s).text + "\n\ne il cane"), "paragraphs"),
}
PLANTED_IN_TEXTS = {"invents lists", "invents lines", "invents paragraphs"}
"""Line ends cannot leave an engine, so these faults are planted in whole texts."""


class Faulty:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def batches(self, sentences: Sequence[str]) -> list[list[str]]:
        return in_slices(sentences, 3)

    def lengths(self, sentences: Sequence[str]) -> list[int]:
        return [0] * len(sentences)

    def translate(self, sentences: Sequence[str]) -> list[Translation]:
        return [self._engine(sentence) for sentence in sentences]


def judge(identifier: LanguageIdentifier, items: Sequence[tuple[str, str, str]] = (), **gates: Any) -> Judge:
    choice = EngineChoice("argos", "faulty 1", (), deterministic=True)
    return Judge(identifier, "it", benchmark_index(items, 13), choice, GateSettings(**gates))


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
    if fault in PLANTED_IN_TEXTS:
        found = {text: translate.TranslatedText(engine(text).text) for text in (QUESTION, ANSWER, "")}
    else:
        found = translated(engine, [QUESTION, ANSWER, ""])
    result = judged_instruction(found, judge(identifier))
    assert not result.kept
    assert reason in result.quarantined[0]["reasons"]
    assert ("source_kept" in result.quarantined[0]["flags"]) == (reason == "protected_spans")


def test_lost_spans_leave_the_source_sentence(translated: Any) -> None:
    found = translated(FAULTS["invents marks"][0], [ANSWER])[ANSWER]
    assert "- Use `make all` for the build of the lake." in found.text.split("\n")
    assert found.spans_lost == 3, "an invented mark is never let through, with spans or without"


@pytest.mark.parametrize(
    ("source", "engine", "text"),
    [
        ("The non-`x` items.", "Gli elementi non XQ0Z.", "Gli elementi non `x`."),
        ("One and (`y`) too.", "Uno e XQ0Z pure.", "Uno e `y` pure."),
        ("One and (`y`) too.", "Uno e ( XQ0Z) pure.", "Uno e (`y`) pure."),
        ("Click **OK.** Now.", "Clicca XQ0Z OK XQ1Z Adesso.", "Clicca **OK** Adesso."),
        ("And (**bold**) too.", "E XQ0Z grassetto XQ1Z pure.", "E **grassetto** pure."),
        ("A **part**ial word.", "Una parola XQ0Z parz XQ1Z iale.", "Una parola **parz**iale."),
    ],
)
def test_spans_do_not_stick_to_words_that_they_did_not_stand_at(source: str, engine: str, text: str) -> None:
    masked = mask(source)
    assert masked.restore(engine) == text
    assert masked.restore(masked.text) == source


def test_a_second_form_of_mark_is_tried(translated: Any) -> None:
    eats_names = translated(lambda s: Translation(re.sub(r"XQ\d+Z", "", italian(s).text)), [ANSWER])[ANSWER]
    assert (eats_names.spans_lost, eats_names.in_parts) == (0, 0)
    assert "`make all`" in eats_names.text


@pytest.mark.parametrize("engine", [lambda s: Translation(words_only(s)), lambda s: Translation(re.sub(r"(XQ\d+Z|\{\d+\})", r"\1 \1", italian(s).text))], ids=["drops", "repeats"])
def test_at_last_the_parts_around_the_spans_are_translated(engine: Engine, translated: Any, identifier: LanguageIdentifier) -> None:
    text = "Use `make all` for the build of the lake, and write to a@b.org about {name} then."
    found = translated(engine, [QUESTION, ANSWER, "", text])
    parts = found[text]
    assert (parts.spans_lost, parts.in_parts) == (0, 1)
    assert list(re.findall(r"`make all`|a@b\.org|\{name\}", parts.text)) == ["`make all`", "a@b.org", "{name}"]
    assert "write" not in parts.text
    row = judged_instruction(found, judge(identifier)).kept[0]
    assert row["flags"] == ["in_parts"]
    assert row["code_changed"] == row["placeholders_changed"] == 0


class Counting(Faulty):
    """Counts words as tokens, and takes no sentence of more than ten."""

    def lengths(self, sentences: Sequence[str]) -> list[int]:
        return [len(sentence.split()) + 300 * ("ununun" in sentence) for sentence in sentences]

    def translate(self, sentences: Sequence[str]) -> list[Translation]:
        assert all(length <= 16 for length in self.lengths(sentences))
        return [Translation(sentence.upper()) for sentence in sentences]


def test_long_sentences_are_cut_by_the_tokens_of_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "- " + ", ".join(f"part {number} of `it` is here" for number in range(40)) + f". Then {'un' * 50} stays. Short one."
    monkeypatch.setattr(translate, "open_engine", lambda choice: Counting(italian))
    translator = Translator(EngineChoice("argos", "counting 1", (), deterministic=True), SentenceSettings(), max_sentence_tokens=16)
    found = translate_texts([text], translator)[0]
    assert found.text == text.upper().replace("`IT`", "`it`").replace(f"THEN {'UN' * 50} STAYS.", f"THEN {'un' * 50} STAYS.")
    assert found.truncated == 1, "what cannot be cut stays as it was, and is told"
    assert found.sentences > 20


def test_an_engine_that_miscounts_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Short:
        def batches(self, sentences: Sequence[str]) -> list[list[str]]:
            return [list(sentences)]

        def lengths(self, sentences: Sequence[str]) -> list[int]:
            return [0] * len(sentences)

        def translate(self, sentences: Sequence[str]) -> list[Translation]:
            return [Translation("x")] * (len(sentences) - 1)

    monkeypatch.setattr(translate, "open_engine", lambda choice: Short())
    choice = EngineChoice("argos", "short 1", (), deterministic=True)
    with pytest.raises(EngineError, match="0 translations for 1 sentences"):
        translate_texts(["Hello you."], Translator(choice, SentenceSettings()))


def test_a_corrected_error_is_noticed(translated: Any, identifier: LanguageIdentifier) -> None:
    wrong, right = "The cat are on the water of the lake that you see.", "The cat is on the water of the lake that you see."
    result = judged_instruction(translated(italian, [QUESTION, wrong, right]), judge(identifier), context=wrong, response=right)
    assert "input_equals_output" in result.quarantined[0]["reasons"]


def test_a_quoted_answer_must_stay_in_its_context(translated: Any, identifier: LanguageIdentifier) -> None:
    context, answer = "The water in the lake is blue, and it is cold for you.", "the lake is blue"
    found = {QUESTION: translate.TranslatedText("il gatto e il cane della una 42"), context: translate.TranslatedText("L'acqua del lago è azzurra, ed è fredda per te.")}
    for text, kept in (("il lago è azzurro", True), ("la pozza pare blu", False)):
        result = judged_instruction({**found, answer: translate.TranslatedText(text)}, judge(identifier, min_length_ratio=0, min_language_score=0, min_answer_in_context=0.5), context=context, response=answer)
        assert bool(result.kept) == kept, result.reasons
        assert kept or result.quarantined[0]["reasons"] == ["answer_left_context"]


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
        assert row["cut_reasons"] == (["language", "untranslated"] if bad is not None else [])
        assert result.messages_cut == ({"language": 6 - left, "untranslated": 6 - left} if bad is not None else {})


def test_a_question_without_an_answer_is_cut_for_that(translated: Any, identifier: LanguageIdentifier) -> None:
    contents = [f"{QUESTION} And message {number} is here." for number in range(3)]
    messages = [{"role": ("user", "assistant")[number % 2], "content": text} for number, text in enumerate(contents)]
    result = judge_chats([{"id": "1", "messages": messages, **ORIGIN}], translated(italian, contents), judge(identifier), ChatsSettings())
    assert (result.kept[0]["cut_reasons"], dict(result.messages_cut)) == (["no_answer"], {"no_answer": 1})


def test_a_chat_that_is_too_short_is_counted_for_that(translated: Any, identifier: LanguageIdentifier) -> None:
    contents = [f"{QUESTION} And message {number} is here." for number in range(2)]
    messages = [{"role": ("user", "assistant")[number % 2], "content": text} for number, text in enumerate(contents)]
    result = judge_chats([{"id": "1", "messages": messages, **ORIGIN}], translated(italian, contents), judge(identifier), ChatsSettings(min_messages=4))
    assert (result.quarantined[0]["reasons"], dict(result.reasons)) == (["too_short"], {"too_short": 1})


def test_a_chat_whose_answer_repeats_the_question_only_in_translation(identifier: LanguageIdentifier) -> None:
    same = translate.TranslatedText("il gatto e il cane della una per con non sono questo")
    texts = {"Correct it: the cat are here": same, "the cat is here": same}
    messages = [{"role": role, "content": text} for role, text in zip(("user", "assistant"), texts, strict=True)]
    result = judge_chats([{"id": "1", "messages": messages, **ORIGIN}], texts, judge(identifier, max_length_ratio=9), ChatsSettings())
    assert result.quarantined[0]["reasons"] == ["input_equals_output"]
