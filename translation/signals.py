"""Signals of a translated text: measured here, judged in ``gates``.

Every signal compares a translation with its source; none drops anything. Texts too short to be measured give None.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from foundation.language.identification import LanguageIdentifier
from translation.segmentation import list_items, prose
from translation.settings import GateSettings
from translation.translate import TranslatedText

COMPRESSION_MIN_BYTES = 200
"""Shorter texts do not compress in a way that says anything (UltraChat-Sinhala, quality report)."""

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Signals:
    """The signals of one text, or the worst of several; see ``tables.SIGNALS``."""

    length_ratio: float | None = None
    language: str | None = None
    language_score: float | None = None
    untranslated_share: float | None = None
    compression_ratio: float | None = None
    repetition: int = 0
    numbers_changed: int = 0
    spans_lost: int = 0
    structure_changed: int = 0
    truncated_sentences: int = 0


def measure(source: str, translated: TranslatedText, identifier: LanguageIdentifier, target: str, settings: GateSettings) -> Signals:
    """The signals of one translated text.

    Args:
        source: the source text.
        translated: its translation, with the engine's account.
        identifier: identifies the language of what is not code.
        target: the identifier's label of the target language.
        settings: the lengths from which a signal means something.
    """
    text = translated.text
    source_prose, target_prose = prose(source).strip(), prose(text).strip()
    long_enough = len(source_prose) >= settings.length_min_characters
    language, score = _language(target_prose, identifier, target) if long_enough and target_prose else (None, None)
    untranslated = translated.untranslated_words / translated.words if translated.words >= settings.untranslated_min_words else None
    return Signals(
        length_ratio=len(target_prose) / len(source_prose) if long_enough else None,
        language=language,
        language_score=score,
        untranslated_share=untranslated,
        compression_ratio=compression_ratio(target_prose),
        repetition=max(0, longest_repetition(target_prose) - longest_repetition(source_prose)),
        numbers_changed=numbers_changed(source, text),
        spans_lost=translated.spans_lost,
        structure_changed=structure_changed(source, text),
        truncated_sentences=translated.truncated,
    )


def worst(signals: Sequence[Signals]) -> Signals:
    """The worst value of each signal over several texts; the language is that of the text with the lowest score."""
    if not signals:
        return Signals()
    ratios = [item.length_ratio for item in signals if item.length_ratio is not None]
    scored = [item for item in signals if item.language_score is not None]
    least = min(scored, key=lambda item: item.language_score or 0.0) if scored else None
    return Signals(
        length_ratio=max(ratios, key=lambda ratio: (max(ratio, 1 / max(ratio, 1e-9)), ratio), default=None),
        language=least.language if least else None,
        language_score=least.language_score if least else None,
        untranslated_share=max((item.untranslated_share for item in signals if item.untranslated_share is not None), default=None),
        compression_ratio=min((item.compression_ratio for item in signals if item.compression_ratio is not None), default=None),
        repetition=max(item.repetition for item in signals),
        numbers_changed=sum(item.numbers_changed for item in signals),
        spans_lost=sum(item.spans_lost for item in signals),
        structure_changed=sum(item.structure_changed for item in signals),
        truncated_sentences=sum(item.truncated_sentences for item in signals),
    )


def compression_ratio(text: str) -> float | None:
    """Size after zlib to size before; a loop compresses far better than prose."""
    data = text.encode()
    return len(zlib.compress(data, 6)) / len(data) if len(data) >= COMPRESSION_MIN_BYTES else None


def longest_repetition(text: str) -> int:
    """How many times in a row one to four words follow themselves, at most; 1 for a text without repetition."""
    words = [word.lower() for word in _WORD.findall(text)]
    longest = min(1, len(words))
    for size in range(1, 5):
        same = 0  # words in a row that equal the one ``size`` places before
        for position in range(size, len(words)):
            same = same + 1 if words[position] == words[position - size] else 0
            longest = max(longest, same // size + 1)
    return longest


def numbers_changed(source: str, translation: str) -> int:
    """Numbers lost plus numbers gained; thousands and decimal marks do not count, as Italian swaps them."""
    before, after = (Counter(re.sub(r"[.,]", "", number) for number in _NUMBER.findall(text)) for text in (source, translation))
    return max(sum((before - after).values()), sum((after - before).values()))


def structure_changed(source: str, translation: str) -> int:
    """Differences in the number of lines, paragraphs and list items."""
    counts = [(text.count("\n"), len(re.findall(r"\n\s*\n", text)), list_items(text)) for text in (source, translation)]
    return sum(abs(before - after) for before, after in zip(*counts, strict=True))


def _language(text: str, identifier: LanguageIdentifier, target: str) -> tuple[str | None, float | None]:
    scores = identifier.scores(text, k=5)
    if not scores:
        return None, None
    return scores[0].label, next((score for label, score in scores if label == target), 0.0)
