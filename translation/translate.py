"""Translation of whole texts: segments of all texts → unique sentences → batches → reassembly.

A sentence that occurs many times is translated once. Batches depend on nothing but the set of sentences; those that the cache knows
are not translated again. Sentences whose protected spans did not come back are tried once more with another form of mark; then the
source sentence stays, and is counted.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from foundation.language.sentences import SPLITTER_VERSION, SentenceSettings
from translation.cache import TranslationCache
from translation.engines.choice import open_engine
from translation.engines.engine import Engine, EngineChoice, Translation
from translation.errors import EngineError
from translation.protection import MARK_FORMS, PROTECTOR_VERSION, Masked, mask
from translation.segmentation import SEGMENTER_VERSION, Piece, segment

TEXT_RULES = f"sentences {SPLITTER_VERSION}, segmentation {SEGMENTER_VERSION}, protection {PROTECTOR_VERSION}"
"""Versions of what decides which sentences reach an engine."""


@dataclass(frozen=True)
class TranslatedText:
    """A translated text and what the engine said of its sentences.

    ``words`` are words of translated sentences; ``untranslated_words`` those that the engine did not know or that stand
    in sentences left as they were. ``spans_lost``: sentences kept in the source language for a lost protected span or
    an empty output. ``score``: mean of the engine's scores, ``min_score`` the lowest; None where it has none.
    """

    text: str
    sentences: int = 0
    words: int = 0
    untranslated_words: int = 0
    spans_lost: int = 0
    truncated: int = 0
    score: float | None = None
    min_score: float | None = None


@dataclass(frozen=True)
class Translator:
    """How texts are translated: the engine, the rules of segmentation, and where translations are kept (null: nowhere)."""

    choice: EngineChoice
    sentences: SentenceSettings
    max_sentence_characters: int = 600
    cache: Path | None = None


@dataclass
class Effort:
    """What translating took: unique sentences, those that the cache knew, and seconds in the engine; differs from run to run."""

    sentences: int = 0
    cached: int = 0
    engine_seconds: float = 0.0


@dataclass
class _Sentences:
    """Translates unique sentences, batch by batch, through the cache."""

    engine: Engine
    choice: EngineChoice
    cache: TranslationCache | None
    effort: Effort = field(default_factory=Effort)

    def translated(self, sentences: Sequence[str]) -> dict[str, Translation]:
        """Translations by sentence.

        Raises:
            EngineError: the engine failed, or broke its contract.
        """
        found: dict[str, Translation] = {}
        for batch in self.engine.batches(sentences):
            known = self.cache.find(batch) if self.cache is not None else {}
            waiting = [sentence for sentence in batch if sentence not in known]
            found.update(known)
            self.effort.sentences += len(batch)
            self.effort.cached += len(known)
            if waiting:
                found.update(self._asked(waiting))
                if self.cache is not None:
                    self.cache.keep(batch, {sentence: found[sentence] for sentence in waiting})
        return found

    def _asked(self, batch: Sequence[str]) -> dict[str, Translation]:
        clock = time.monotonic()
        translations = self.engine.translate(batch)
        self.effort.engine_seconds += time.monotonic() - clock
        if len(translations) != len(batch):
            raise EngineError(f"{self.choice.package} gave {len(translations)} translations for {len(batch)} sentences")
        return {
            sentence: Translation(" ".join(entry.text.split("\n")).strip(), entry.score, entry.truncated, entry.unknown_words)
            for sentence, entry in zip(batch, translations, strict=True)
        }


def translate_texts(texts: Sequence[str], translator: Translator, effort: Effort | None = None) -> list[TranslatedText]:
    """Translate texts, in order.

    Args:
        texts: whole texts; Markdown is understood.
        translator: engine, rules and cache.
        effort: is added to.

    Raises:
        EngineError: the engine cannot be used or broke its contract.
    """
    segmented = {text: segment(text, translator.sentences, translator.max_sentence_characters) for text in sorted(set(texts))}
    waiting = sorted({piece.text for pieces in segmented.values() for piece in pieces if piece.sentence})
    cache = TranslationCache(translator.cache, translator.choice) if translator.cache is not None and waiting else None
    done: dict[str, Translation] = {}
    try:
        work = _Sentences(open_engine(translator.choice), translator.choice, cache, effort or Effort())
        for attempt, form in enumerate(MARK_FORMS):
            masks = {sentence: mask(sentence, form) for sentence in waiting}
            if attempt:
                masks = {sentence: masked for sentence, masked in masks.items() if masked.spans}
            done.update(_restored(masks, work.translated(sorted({masked.text for masked in masks.values()}))))
            waiting = [sentence for sentence in masks if sentence not in done]
    finally:
        if cache is not None:
            cache.close()
    assembled = {text: _assembled(pieces, done) for text, pieces in segmented.items()}
    return [assembled[text] for text in texts]


def _restored(masks: Mapping[str, Masked], translations: Mapping[str, Translation]) -> dict[str, Translation]:
    """Translations by source sentence, protected spans in place; sentences whose spans were lost are missing."""
    found = {}
    for sentence, masked in masks.items():
        translation = translations[masked.text]
        restored = masked.restore(translation.text)
        if restored is not None and (restored.strip() or not sentence.strip()):
            unknown = max(translation.unknown_words - len(masked.spans), 0)  # marks are words that no engine knows
            found[sentence] = Translation(restored, translation.score, translation.truncated, unknown)
    return found


def _assembled(pieces: Sequence[Piece], done: Mapping[str, Translation]) -> TranslatedText:
    parts: list[str] = []
    scores: list[float] = []
    sentences = words = untranslated = lost = truncated = 0
    for piece in pieces:
        if not piece.sentence:
            parts.append(piece.text)
            continue
        count = word_count(piece.text)
        sentences += 1
        words += count
        if piece.text not in done:
            parts.append(piece.text)
            lost += 1
            untranslated += count
            continue
        translation = done[piece.text]
        parts.append(translation.text)
        truncated += translation.truncated
        # One or two words (names, titles) are often the same in both languages.
        untranslated += count if translation.text == piece.text and count > 2 else min(translation.unknown_words, count)
        if translation.score is not None:
            scores.append(translation.score)
    score = sum(scores) / len(scores) if scores else None
    return TranslatedText("".join(parts), sentences, words, untranslated, lost, truncated, score, min(scores, default=None))


def word_count(sentence: str) -> int:
    """Words with a letter, protected spans not counted."""
    masked = mask(sentence)
    return sum(any(character.isalpha() for character in word) for word in masked.form.pattern.sub(" ", masked.text).split())
