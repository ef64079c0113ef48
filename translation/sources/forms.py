"""Forms: rows as they are published become a list of messages, or instruction, context and response.

Chats: UltraChat (``id``, ``data``: alternating strings), message lists (``messages`` of ``role`` and ``content``) and ShareGPT
(``conversations`` of ``from`` and ``value``). Instructions: Dolly (``instruction``, ``context``, ``response``, ``category``), Alpaca
(``instruction``, ``input``, ``output``) and Alpaca prompts (``prompt``, ``answer``). A row in none of them is an error that names it;
whether a row is of any use is not judged here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from translation.errors import SourceError

ROLES = ("system", "user", "assistant")
_SPEAKERS = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}
"""Who speaks in ShareGPT's files, as roles."""
_ALPACA_PROMPT = re.compile(
    r"\ABelow is an instruction that describes a task[^\n]*\n+### Instruction:\n(?P<instruction>.*?)"
    r"(?:\n+### Input:\n(?P<input>.*?))?\n+### Response:\s*\Z",
    re.DOTALL,
)
"""The prompt of stanford_alpaca (README, both forms)."""
_NO_INPUT = frozenset({"<noinput>", "<no input>"})
"""What self-instruct and Alpaca's descendants write where there is no input."""
_END_TOKEN = re.compile(r"(?:\s*###eos_token###\s*|\s*</s>\s*)+\Z")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufeff\ufffe\uffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")

Message = dict[str, str]


@dataclass(frozen=True, slots=True)
class Chat:
    """The messages of a row, none of them checked against the others."""

    messages: tuple[Message, ...]
    source_id: str | None


@dataclass(frozen=True, slots=True)
class Instruction:
    """The texts of a row; ``context`` is empty where there is none."""

    instruction: str
    context: str
    response: str
    category: str | None
    source_id: str | None


def chat_of(row: Mapping[str, Any], place: str) -> Chat:
    """The chat of a row; a list that is null is a chat without messages.

    Raises:
        SourceError: the row has no form of chats; names the place and what the row has.
    """
    key = _first_of(row, "messages", "data", "conversations")
    if key is None:
        raise SourceError(f"{place}: a chat needs 'data' (UltraChat), 'messages' (role, content) or 'conversations' (from, value); it has {_columns(row)}")
    turns = row[key] if row[key] is not None else ()
    if not isinstance(turns, Sequence) or isinstance(turns, str):
        raise SourceError(f"{place}: {key!r} must be a list, and is {type(turns).__name__}")
    if key == "data":
        messages = [{"role": ROLES[1 + index % 2], "content": text_of(turn, place, key)} for index, turn in enumerate(turns)]
    else:
        messages = [_message(turn, place) for turn in turns]
    return Chat(tuple(messages), _identity(row, place, "id", "prompt_id"))


def instruction_of(row: Mapping[str, Any], place: str) -> Instruction:
    """The instruction of a row; texts that are null are empty.

    Raises:
        SourceError: the row has no form of instructions; names the place and what the row has.
    """
    context: Any = ""
    answer = _first_of(row, "response", "output")
    if "instruction" in row and answer is not None:
        instruction, response = text_of(row["instruction"], place, "instruction"), text_of(row[answer], place, answer)
        given = _first_of(row, "context", "input")
        context = "" if given is None else text_of(row[given], place, given)
    elif "prompt" in row and "answer" in row:
        found = _ALPACA_PROMPT.match(text_of(row["prompt"], place, "prompt", strip=False))
        if found is None:
            raise SourceError(f"{place}: 'prompt' is not an Alpaca prompt ('Below is an instruction … ### Instruction: … ### Response:')")
        instruction, context = found["instruction"].strip(), (found["input"] or "").strip()
        response = _END_TOKEN.sub("", text_of(row["answer"], place, "answer"))
    else:
        raise SourceError(
            f"{place}: 'instruction' with 'response' (Dolly) or 'output' (Alpaca), or 'prompt' with 'answer', are needed; it has {_columns(row)}"
        )
    category = row.get("category")
    return Instruction(
        instruction,
        "" if context.lower() in _NO_INPUT else context,
        response,
        None if category is None else text_of(category, place, "category"),
        _identity(row, place, "id"),
    )


def text_of(value: Any, place: str, key: str, *, strip: bool = True) -> str:
    """A text with plain line ends, without control characters, U+FFFD for halves of surrogate pairs; null is empty.

    Raises:
        SourceError: the value is no text.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        raise SourceError(f"{place}: {key!r} must be a text, and is {type(value).__name__}")
    text = value.replace("\r\n", "\n").replace("\r", "\n") if "\r" in value else value
    if not text.isascii() or _CONTROL.search(text):
        text = _SURROGATE.sub("\ufffd", _CONTROL.sub("", text))
    return text.strip() if strip else text


def _message(turn: Any, place: str) -> Message:
    if isinstance(turn, Mapping):
        if turn.get("role") in ROLES and "content" in turn:
            return {"role": turn["role"], "content": text_of(turn["content"], place, "content")}
        if turn.get("from") in _SPEAKERS and "value" in turn:
            return {"role": _SPEAKERS[turn["from"]], "content": text_of(turn["value"], place, "value")}
    raise SourceError(
        f"{place}: each message needs a role of {list(ROLES)} and a content, or a from of {list(_SPEAKERS)} and a value; got {str(turn)[:120]}"
    )


def _first_of(row: Mapping[str, Any], *keys: str) -> str | None:
    """The first key with a value, else the first that is there: in Parquet every row has all keys."""
    return next((key for key in keys if row.get(key) is not None), next((key for key in keys if key in row), None))


def _identity(row: Mapping[str, Any], place: str, *keys: str) -> str | None:
    value = next((row[key] for key in keys if row.get(key) is not None), None)
    return None if value is None else text_of(str(value), place, keys[0])


def _columns(row: Mapping[str, Any]) -> list[str]:
    """Names of the row's values, for messages."""
    return sorted(str(key) for key, value in row.items() if value is not None)[:20]
