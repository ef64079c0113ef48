"""Rows: translated texts become judged chats and instructions.

A chat is cut before the first exchange that fails; an instruction that fails goes to quarantine. Nothing is lost
without a reason that is kept.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from foundation.language.identification import LanguageIdentifier
from translation.contamination import overlapping_benchmarks
from translation.engines.engine import EngineChoice
from translation.gates import REASONS, failed_gates
from translation.settings import ChatsSettings, GateSettings
from translation.signals import Signals, measure, worst
from translation.translate import TEXT_RULES, TranslatedText

if TYPE_CHECKING:
    from foundation.language.overlap import OverlapIndex

Row = dict[str, Any]

NOT_TRANSLATED = "not_translated"
"""Flag of rows that went through the identity engine."""


@dataclass(frozen=True)
class Judge:
    """What rows are judged with."""

    identifier: LanguageIdentifier
    target: str
    index: OverlapIndex
    choice: EngineChoice
    settings: GateSettings

    def signals(self, source: str, translated: TranslatedText) -> Signals:
        """The signals of one text."""
        return measure(source, translated, self.identifier, self.target, self.settings)

    def reasons(self, signals: Signals, overlaps: Sequence[str]) -> list[str]:
        """Why a text is rejected; empty means keep."""
        failed = failed_gates(signals, self.settings, self.target, translating=self.choice.kind != "identity")
        return [*failed, *(["benchmark_overlap"] if overlaps and self.settings.drop_benchmark_overlap else [])]

    def provenance(self, texts: Sequence[TranslatedText], flags: Sequence[str], overlaps: Sequence[str]) -> Row:
        """The provenance columns of a row."""
        scores = [text.score for text in texts if text.score is not None]
        marked = [*flags, *([NOT_TRANSLATED] if self.choice.kind == "identity" else [])]
        return {
            "engine": self.choice.kind,
            "engine_package": self.choice.package,
            "engine_parameters": json.dumps(dict(self.choice.parameters), sort_keys=True),
            "text_rules": TEXT_RULES,
            "score": sum(scores) / len(scores) if scores else None,
            "flags": sorted(set(marked)),
            "benchmark_overlap": list(overlaps),
        }


@dataclass
class Judged:
    """Kept and rejected rows, and how often each reason struck."""

    kept: list[Row] = field(default_factory=list)
    quarantined: list[Row] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    cut: int = 0


def judge_chats(rows: Sequence[Row], translations: Mapping[str, TranslatedText], judge: Judge, settings: ChatsSettings) -> Judged:
    """Kept and quarantined chats, in the order of the rows."""
    result = Judged()
    for row in rows:
        _judge_chat(row, translations, judge, settings, result)
    return result


def _judge_chat(
    row: Row, translations: Mapping[str, TranslatedText], judge: Judge, settings: ChatsSettings, result: Judged
) -> None:
    messages: Sequence[Mapping[str, str]] = row["messages"]
    texts = [translations[message["content"]] for message in messages]
    signals = [judge.signals(message["content"], text) for message, text in zip(messages, texts, strict=True)]
    overlaps = [overlapping_benchmarks([text.text], judge.index) for text in texts]
    failed = [judge.reasons(item, found) for item, found in zip(signals, overlaps, strict=True)]
    first_bad = next((index for index, reasons in enumerate(failed) if reasons), len(messages))
    left = _last_answer(messages, first_bad)
    spoken = sum(message["role"] != "system" for message in messages[:left])
    kept = spoken >= settings.min_messages
    end = left if kept else len(messages)
    flags = ["cut"] if kept and left < len(messages) else []
    base = {
        "id": row["id"],
        "messages": [{"role": m["role"], "content": text.text} for m, text in zip(messages[:end], texts[:end], strict=True)],
        "source_messages": list(messages[:end]),
        **_origin(row),
        **judge.provenance(texts[:end], flags, sorted({name for found in overlaps[:end] for name in found})),
        **asdict(worst(signals[:end])),
    }
    if first_bad < len(messages):
        result.reasons.update(failed[first_bad])
    if kept:
        result.cut += left < len(messages)
        result.kept.append({**base, "messages_cut": len(messages) - left})
    else:
        result.quarantined.append({**base, "reasons": failed[first_bad] if first_bad < len(messages) else ["too_short"]})


def _last_answer(messages: Sequence[Mapping[str, str]], end: int) -> int:
    """Messages before ``end`` up to the last answer among them."""
    while end and messages[end - 1]["role"] != "assistant":
        end -= 1
    return end


FIELDS = ("instruction", "context", "response")


def judge_instructions(rows: Sequence[Row], translations: Mapping[str, TranslatedText], judge: Judge) -> Judged:
    """Kept and quarantined instructions, in the order of the rows."""
    result = Judged()
    for row in rows:
        texts = {name: translations[row[name]] for name in FIELDS}
        signals = worst([judge.signals(row[name], texts[name]) for name in FIELDS if row[name]])
        overlaps = overlapping_benchmarks([text.text for text in texts.values()], judge.index)
        reasons = judge.reasons(signals, overlaps)
        if _correction_lost(row, texts):
            reasons = sorted([*reasons, "input_equals_output"], key=REASONS.index)
        base = {
            "id": row["id"],
            **{name: texts[name].text for name in FIELDS},
            "category": row["category"],
            **{f"source_{name}": row[name] for name in FIELDS},
            **_origin(row),
            **judge.provenance([texts[name] for name in FIELDS if row[name]], _instruction_flags(row, texts), overlaps),
            **asdict(signals),
        }
        result.reasons.update(reasons)
        if reasons:
            result.quarantined.append({**base, "reasons": reasons})
        else:
            result.kept.append(base)
    return result


def _correction_lost(row: Row, texts: Mapping[str, TranslatedText]) -> bool:
    """Engines correct what is wrong on purpose: an editing task whose translated answer equals its input (alpaca-lora, issue 180)."""
    source, answer = row["context"] or row["instruction"], row["response"]
    translated = texts["context"].text if row["context"] else texts["instruction"].text
    return source.strip() != answer.strip() and translated.strip() == texts["response"].text.strip()


def _instruction_flags(row: Row, texts: Mapping[str, TranslatedText]) -> list[str]:
    """``answer_left_context``: an answer quoted from its context no longer is; ``word_puzzle``: a choice between words."""
    flags = []
    quoted = bool(row["context"]) and row["response"].strip(" .") in row["context"]
    if quoted and texts["response"].text.strip(" .") not in texts["context"].text:
        flags.append("answer_left_context")
    if row["category"] == "classification" or (not row["context"] and " or " in row["instruction"] and len(row["response"]) < 30):
        flags.append("word_puzzle")
    return flags


def _origin(row: Row) -> Row:
    return {name: row[name] for name in ("source", "revision", "licence", "source_id")}
