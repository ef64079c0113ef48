"""Translation of one text, outside any pipeline: what ``transumanza translate text`` and a notebook call."""

from __future__ import annotations

from foundation.language.sentences import SentenceSettings
from foundation.stages import StageSetup
from translation.sections import back_choice, engine_choice, section
from translation.settings import EngineSettings, GateSettings, NumberMarks
from translation.translate import Translator, translate_texts


def translator_of(setup: StageSetup) -> Translator:
    """How a profile translates.

    Args:
        setup: the setup of a translation stage; its engine and sentence sections are read.

    Raises:
        StageError: the setup is of another workshop's stage.
        EngineError: the engine cannot be used.
    """
    engine, sentences = section(setup, "translation.engine", EngineSettings), section(setup, "language.source_sentences", SentenceSettings)
    cache = setup.cache if engine.cache else None
    choice = engine_choice(setup)
    marks = NumberMarks() if choice.kind == "identity" else engine.quantities  # what is not translated stays as it was
    return Translator(choice, sentences, engine.max_sentence_characters, cache, engine.max_sentence_tokens, marks)


def back_translator_of(setup: StageSetup) -> Translator | None:
    """How a profile translates back for round trips; None where it does not.

    Its sentences are told without abbreviations, which are those of the source language: a round trip is a score, not a text.
    """
    choice, settings = back_choice(setup), section(setup, "translation.gates", GateSettings).round_trip
    if choice is None or settings is None:
        return None
    cache = setup.cache if settings.cache else None
    return Translator(choice, SentenceSettings(), settings.max_sentence_characters, cache, settings.max_sentence_tokens)


def translate_markdown(text: str, setup: StageSetup) -> str:
    """A Markdown text in the target language, with the engine of the profile; code, addresses and structure stay.

    Raises:
        StageError: the setup is of another workshop's stage.
        EngineError: the engine cannot be used.
    """
    return translate_texts([text], translator_of(setup))[0].text
