"""Gates on rows: signals against thresholds. All reasons are kept, not only the first.

Belongs here: the judgement. Signals are measured in ``signals``; what happens to a judged row is its table's affair.
"""

from __future__ import annotations

from typing import get_args

from translation.settings import GateSettings, Reason
from translation.signals import Signals

REASONS: tuple[Reason, ...] = get_args(Reason)
"""Every reason a row can be rejected for, in the order in which they are reported."""


def failed_gates(signals: Signals, settings: GateSettings, *, translating: bool = True) -> list[str]:
    """The reasons to reject a text, in the order of ``REASONS``; empty means keep.

    Args:
        signals: of one text, or the worst of several.
        settings: the thresholds.
        translating: whether the engine translates; the identity engine is not judged for its language.
    """
    failed = {
        "length_ratio": _outside(signals.length_ratio, settings.min_length_ratio, settings.max_length_ratio),
        "language": translating and _outside(signals.language_score, settings.min_language_score),
        "untranslated": translating and _outside(signals.untranslated_share, 0, settings.max_untranslated_share),
        "source_copy": translating and signals.copied_words > settings.max_copied_words,
        "compression": _outside(signals.compression_ratio, settings.min_compression_ratio),
        "repetition": signals.repetition > settings.max_repetition,
        "numbers": signals.numbers_changed > settings.max_numbers_changed,
        "urls": signals.urls_changed > settings.max_urls_changed,
        "code": signals.code_changed > settings.max_code_changed,
        "placeholders": signals.placeholders_changed > settings.max_placeholders_changed,
        "protected_spans": signals.spans_lost > settings.max_spans_lost,
        "lines": signals.lines_changed > settings.max_lines_changed,
        "paragraphs": signals.paragraphs_changed > settings.max_paragraphs_changed,
        "list_items": signals.list_items_changed > settings.max_list_items_changed,
        "truncated": signals.truncated_sentences > settings.max_truncated_sentences,
        "score": _outside(signals.min_score, settings.min_score),
        "round_trip": _outside(signals.round_trip_chrf, settings.min_round_trip_chrf),
        "answer_left_context": _outside(signals.answer_in_context, settings.min_answer_in_context),
        "input_equals_output": settings.drop_input_equals_output and signals.input_equals_output,
    }
    return [reason for reason in REASONS if failed.get(reason)]


def _outside(value: float | None, low: float, high: float = float("inf")) -> bool:
    return value is not None and not low <= value <= high
