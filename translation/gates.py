"""Gates on rows: signals against thresholds. All reasons are kept, not only the first.

Belongs here: the judgement. Signals are measured in ``signals``; what happens to a judged row is its table's affair.
"""

from __future__ import annotations

from typing import get_args

from translation.settings import GateSettings, Reason
from translation.signals import Signals

REASONS: tuple[Reason, ...] = get_args(Reason)
"""Every reason a row can be rejected for, in the order in which they are reported."""


def failed_gates(signals: Signals, settings: GateSettings, target: str, *, translating: bool = True) -> list[str]:
    """The reasons to reject a text, in the order of ``REASONS``; empty means keep.

    Args:
        signals: of one text, or the worst of several.
        settings: the thresholds.
        target: the identification label of the target language.
        translating: whether the engine translates; the identity engine is not judged for its language.
    """
    failed = {
        "length_ratio": _outside(signals.length_ratio, settings.min_length_ratio, settings.max_length_ratio),
        "language": translating and _wrong_language(signals, settings, target),
        "untranslated": translating and _outside(signals.untranslated_share, 0, settings.max_untranslated_share),
        "compression": _outside(signals.compression_ratio, settings.min_compression_ratio, float("inf")),
        "repetition": signals.repetition > settings.max_repetition,
        "numbers": signals.numbers_changed > settings.max_numbers_changed,
        "protected_spans": signals.spans_lost > settings.max_spans_lost,
        "structure": signals.structure_changed > settings.max_structure_changed,
        "truncated": settings.drop_truncated and signals.truncated_sentences > 0,
    }
    return [reason for reason in REASONS if failed.get(reason)]


def _outside(value: float | None, low: float, high: float) -> bool:
    return value is not None and not low <= value <= high


def _wrong_language(signals: Signals, settings: GateSettings, target: str) -> bool:
    if signals.language_score is None:
        return False
    return signals.language != target and signals.language_score < settings.min_language_score
