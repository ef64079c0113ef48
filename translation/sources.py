"""Sources: English chats and instructions read from files in the forms they are published in.

Chats: UltraChat (``id``, ``data``: alternating strings) and message lists (``messages`` of role and content, as in
ultrachat_200k). Instructions: Dolly (``instruction``, ``context``, ``response``, ``category``) and Alpaca prompts
(``prompt``, ``answer``). A row in none of these forms is an error that names it; a row of no use is dropped and counted.
"""

from __future__ import annotations

import gzip
import hashlib
import heapq
import json
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from foundation.settings import file_sha256
from foundation.sources.data import DataFolder
from translation.errors import SourceError
from translation.settings import SourceFiles, SourcesSettings

logger = logging.getLogger(__name__)

Row = dict[str, Any]

_ALPACA = re.compile(
    r"\ABelow is an instruction that describes a task[^\n]*\n+### Instruction:\n(?P<instruction>.*?)"
    r"(?:\n+### Input:\n(?P<input>.*?))?\n+### Response:\s*\Z",
    re.DOTALL,
)
"""The prompt of stanford_alpaca (README, both forms)."""
_END_TOKEN = re.compile(r"(?:\s*###eos_token###\s*|\s*</s>\s*)+\Z")
_CITATION = re.compile(r"\[\d{1,3}\]")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufeff\ufffe\uffff]")
_ROLES = ("system", "user", "assistant")


@dataclass(frozen=True)
class SourceRows:
    """Rows in the order of their ids, and what became of the others."""

    rows: list[Row]
    dropped: Counter[str]
    read: int
    origin: str
    by_source: Counter[str] = field(default_factory=Counter)


def source_files(settings: SourcesSettings, data: DataFolder, kind: str) -> list[tuple[SourceFiles, Path]]:
    """The files of a kind (``chats`` or ``instructions``): the user's, or the bundled sample where there are none."""
    wanted: Sequence[SourceFiles] = settings.chats if kind == "chats" else settings.instructions
    found = [(source, path) for source in wanted for path in data.find(source.files)]
    if found:
        return found
    if data.root is not None:
        logger.warning("%s holds none of %s; the bundled samples are read", data.root, [source.files for source in wanted])
    sample = settings.sample_chats if kind == "chats" else settings.sample_instructions
    paths = sorted(path for path in data.samples.glob(sample.files) if path.is_file())
    if not paths:
        raise SourceError(f"no {kind}: neither {[source.files for source in wanted]} in the data folder nor samples/{sample.files}")
    return [(sample, path) for path in paths]


def read_chats(settings: SourcesSettings, data: DataFolder, seed: int) -> SourceRows:
    """All chats of the settings' files, checked, and drawn where ``max_chats`` says so.

    Raises:
        SourceError: a row has another form; nothing is guessed.
    """
    return _read(settings, data, "chats", seed, settings.max_chats, lambda row, place: _chat(row, place, settings))


def read_instructions(settings: SourcesSettings, data: DataFolder, seed: int) -> SourceRows:
    """All instructions of the settings' files, checked, and drawn where ``max_instructions`` says so.

    Raises:
        SourceError: a row has another form; nothing is guessed.
    """
    return _read(settings, data, "instructions", seed, settings.max_instructions, lambda row, place: _instruction(row, place, settings))


def _read(
    settings: SourcesSettings,
    data: DataFolder,
    kind: str,
    seed: int,
    maximum: int | None,
    form: Callable[[Mapping[str, Any], str], Row | str],
) -> SourceRows:
    """Rows by id; ``form`` gives a row's content, or the reason to drop it."""
    rows: dict[str, Row] = {}
    dropped: Counter[str] = Counter()
    read = 0
    files = source_files(settings, data, kind)
    for source, path in files:
        revision = source.revision or file_sha256(path)[:16]
        for place, raw in _rows_of(path, data.relative(path)):
            read += 1
            content = form(raw, place)
            if isinstance(content, str):
                dropped[content] += 1
                continue
            identity = hashlib.sha256(json.dumps({**content, "source_id": None}, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
            row_id = f"{source.name}-{identity[:20]}"
            if row_id in rows:
                dropped["repeated"] += 1
                continue
            rows[row_id] = {"id": row_id, **content, "source": source.name, "revision": revision, "licence": source.licence}
    chosen = _drawn(rows, maximum, seed)
    if len(chosen) < len(rows):
        dropped["not_drawn"] = len(rows) - len(chosen)
    if not chosen:
        raise SourceError(f"no usable {kind} in {[data.relative(path) for _, path in files]}; dropped: {dict(dropped)}")
    origin = "samples" if files[0][0] in (settings.sample_chats, settings.sample_instructions) else "user"
    kept = [rows[row_id] for row_id in sorted(chosen)]
    return SourceRows(kept, dropped, read, origin, Counter(row["source"] for row in kept))


def _drawn(rows: Mapping[str, Row], maximum: int | None, seed: int) -> list[str]:
    if maximum is None or maximum >= len(rows):
        return list(rows)
    return heapq.nsmallest(maximum, rows, key=lambda row_id: (hashlib.sha256(f"{seed}:{row_id}".encode()).digest(), row_id))


def _rows_of(path: Path, name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Rows of a file with their place, for messages."""
    if path.suffix == ".parquet":
        import polars as pl

        try:
            frame = pl.read_parquet(path)
        except Exception as error:
            raise SourceError(f"{name} is not a whole Parquet file ({error})") from error
        for index, row in enumerate(frame.iter_rows(named=True)):
            yield f"{name}, row {index}", row
        return
    if not path.name.endswith((".jsonl", ".jsonl.gz")):
        raise SourceError(f"{name}: .jsonl, .jsonl.gz or .parquet is expected")
    number = 0
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as stream:
        try:
            for number, line in enumerate(stream, start=1):
                if line.strip():
                    row = json.loads(line)
                    if not isinstance(row, dict):
                        raise SourceError(f"{name}, line {number}: a JSON object is expected, not {type(row).__name__}")
                    yield f"{name}, line {number}", row
        except json.JSONDecodeError as error:
            raise SourceError(f"{name}, line {number} is not JSON ({error.msg}); one object per line is expected") from error
        except (UnicodeDecodeError, EOFError, gzip.BadGzipFile) as error:
            raise SourceError(f"{name} cannot be read after line {number} ({error}); UTF-8 is expected, and a whole file") from error


def _chat(row: Mapping[str, Any], place: str, settings: SourcesSettings) -> Row | str:
    if isinstance(row.get("data"), list):
        messages = [{"role": _ROLES[1 + index % 2], "content": _text(turn, place, "data")} for index, turn in enumerate(row["data"])]
    elif isinstance(row.get("messages"), list):
        messages = [_message(message, place) for message in row["messages"]]
    else:
        raise SourceError(f"{place}: a chat needs 'data' (UltraChat) or 'messages' (role, content); it has {sorted(row)}")
    while messages and messages[-1]["role"] != "assistant":
        messages.pop()  # a question without an answer teaches nothing
    if not any(message["role"] == "user" for message in messages):
        return "no_exchange"
    if not all(message["content"] for message in messages):
        return "empty_message"
    spoken = [message["role"] for message in messages if message["role"] != "system"]
    if any(role != _ROLES[1 + index % 2] for index, role in enumerate(spoken)) or any(m["role"] == "system" for m in messages[1:]):
        return "roles_do_not_alternate"
    if sum(len(message["content"]) for message in messages) > settings.max_characters:
        return "too_long"
    answers = " ".join(message["content"] for message in messages if message["role"] == "assistant").lower()
    if any(phrase.lower() in answers for phrase in settings.drop_phrases):
        return "drop_phrase"
    identity = row.get("id", row.get("prompt_id"))
    return {"messages": messages, "source_id": None if identity is None else str(identity)}


def _message(message: Any, place: str) -> dict[str, str]:
    if not isinstance(message, Mapping) or message.get("role") not in _ROLES:
        raise SourceError(f"{place}: each message needs a role of {list(_ROLES)} and a content; got {str(message)[:120]}")
    return {"role": message["role"], "content": _text(message.get("content"), place, "content")}


def _instruction(row: Mapping[str, Any], place: str, settings: SourcesSettings) -> Row | str:
    if "instruction" in row and "response" in row:
        instruction, response = _text(row["instruction"], place, "instruction"), _text(row["response"], place, "response")
        context = _text(row.get("context") or "", place, "context")
    elif "prompt" in row and "answer" in row:
        found = _ALPACA.match(_text(row["prompt"], place, "prompt", strip=False))
        if found is None:
            raise SourceError(f"{place}: 'prompt' is not an Alpaca prompt ('Below is an instruction … ### Instruction: … ### Response:')")
        instruction, context = found["instruction"].strip(), (found["input"] or "").strip()
        response = _END_TOKEN.sub("", _text(row["answer"], place, "answer"))
    else:
        raise SourceError(f"{place}: 'instruction' and 'response' (Dolly) or 'prompt' and 'answer' (Alpaca) are needed; it has {sorted(row)}")
    if settings.remove_citation_marks:
        context, response = _CITATION.sub("", context).strip(), _CITATION.sub("", response).strip()
    if not instruction or not response:
        return "empty_instruction" if not instruction else "empty_response"
    if len(instruction) + len(context) + len(response) > settings.max_characters:
        return "too_long"
    category = row.get("category")
    return {
        "instruction": instruction,
        "context": context,
        "response": response,
        "category": None if category is None else _text(category, place, "category"),
        "source_id": None if row.get("id") is None else str(row["id"]),
    }


def _text(value: Any, place: str, key: str, *, strip: bool = True) -> str:
    """A text with plain line ends and no control characters."""
    if not isinstance(value, str):
        raise SourceError(f"{place}: {key!r} must be a text, and is {type(value).__name__}")
    text = _CONTROL.sub("", value.replace("\r\n", "\n").replace("\r", "\n"))
    return text.strip() if strip else text
