"""Tables of the translation workshop: schemas, keys and declared decimals. Their column names are a contract."""

from __future__ import annotations

import pyarrow as pa

from foundation.store import TableSpec

_STRING = pa.string()
_MESSAGES = pa.list_(pa.field("element", pa.struct([pa.field("role", _STRING, nullable=False), pa.field("content", _STRING, nullable=False)])))


def _required(*names: str) -> list[pa.Field]:
    return [pa.field(name, _STRING, nullable=False) for name in names]


_ORIGIN = [*_required("source", "revision", "licence"), pa.field("source_id", _STRING)]

_CHANGES = pa.field("changes", pa.list_(_STRING), nullable=False)
"""Steps of the cleaning that changed a row, sorted."""
_TASK = _required("task", "matched")
"""The kind of a task bound to its language, and the words of the request by which it was told."""

SOURCE_CHATS = TableSpec(
    name="chats",
    schema=pa.schema(
        [
            *_required("id"),
            pa.field("messages", _MESSAGES, nullable=False),
            *_ORIGIN,
            _CHANGES,
            pa.field("messages_cut", pa.int64(), nullable=False),
            pa.field("cut_before", _STRING),
        ]
    ),
    key=("id",),
    description="English chats; roles system, user and assistant, ending with an answer. `messages_cut` are missing at the end; `cut_before` says why, where "
    "it was not for lack of an answer.",
)
SET_ASIDE_CHATS = TableSpec(
    name="set_aside",
    schema=pa.schema([*_required("id"), pa.field("messages", _MESSAGES, nullable=False), *_ORIGIN, *_TASK]),
    key=("id",),
    description="Chats that begin with a task which has no answer in another language, as they were read.",
)

SOURCE_INSTRUCTIONS = TableSpec(
    name="instructions",
    schema=pa.schema([*_required("id", "instruction", "context", "response"), pa.field("category", _STRING), *_ORIGIN, _CHANGES]),
    key=("id",),
    description="English instructions with context (empty where there is none) and response.",
)
SET_ASIDE_INSTRUCTIONS = TableSpec(
    name="set_aside",
    schema=pa.schema([*_required("id", "instruction", "context", "response"), pa.field("category", _STRING), *_ORIGIN, *_TASK]),
    key=("id",),
    description="Instructions that have no answer in another language.",
)

PROVENANCE = [
    *_required("engine", "engine_package", "engine_parameters", "text_rules"),
    pa.field("score", pa.float64()),
    pa.field("flags", pa.list_(_STRING), nullable=False),
    pa.field("benchmark_overlap", pa.list_(_STRING), nullable=False),
]
"""How a row was translated; ``text_rules`` names the versions of splitter, segmenter and protector."""

SIGNALS = [
    pa.field("length_ratio", pa.float64()),
    pa.field("language", _STRING),
    pa.field("language_score", pa.float64()),
    pa.field("untranslated_share", pa.float64()),
    pa.field("copied_words", pa.int64(), nullable=False),
    pa.field("compression_ratio", pa.float64()),
    pa.field("repetition", pa.int64(), nullable=False),
    pa.field("numbers_changed", pa.int64(), nullable=False),
    pa.field("urls_changed", pa.int64(), nullable=False),
    pa.field("code_changed", pa.int64(), nullable=False),
    pa.field("placeholders_changed", pa.int64(), nullable=False),
    pa.field("spans_lost", pa.int64(), nullable=False),
    pa.field("lines_changed", pa.int64(), nullable=False),
    pa.field("paragraphs_changed", pa.int64(), nullable=False),
    pa.field("list_items_changed", pa.int64(), nullable=False),
    pa.field("truncated_sentences", pa.int64(), nullable=False),
    pa.field("min_score", pa.float64()),
    pa.field("round_trip_chrf", pa.float64()),
    pa.field("answer_in_context", pa.float64()),
    pa.field("input_equals_output", pa.bool_(), nullable=False),
]
"""What the gates on rows read; null where a text is too short to be measured."""

DECIMALS = {
    "score": 2, "length_ratio": 3, "language_score": 3, "untranslated_share": 3, "compression_ratio": 3, "min_score": 2, "round_trip_chrf": 2, "answer_in_context": 3,
}  # fmt: skip
"""Of scores two: even in float32 the seventh digit depends on the batch, so on what other workers had put into the cache before; each decimal
more makes it ten times likelier that the same rows are another version."""

_REASONS = pa.field("reasons", pa.list_(_STRING), nullable=False)

_CHAT_COLUMNS = [
    *_required("id"),
    pa.field("messages", _MESSAGES, nullable=False),
    pa.field("source_messages", _MESSAGES, nullable=False),
    *_ORIGIN,
    *PROVENANCE,
    *SIGNALS,
]
_INSTRUCTION_COLUMNS = [
    *_required("id", "instruction", "context", "response"),
    pa.field("category", _STRING),
    *_required("source_instruction", "source_context", "source_response"),
    *_ORIGIN,
    *PROVENANCE,
    *SIGNALS,
]

TRANSLATED_CHATS = TableSpec(
    name="chats",
    schema=pa.schema([*_CHAT_COLUMNS, pa.field("messages_cut", pa.int64(), nullable=False), pa.field("cut_reasons", pa.list_(_STRING), nullable=False)]),
    key=("id",),
    decimals=DECIMALS,
    description="Translated chats, cut before the first exchange that failed a gate; signals are the worst of what is left. `cut_reasons` are those of "
    "the message that failed.",
)
QUARANTINED_CHATS = TableSpec(
    name="quarantine",
    schema=pa.schema([*_CHAT_COLUMNS, _REASONS]),
    key=("id",),
    decimals=DECIMALS,
    description="Chats whose first exchange failed, whole, with the reasons.",
)
TRANSLATED_INSTRUCTIONS = TableSpec(
    name="instructions",
    schema=pa.schema(_INSTRUCTION_COLUMNS),
    key=("id",),
    decimals=DECIMALS,
    description="Translated instructions that passed every gate on rows.",
)
QUARANTINED_INSTRUCTIONS = TableSpec(
    name="quarantine",
    schema=pa.schema([*_INSTRUCTION_COLUMNS, _REASONS]),
    key=("id",),
    decimals=DECIMALS,
    description="Translated instructions that failed a gate, with the reasons.",
)
