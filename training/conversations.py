"""Instructions and chats as token ids with a mask of targets: the answers and their end tokens, nothing else."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from foundation.language.prompts import render_instruction
from foundation.language.settings import TemplateSettings
from training.errors import TrainingError
from training.packing import Row, pack_whole
from training.templates import Message, answer_spans

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Example = tuple[list[int], list[bool]]


@dataclass
class Examples:
    """Encoded examples in order, and how many rows were left out, by reason."""

    items: list[Example] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)

    @property
    def targets(self) -> int:
        """Tokens that are predicted."""
        return sum(sum(wanted) for _, wanted in self.items)

    def packed(self, row_tokens: int) -> list[Row]:
        """The examples in rows.

        Raises:
            TrainingError: none is left.
        """
        if not self.items:
            raise TrainingError(f"no example is left to train on; left out, by reason: {dict(self.dropped)}")
        return list(pack_whole(self.items, row_tokens))


def seeded_order(identifiers: Iterable[str], seed: int) -> list[str]:
    """Identifiers in an order that depends on each of them and the seed alone: sha256 of ``seed:identifier``."""
    return sorted(identifiers, key=lambda identifier: (hashlib.sha256(f"{seed}:{identifier}".encode()).hexdigest(), identifier))


def encode_instruction(
    tokenizer: PreTrainedTokenizerBase, templates: TemplateSettings, instruction: str, input_text: str | None, answer: str
) -> Example:
    """One instruction: prompt, answer, end token. The prompt's tokens are those an asker gets (see ``encode_prompt``)."""
    prompt = render_instruction(templates, instruction, input_text)
    ids, wanted = _encode(tokenizer, prompt + answer.strip(), [(len(prompt), len(prompt) + len(answer.strip()))])
    opening = _opening(tokenizer)
    return [*opening, *ids, tokenizer.eos_token_id], [*[False] * len(opening), *wanted, True]


def encode_prompt(tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[int]:
    """A rendered prompt as ids, opened as training examples are; a chat template that shows BOS gets no second one."""
    opening = [] if tokenizer.bos_token and prompt.startswith(tokenizer.bos_token) else _opening(tokenizer)
    return [*opening, *_encode(tokenizer, prompt, [])[0]]


def encode_chat(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], max_tokens: int) -> Example | None:
    """A conversation in the tokenizer's chat template; turns at its end are cut until it fits; ``None`` if none do."""
    turns = [{"role": message["role"], "content": (message["content"] or "").strip()} for message in messages]
    while turns:
        if turns[-1]["role"] == "assistant":
            text, spans = answer_spans(tokenizer, turns)
            ids, wanted = _encode(tokenizer, text, spans)
            if len(ids) <= max_tokens:
                return ids, wanted
        turns = turns[:-1]
    return None


def _encode(tokenizer: PreTrainedTokenizerBase, text: str, spans: Sequence[tuple[int, int]]) -> Example:
    """Ids of a text and whether each token begins inside one of the character spans."""
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)  # long ones are cut or dropped below
    wanted = [any(start <= begin < stop for start, stop in spans) for begin, _ in encoded["offset_mapping"]]
    return list(encoded["input_ids"]), wanted


def _opening(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """BOS where the tokenizer adds one by itself."""
    return [tokenizer.bos_token_id] if adds_bos(tokenizer) else []


def adds_bos(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the tokenizer opens a text with BOS by itself."""
    ids = tokenizer("a")["input_ids"]
    return tokenizer.bos_token_id is not None and bool(ids) and ids[0] == tokenizer.bos_token_id


def instruction_examples(
    rows: Iterable[Mapping[str, Any]], tokenizer: PreTrainedTokenizerBase, templates: TemplateSettings, max_tokens: int
) -> Examples:
    """Rows with ``instruction``, ``input`` and ``answer`` as examples; what cannot be used is counted by reason."""
    examples = Examples()
    for row in rows:
        texts = [row["instruction"] or "", row["input"] or "", row["answer"] or ""]
        if not texts[0].strip() or not texts[2].strip():
            examples.dropped["empty"] += 1
        elif _has_special(tokenizer, texts):
            examples.dropped["special_token_in_text"] += 1
        else:
            example = encode_instruction(tokenizer, templates, *texts)
            if len(example[0]) > max_tokens:
                examples.dropped["too_long"] += 1
            else:
                examples.items.append(example)
    return examples


def chat_examples(rows: Iterable[Sequence[Message]], tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> Examples:
    """Conversations as examples; what cannot be used is counted by reason.

    A conversation is used when its turns alternate from a user's on, after at most one system message.
    """
    examples = Examples()
    for messages in rows:
        roles = [message["role"] for message in messages]
        turns = roles[1:] if roles[:1] == ["system"] else roles
        texts = [message["content"] or "" for message in messages]
        if "assistant" not in turns or any(role != ("user", "assistant")[index % 2] for index, role in enumerate(turns)):
            examples.dropped["turns_do_not_alternate"] += 1
        elif not all(text.strip() for text in texts):
            examples.dropped["empty"] += 1
        elif _has_special(tokenizer, texts):
            examples.dropped["special_token_in_text"] += 1
        elif (example := encode_chat(tokenizer, messages, max_tokens)) is None:
            examples.dropped["too_long"] += 1
        else:
            examples.items.append(example)
    return examples


def _has_special(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> bool:
    """Whether a text holds a special token spelled out, which the tokenizer would read as a turn's end or a new turn."""
    return any(token in text for token in tokenizer.all_special_tokens for text in texts)
