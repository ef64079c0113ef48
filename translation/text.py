"""Translation of one text, outside any pipeline: what ``transumanza translate text`` and a notebook call."""

from __future__ import annotations

import tempfile
from pathlib import Path

from foundation.language.sentences import SentenceSettings
from foundation.stages import StageError, StageSetup
from translation.engines.choice import choose
from translation.settings import EngineSettings
from translation.translate import TranslationRun, translate_texts


def translate_markdown(text: str, setup: StageSetup) -> str:
    """A Markdown text in the target language, with the engine of the profile; code, addresses and structure stay.

    Args:
        text: the source text.
        setup: the setup of a translation stage; its engine and sentence sections are read.

    Raises:
        StageError: the setup is of another workshop's stage.
        EngineError: the engine cannot be used.
    """
    engine, sentences = setup.settings.get("translation.engine"), setup.settings.get("language.source_sentences")
    if not isinstance(engine, EngineSettings) or not isinstance(sentences, SentenceSettings):
        raise StageError("translate_markdown needs the setup of translated_chats or translated_instructions")
    choice = choose(engine, setup.data, setup.downloads, setup.debian)
    run = TranslationRun(choice, sentences, engine.max_sentence_characters, engine.shard_sentences)
    with tempfile.TemporaryDirectory() as folder:
        return translate_texts([text], run, Path(folder))[0].text
