"""Translation of whole texts: segments of all texts → unique sentences → batches → reassembly.

A sentence that occurs many times is translated once. Batches depend on nothing but the set of sentences; those that the cache knows
are not translated again. Sentences whose protected spans come back in no attempt stay as they were, and are counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from foundation.language.sentences import SPLITTER_VERSION, SentenceSettings
from translation.attempts import Attempt, Fitted, attempts, fitted
from translation.batches import Effort, SentenceTranslator
from translation.cache import TranslationCache
from translation.engines.choice import open_engine
from translation.engines.engine import EngineChoice
from translation.protection import PROTECTOR_VERSION, unprotected
from translation.quantities import with_marks
from translation.segmentation import SEGMENTER_VERSION, Piece, segment
from translation.settings import NumberMarks

TEXT_RULES = f"sentences {SPLITTER_VERSION}, segmentation {SEGMENTER_VERSION}, protection {PROTECTOR_VERSION}"
"""Versions of what decides which sentences reach an engine."""


@dataclass(frozen=True)
class TranslatedText:
    """A translated text and what the engine said of its sentences.

    ``words`` are words of translated sentences; ``untranslated_words`` those that the engine did not know or that stand
    in sentences left as they were. ``spans_lost``: sentences kept in the source language for a lost protected span or
    an empty output. ``in_parts``: sentences translated in parts, around their spans. ``copied_words``: words of the longest sentence that the engine gave back unchanged. ``truncated``: sentences cut at the engine's
    limit, or left as they were for being longer than it takes. ``score``: mean of the engine's scores, ``min_score`` the lowest;
    None where it has none. ``sentences_kept``: sentences that no attempt translated.
    """

    text: str
    sentences: int = 0
    words: int = 0
    untranslated_words: int = 0
    spans_lost: int = 0
    in_parts: int = 0
    truncated: int = 0
    copied_words: int = 0
    score: float | None = None
    min_score: float | None = None
    sentences_kept: int = 0


@dataclass(frozen=True)
class Translator:
    """How texts are translated: the engine, the rules of segmentation, where translations are kept (None: nowhere), the marks of quantities."""

    choice: EngineChoice
    sentences: SentenceSettings
    max_sentence_characters: int = 600
    cache: Path | None = None
    max_sentence_tokens: int = 180
    quantities: NumberMarks = field(default_factory=NumberMarks)


def translate_texts(texts: Sequence[str], translator: Translator, effort: Effort | None = None) -> list[TranslatedText]:
    """Translate texts, in order.

    Args:
        texts: whole texts; Markdown is understood.
        translator: engine, rules and cache.
        effort: is added to.

    Raises:
        EngineError: the engine cannot be used or broke its contract.
    """
    segmented = {text: segment(with_marks(text, translator.quantities), translator.sentences, translator.max_sentence_characters) for text in sorted(set(texts))}
    sentences = {piece for pieces in segmented.values() for piece in pieces if piece.sentence}
    cache = TranslationCache(translator.cache, translator.choice) if translator.cache is not None and sentences else None
    try:
        engine = SentenceTranslator(open_engine(translator.choice), translator.choice, cache, effort or Effort())
        fit = fitted(sentences, engine, translator.max_sentence_tokens)
        parts = {part for found in fit.shorter.values() for part in found if part.sentence}
        done = attempts(((sentences - fit.shorter.keys()) | parts) - fit.too_long, engine)
    finally:
        if cache is not None:
            cache.close()
    assembled = {text: _assembled(pieces, fit, done) for text, pieces in segmented.items()}
    return [assembled[text] for text in texts]


@dataclass
class _Sum:
    """What is said of the sentences of a text, as they are put together."""

    parts: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    sentences: int = 0
    words: int = 0
    untranslated: int = 0
    lost: int = 0
    in_parts: int = 0
    truncated: int = 0
    copied_words: int = 0
    kept: int = 0

    def keep(self, piece: Piece) -> None:
        """A sentence stays in its language."""
        count = self._count(piece)
        self.parts.append(piece.text)
        self.untranslated += count
        self.kept += 1

    def _count(self, piece: Piece) -> int:
        count = word_count(piece)
        self.sentences += 1
        self.words += count
        return count

    def add(self, piece: Piece, attempt: Attempt) -> None:
        """A sentence is translated."""
        count = self._count(piece)
        translation = attempt.translation
        self.parts.append(translation.text)
        self.in_parts += attempt.in_parts
        self.truncated += translation.truncated
        if translation.text == piece.text:
            self.copied_words = max(self.copied_words, count)
        # One or two words (names, titles) are often the same in both languages.
        self.untranslated += count if translation.text == piece.text and count > 2 else min(translation.unknown_words, count)
        if translation.score is not None:
            self.scores.append(translation.score)


def _assembled(pieces: Sequence[Piece], fit: Fitted, done: Mapping[Piece, Attempt]) -> TranslatedText:
    total = _Sum()
    for part in (part for piece in pieces for part in fit.shorter.get(piece, (piece,))):
        if not part.sentence:
            total.parts.append(part.text)
        elif part in done:
            total.add(part, done[part])
        else:
            total.keep(part)
            total.truncated += part in fit.too_long
            total.lost += part not in fit.too_long
    scores = total.scores
    score = sum(scores) / len(scores) if scores else None
    return TranslatedText(
        text="".join(total.parts),
        sentences=total.sentences,
        words=total.words,
        untranslated_words=total.untranslated,
        spans_lost=total.lost,
        in_parts=total.in_parts,
        truncated=total.truncated,
        copied_words=total.copied_words,
        score=score,
        sentences_kept=total.kept,
        min_score=min(scores, default=None),
    )


def word_count(piece: Piece) -> int:
    """Words with a letter, protected spans not counted."""
    parts = (piece.text[start:end] for start, end in unprotected(piece.text, piece.spans))
    return sum(any(character.isalpha() for character in word) for part in parts for word in part.split())
