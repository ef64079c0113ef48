"""Signals of a translated text: measured here, judged in ``gates``.

Every signal compares a translation with its source; none drops anything. Texts too short to be measured give None.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields

from foundation.language.identification import LanguageIdentifier
from translation.numbers import numbers_changed
from translation.outline import Outline, outline
from translation.settings import GateSettings
from translation.spans import SpanKind
from translation.translate import TranslatedText

COMPRESSION_MIN_BYTES = 200
"""Shorter texts do not compress in a way that says anything (UltraChat-Sinhala, quality report)."""
ADDRESSES: frozenset[SpanKind] = frozenset({"url", "email"})
CODE: frozenset[SpanKind] = frozenset({"code", "math", "name", "html"})
PLACEHOLDERS: frozenset[SpanKind] = frozenset({"placeholder", "mark"})

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Signals:
    """The signals of one text, or the worst of several; see ``tables.SIGNALS``, which are their columns."""

    length_ratio: float | None = None
    language: str | None = None
    language_score: float | None = None
    untranslated_share: float | None = None
    copied_words: int = 0
    compression_ratio: float | None = None
    repetition: int = 0
    numbers_changed: int = 0
    urls_changed: int = 0
    code_changed: int = 0
    placeholders_changed: int = 0
    spans_lost: int = 0
    lines_changed: int = 0
    paragraphs_changed: int = 0
    list_items_changed: int = 0
    truncated_sentences: int = 0
    min_score: float | None = None
    round_trip_chrf: float | None = None
    answer_in_context: float | None = None
    input_equals_output: bool = False


def measure(
    source: str, translated: TranslatedText, identifier: LanguageIdentifier, target: str, settings: GateSettings, back: str | None = None
) -> Signals:
    """The signals of one translated text.

    Args:
        source: the source text.
        translated: its translation, with the engine's account.
        identifier: identifies the language of what is not code.
        target: the identifier's label of the target language.
        settings: the lengths from which a signal means something.
        back: the translation in the source language again, where there is one.
    """
    before, after = outline(source), outline(translated.text)
    source_prose, target_prose = before.prose.strip(), after.prose.strip()
    long_enough = len(source_prose) >= settings.length_min_characters
    language, score = _language(target_prose, identifier, target) if long_enough and target_prose else (None, None)
    return Signals(
        length_ratio=len(target_prose) / len(source_prose) if long_enough else None,
        language=language,
        language_score=score,
        untranslated_share=translated.untranslated_words / translated.words if translated.words >= settings.untranslated_min_words else None,
        copied_words=translated.copied_words,
        compression_ratio=compression_ratio(target_prose),
        repetition=max(0, longest_repetition(target_prose) - longest_repetition(source_prose)),
        numbers_changed=numbers_changed(source, translated.text, settings.small_numbers),
        urls_changed=spans_changed(before, after, ADDRESSES),
        code_changed=spans_changed(before, after, CODE),
        placeholders_changed=spans_changed(before, after, PLACEHOLDERS),
        spans_lost=translated.spans_lost,
        lines_changed=abs(before.lines - after.lines),
        paragraphs_changed=abs(before.paragraphs - after.paragraphs),
        list_items_changed=abs(before.list_items - after.list_items),
        truncated_sentences=translated.truncated,
        min_score=translated.min_score,
        round_trip_chrf=chrf(back, source_prose) if back is not None and long_enough else None,
    )


def worst(signals: Sequence[Signals], settings: GateSettings) -> Signals:
    """The worst value of each signal over several texts: it fails a gate where one of them does. The language is that of the text with the lowest score."""
    if not signals:
        return Signals()
    values = {field.name: [value for item in signals if (value := getattr(item, field.name)) is not None] for field in fields(Signals)}
    found = {name: _WORST[name](of_all) if of_all else None for name, of_all in values.items() if name in _WORST}
    ratios = values["length_ratio"]
    scored = [item for item in signals if item.language_score is not None]
    return Signals(**found, length_ratio=_farthest(ratios, settings) if ratios else None, language=min(scored, key=lambda item: item.language_score or 0.0).language if scored else None)  # type: ignore[arg-type]


def _farthest(ratios: Sequence[float], settings: GateSettings) -> float:
    """The ratio that is nearest to its threshold, or furthest beyond it: the two are not each other's inverse."""
    return max(ratios, key=lambda ratio: (max(ratio / settings.max_length_ratio, settings.min_length_ratio / max(ratio, 1e-9)), ratio))


_WORST: dict[str, Callable[..., float | None]] = {
    **dict.fromkeys(("language_score", "compression_ratio", "min_score", "round_trip_chrf", "answer_in_context"), min),
    **dict.fromkeys(("untranslated_share", "copied_words", "repetition", "input_equals_output"), max),
    **dict.fromkeys(("numbers_changed", "urls_changed", "code_changed", "placeholders_changed", "spans_lost"), sum),
    **dict.fromkeys(("lines_changed", "paragraphs_changed", "list_items_changed", "truncated_sentences"), sum),
}
"""What the worst of several values is."""


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


def spans_changed(before: Outline, after: Outline, kinds: Collection[SpanKind]) -> int:
    """Spans of these kinds that were lost or that were gained, whichever are more; compared as exact multisets."""
    lost, gained = ((one.spans - other.spans) for one, other in ((before, after), (after, before)))
    return max(sum(count for (kind, _), count in changed.items() if kind in kinds) for changed in (lost, gained))


def answer_in_context(source_context: str, source_answer: str, context: str, answer: str) -> float | None:
    """Share of the words of a translated answer that the translated context holds; None where the source's is no quotation of its context.

    Words, not the whole answer: translated apart, an answer has other articles than in its sentence.
    """
    quoted = source_answer.strip(" .").lower()
    if not quoted or not re.search(rf"(?<!\w){re.escape(quoted)}(?!\w)", source_context.lower()):
        return None
    words = [word.lower() for word in _WORD.findall(answer)]
    held = {word.lower() for word in _WORD.findall(context)}
    return sum(word in held for word in words) / len(words) if words else 0.0


def answer_equals_input(source_input: str, source_answer: str, translated_input: str, translated_answer: str) -> bool:
    """Engines correct what is wrong on purpose: an answer that differs from its input in the source only (alpaca-lora, issue 180)."""
    return source_input.strip() != source_answer.strip() and translated_input.strip() == translated_answer.strip()


def chrf(back: str, source: str) -> float:
    """chrF of a round trip's prose against the source's, 0 to 100 (sacrebleu; Popović 2015)."""
    from sacrebleu.metrics import CHRF

    return float(CHRF().sentence_score(outline(back).prose.strip(), [source]).score)


def _language(text: str, identifier: LanguageIdentifier, target: str) -> tuple[str | None, float | None]:
    scores = identifier.scores(text, k=5)
    if not scores:
        return None, None
    return scores[0].label, next((score for label, score in scores if label == target), 0.0)
