"""Outcomes: what becomes of one row: kept, perhaps mended or cut; set aside as bound to its language; or left out, with the reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from translation.sources.cleaning import Cleaner
from translation.sources.forms import Chat, Instruction, Message
from translation.sources.tasks import FoundTask

Content = dict[str, Any]
"""The columns that a row's id is made of."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A row to translate. ``more``: columns beside its content: what was changed, and what was cut off."""

    content: Content
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SetAside:
    """A row whose task has no answer in another language."""

    content: Content
    task: FoundTask


@dataclass(frozen=True, slots=True)
class Dropped:
    """A row of no use."""

    reason: str


Outcome = Kept | SetAside | Dropped


def chat_outcome(chat: Chat, cleaner: Cleaner, max_characters: int | None) -> Outcome:
    """What becomes of a chat.

    A question without an answer at its end is left out. Where an exchange is faulty (``no`` alternating roles, an empty message, too long,
    broken characters, a refusal) or a task bound to its language, the chat is cut before it; where that is the first one, or cutting is
    switched off, the chat is dropped or set aside.
    """
    changes: Counter[str] = Counter()
    messages = list(chat.messages)
    while messages and messages[-1]["role"] != "assistant":
        messages.pop()  # it teaches nothing
        changes["unanswered_question"] += 1
    if not any(message["role"] == "user" for message in messages):
        return Dropped("no_exchange")
    begin = 1 if messages[0]["role"] == "system" else 0
    kept = _system(messages[:begin], cleaner, changes)
    if any(cleaner.fault(message["content"]) for message in kept):
        return Dropped("mojibake")
    characters, end, stop = sum(len(message["content"]) for message in kept), begin, None
    while end < len(messages) and stop is None:
        exchange = messages[end : end + 2]
        characters += sum(len(message["content"]) for message in exchange)
        too_long = max_characters is not None and characters > max_characters
        stop = _fault(exchange, cleaner) or ("too_long" if too_long else None) or cleaner.task(exchange[0]["content"])
        if stop is None:
            kept += [{**message, "content": cleaner.truecased(message["content"], changes)} for message in exchange]
            end += 2
    if stop is not None and (end == begin or not cleaner.settings.cut_chats):
        return Dropped(stop) if isinstance(stop, str) else SetAside(_chat_content(messages, chat), stop)
    before = stop if stop is None or isinstance(stop, str) else stop.kind
    more = {"changes": sorted(changes), "messages_cut": len(chat.messages) - end, "cut_before": before}
    return Kept(_chat_content(kept, chat), more)


def _system(messages: Sequence[Message], cleaner: Cleaner, changes: Counter[str]) -> list[Message]:
    """The system message, where it says anything."""
    if messages and not messages[0]["content"]:
        changes["empty_system_message"] += 1
        return []
    return [{**message, "content": cleaner.truecased(message["content"], changes)} for message in messages]


def _fault(exchange: Sequence[Message], cleaner: Cleaner) -> str | None:
    """Why an exchange, a question and its answer, cannot be used."""
    if [message["role"] for message in exchange] != ["user", "assistant"]:
        return "roles_do_not_alternate"
    if not all(message["content"] for message in exchange):
        return "empty_message"
    fault = next((fault for message in exchange if (fault := cleaner.fault(message["content"]))), None)
    return fault or ("refusal" if cleaner.refuses(exchange[1]["content"]) else None)


def _chat_content(messages: Sequence[Message], chat: Chat) -> Content:
    return {"messages": list(messages), "source_id": chat.source_id}


def instruction_outcome(row: Instruction, cleaner: Cleaner, max_characters: int | None) -> Outcome:
    """What becomes of an instruction."""
    changes: Counter[str] = Counter()
    context = cleaner.without_citation_marks(row.context, changes)
    response = cleaner.without_citation_marks(row.response, changes)
    if not row.instruction or not response:
        return Dropped("empty_response" if row.instruction else "empty_instruction")
    if max_characters is not None and len(row.instruction) + len(context) + len(response) > max_characters:
        return Dropped("too_long")
    if fault := next((fault for text in (row.instruction, context, response) if (fault := cleaner.fault(text))), None):
        return Dropped(fault)
    if cleaner.refuses(response):
        return Dropped("refusal")
    task = cleaner.task(row.instruction)
    instruction = cleaner.truecased(row.instruction, changes)
    if not (context and response.rstrip(".") in context):  # an answer that is quoted stays a quotation
        response = cleaner.truecased(response, changes)
    content = {"instruction": instruction, "context": context, "response": response, "category": row.category, "source_id": row.source_id}
    return SetAside(content, task) if task else Kept(content, {"changes": sorted(changes)})
