"""Rows: translated texts become judged chats and instructions.

A chat is cut before the first exchange that fails; an instruction that fails goes to quarantine. Nothing is lost
without a reason that is kept.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from foundation.language.identification import LanguageIdentifier
from translation.contamination import overlapping_benchmarks
from translation.engines.engine import EngineChoice
from translation.gates import failed_gates
from translation.settings import ChatsSettings, GateSettings
from translation.signals import Signals, answer_equals_input, answer_in_context, measure, worst
from translation.translate import TEXT_RULES, TranslatedText

if TYPE_CHECKING:
    from foundation.language.overlap import OverlapIndex

Row = dict[str, Any]

NOT_TRANSLATED = "not_translated"
"""Flag of rows that went through the identity engine."""
IN_PARTS = "in_parts"
"""Flag of rows with a sentence that was translated in parts, around its protected spans: whole in content, perhaps not in grammar."""
SOURCE_KEPT = "source_kept"
"""Flag of rows with a sentence that stayed in the source language, since the engine lost its protected spans or could not take it."""
TOO_SHORT = "too_short"
"""Why a chat is in quarantine that fails no gate: fewer messages up to its last answer than ``ChatsSettings.min_messages``."""
NO_ANSWER = "no_answer"
"""Why messages behind the last answer are cut where nothing failed."""


@dataclass(frozen=True)
class Judge:
    """What rows are judged with; ``back`` has translations in the source language again, where the profile asks for round trips."""

    identifier: LanguageIdentifier
    target: str
    index: OverlapIndex
    choice: EngineChoice
    settings: GateSettings
    back: Mapping[str, str] = field(default_factory=dict)

    def signals(self, source: str, translated: TranslatedText) -> Signals:
        """The signals of one text."""
        return measure(source, translated, self.identifier, self.target, self.settings, self.back.get(translated.text))

    def reasons(self, signals: Signals, overlaps: Sequence[str]) -> list[str]:
        """Why a text is rejected; empty means keep."""
        failed = failed_gates(signals, self.settings, translating=self.choice.kind != "identity")
        return [*failed, *(["benchmark_overlap"] if overlaps and self.settings.drop_benchmark_overlap else [])]

    def provenance(self, texts: Sequence[TranslatedText], flags: Sequence[str], overlaps: Sequence[str]) -> Row:
        """The provenance columns of a row."""
        scores = [text.score for text in texts if text.score is not None]
        found = {
            NOT_TRANSLATED: self.choice.kind == "identity",
            IN_PARTS: any(text.in_parts for text in texts),
            SOURCE_KEPT: any(text.sentences_kept for text in texts),
        }
        marked = [*flags, *(flag for flag, holds in found.items() if holds)]
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
    """Kept and rejected rows, how often each reason struck, and messages cut from kept chats by the reasons of the one that failed."""

    kept: list[Row] = field(default_factory=list)
    quarantined: list[Row] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    cut: int = 0
    messages_cut: Counter[str] = field(default_factory=Counter)


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
    signals = _message_signals(messages, texts, judge)
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
        **asdict(worst(signals[:end], judge.settings)),
    }
    reasons = failed[first_bad] if first_bad < len(messages) else [] if kept else [TOO_SHORT]
    result.reasons.update(reasons)
    if kept:
        cut = len(messages) - left
        why = (reasons or [NO_ANSWER]) if cut else []
        result.cut += cut > 0
        result.messages_cut.update(dict.fromkeys(why, cut))
        result.kept.append({**base, "messages_cut": cut, "cut_reasons": why})
    else:
        result.quarantined.append({**base, "reasons": reasons})


def _message_signals(messages: Sequence[Mapping[str, str]], texts: Sequence[TranslatedText], judge: Judge) -> list[Signals]:
    found = [judge.signals(message["content"], text) for message, text in zip(messages, texts, strict=True)]
    for index in range(1, len(messages)):
        if messages[index]["role"] == "assistant":
            same = answer_equals_input(messages[index - 1]["content"], messages[index]["content"], texts[index - 1].text, texts[index].text)
            found[index] = replace(found[index], input_equals_output=same)
    return found


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
        signals = _instruction_signals(row, texts, judge)
        overlaps = overlapping_benchmarks([text.text for text in texts.values()], judge.index)
        reasons = judge.reasons(signals, overlaps)
        base = {
            "id": row["id"],
            **{name: texts[name].text for name in FIELDS},
            "category": row["category"],
            **{f"source_{name}": row[name] for name in FIELDS},
            **_origin(row),
            **judge.provenance([texts[name] for name in FIELDS if row[name]], [], overlaps),
            **asdict(signals),
        }
        result.reasons.update(reasons)
        if reasons:
            result.quarantined.append({**base, "reasons": reasons})
        else:
            result.kept.append(base)
    return result


def _instruction_signals(row: Row, texts: Mapping[str, TranslatedText], judge: Judge) -> Signals:
    given = "context" if row["context"] else "instruction"
    return replace(
        worst([judge.signals(row[name], texts[name]) for name in FIELDS if row[name]], judge.settings),
        answer_in_context=answer_in_context(row["context"], row["response"], texts["context"].text, texts["response"].text),
        input_equals_output=answer_equals_input(row[given], row["response"], texts[given].text, texts["response"].text),
    )


def _origin(row: Row) -> Row:
    return {name: row[name] for name in ("source", "revision", "licence", "source_id")}
