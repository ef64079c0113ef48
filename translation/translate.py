"""Translation of whole texts: segments of all texts → unique sentences → shards → reassembly.

A sentence that occurs many times is translated once. Sentences go to the engine sorted, in shards that depend on
nothing but the set of sentences, so that what they run on changes nothing. Sentences whose protected spans did not
come back are tried once more with another form of mark; then the source sentence stays, and is counted.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from foundation.execution import Engine, run_shards
from foundation.language.sentences import SPLITTER_VERSION, SentenceSettings
from translation.engines.choice import open_engine
from translation.engines.engine import EngineChoice, Translation
from translation.errors import EngineError
from translation.protection import MARK_FORMS, PROTECTOR_VERSION, MarkForm, mask
from translation.segmentation import SEGMENTER_VERSION, Piece, segment

TEXT_RULES = f"sentences {SPLITTER_VERSION}, segmentation {SEGMENTER_VERSION}, protection {PROTECTOR_VERSION}"
"""Versions of what decides which sentences reach an engine."""


@dataclass(frozen=True)
class TranslatedText:
    """A translated text and what the engine said of its sentences.

    ``words`` are words of translated sentences; ``untranslated_words`` those that the engine did not know or that stand
    in sentences left as they were. ``spans_lost``: sentences kept in the source language for a lost protected span or
    an empty output. ``score``: mean of the engine's scores, None where it has none.
    """

    text: str
    sentences: int = 0
    words: int = 0
    untranslated_words: int = 0
    spans_lost: int = 0
    truncated: int = 0
    score: float | None = None


@dataclass(frozen=True)
class TranslationRun:
    """How texts are translated: the translator, the rules of segmentation, and what the shards run on."""

    choice: EngineChoice
    sentences: SentenceSettings
    max_sentence_characters: int = 600
    shard_sentences: int = 500
    engine: Engine = field(default_factory=Engine)


def translate_texts(texts: Sequence[str], run: TranslationRun, work: Path, label: str = "translation") -> list[TranslatedText]:
    """Translate texts, in order; finished shards in ``work`` are not done again.

    Raises:
        EngineError: the engine cannot be used or broke its contract.
    """
    distinct = sorted(set(texts))
    segmented = {text: segment(text, run.sentences, run.max_sentence_characters) for text in distinct}
    waiting = sorted({piece.text for pieces in segmented.values() for piece in pieces if piece.sentence})
    done: dict[str, Translation] = {}
    for attempt, form in enumerate(MARK_FORMS):
        waiting = [sentence for sentence in waiting if attempt == 0 or mask(sentence, form).spans]
        found = _translate_unique(waiting, form, run, work, f"{label}-{attempt}")
        done.update(found)
        waiting = [sentence for sentence in waiting if sentence not in found]
    assembled = {text: _assembled(pieces, done) for text, pieces in segmented.items()}
    return [assembled[text] for text in texts]


def _translate_unique(
    sentences: Sequence[str], form: MarkForm, run: TranslationRun, work: Path, name: str
) -> dict[str, Translation]:
    """Restored translations by source sentence; sentences whose spans were lost are missing."""
    import polars as pl

    if not sentences:
        return {}
    masks = {sentence: mask(sentence, form) for sentence in sentences}
    unique = sorted({masked.text for masked in masks.values()})
    shards = [unique[start : start + run.shard_sentences] for start in range(0, len(unique), run.shard_sentences)]
    outputs = run_shards(
        functools.partial(translate_shard, choice=run.choice), shards, work, name, engine=run.engine, label=f"{run.choice.kind}: {name}"
    )
    translations: dict[str, Translation] = {}
    for shard, output in zip(shards, outputs, strict=True):
        rows = pl.read_parquet(output).iter_rows()
        translations.update({text: Translation(*row) for text, row in zip(shard, rows, strict=True)})
    found = {}
    for sentence, masked in masks.items():
        translation = translations[masked.text]
        restored = masked.restore(translation.text)
        if restored is not None and (restored.strip() or not sentence.strip()):
            unknown = max(translation.unknown_words - len(masked.spans), 0)  # marks are words that no engine knows
            found[sentence] = Translation(restored, translation.score, translation.truncated, unknown)
    return found


def translate_shard(sentences: Sequence[str], output: Path, *, choice: EngineChoice) -> None:
    """Translate one shard and write it as Parquet, in the shard's order.

    Raises:
        EngineError: the engine gave another number of sentences than it got.
    """
    import polars as pl

    translations = open_engine(choice).translate(sentences)
    if len(translations) != len(sentences):
        raise EngineError(f"{choice.package} gave {len(translations)} translations for {len(sentences)} sentences")
    frame = pl.DataFrame(
        {
            "text": [" ".join(translation.text.split("\n")).strip() for translation in translations],
            "score": [translation.score for translation in translations],
            "truncated": [translation.truncated for translation in translations],
            "unknown_words": [translation.unknown_words for translation in translations],
        },
        schema={"text": pl.String, "score": pl.Float64, "truncated": pl.Boolean, "unknown_words": pl.Int64},
    )
    frame.write_parquet(output)


def _assembled(pieces: Sequence[Piece], done: dict[str, Translation]) -> TranslatedText:
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
    return TranslatedText("".join(parts), sentences, words, untranslated, lost, truncated, score)


def word_count(sentence: str) -> int:
    """Words with a letter, protected spans not counted."""
    masked = mask(sentence)
    return sum(any(character.isalpha() for character in word) for word in masked.form.pattern.sub(" ", masked.text).split())
