"""Reading: one file of rows becomes a part on disk, in bounded memory: contents, ids of all usable rows, and counts.

A part depends on its file and the settings alone, so that parts are made by any number of workers and found again by a later run. Of
a file with more rows than are drawn, contents are written only for rows that may still be drawn: those with the smallest hashes so far.
"""

from __future__ import annotations

import contextlib
import hashlib
import heapq
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from foundation.store import TableSpec
from translation import tables
from translation.settings import SourcesSettings
from translation.sources.cleaning import Cleaner, SourceLanguage
from translation.sources.files import rows_of
from translation.sources.forms import chat_of, instruction_of
from translation.sources.outcomes import Content, Dropped, Kept, Outcome, chat_outcome, instruction_outcome
from translation.sources.places import Kind, RowFile

POSITION = "position"
"""The column that says which row of its file a row was."""
FLUSH_CHARACTERS = 4_000_000
"""Rows are written to disk whenever their texts have so many characters."""
IDS = pa.schema([pa.field("id", pa.string(), nullable=False), pa.field(POSITION, pa.int64(), nullable=False), pa.field("kept", pa.bool_(), nullable=False)])

KEPT: dict[Kind, TableSpec] = {"chats": tables.SOURCE_CHATS, "instructions": tables.SOURCE_INSTRUCTIONS}
SET_ASIDE: dict[Kind, TableSpec] = {"chats": tables.SET_ASIDE_CHATS, "instructions": tables.SET_ASIDE_INSTRUCTIONS}


@dataclass(frozen=True)
class Reader:
    """How files of a kind are read; the same for all of a build's files.

    Attributes:
        kind: which form the rows have.
        settings: the sources' settings.
        language: what the language file says of the source language.
        seed: of the draw.
        sharers: processes that read from the same address.
    """

    kind: Kind
    settings: SourcesSettings
    language: SourceLanguage
    seed: int
    sharers: int = 1

    @property
    def maximum(self) -> int | None:
        """Rows that are drawn; None: all."""
        return self.settings.max_chats if self.kind == "chats" else self.settings.max_instructions

    def outcomes(self, file: RowFile, cleaner: Cleaner) -> Iterator[Outcome]:
        """What becomes of each row of a file, in its order."""
        limit = self.settings.max_characters
        chats = self.kind == "chats"
        with closing(file.open(self.settings.access, self.sharers)) as stream:
            for place, row in rows_of(stream, file.name, remote=file.local is None):
                yield chat_outcome(chat_of(row, place), cleaner, limit) if chats else instruction_outcome(instruction_of(row, place), cleaner, limit)


def read_part(document: Mapping[str, Any], output: Path, *, reader: Reader) -> None:
    """Make the part of a file: a folder with ``kept.parquet``, ``set_aside.parquet``, ``ids.parquet`` and ``counts.json``.

    Args:
        document: the file, as ``RowFile.document`` gives it.
        output: the folder to make.
        reader: how it is read.

    Raises:
        SourceError: a row has another form, or the file cannot be read to its end.
        LocationError: the file cannot be reached.
    """
    file = RowFile(**document)
    origin = {"source": file.set_name, "revision": file.origin(), "licence": file.licence}
    output.mkdir()
    dropped: Counter[str] = Counter()
    seen: set[int] = set()
    drawn = _Drawn(reader.maximum, reader.seed)
    cleaner = Cleaner(reader.settings.cleaning, reader.language)
    read = 0
    with contextlib.ExitStack() as stack:
        kept, aside, ids = (
            stack.enter_context(_PartFile(output / f"{name}.parquet", schema))
            for name, schema in (("kept", part_schema(KEPT[reader.kind])), ("set_aside", part_schema(SET_ASIDE[reader.kind])), ("ids", IDS))
        )
        for position, outcome in enumerate(reader.outcomes(file, cleaner)):
            read += 1
            if isinstance(outcome, Dropped):
                dropped[outcome.reason] += 1
                continue
            digits = _digits(outcome.content)
            if (number := int(digits, 16)) in seen:
                dropped["repeated"] += 1
                continue
            seen.add(number)
            row_id = f"{file.set_name}-{digits}"
            row = {"id": row_id, **outcome.content, **origin, POSITION: position}
            ids.write({"id": row_id, POSITION: position, "kept": isinstance(outcome, Kept)}, len(row_id))
            if not isinstance(outcome, Kept):
                aside.write({**row, "task": outcome.task.kind, "matched": outcome.task.matched}, _characters(outcome.content))
            elif drawn.may_be(row_id):
                kept.write({**row, **outcome.more}, _characters(outcome.content))
    counts = {
        "read": read,
        "dropped": dict(sorted(dropped.items())),
        "characters": {"kept": kept.characters, "set_aside": aside.characters},
        "examples": cleaner.examples,
    }
    (output / "counts.json").write_text(json.dumps(counts), encoding="utf-8")


def part_schema(spec: TableSpec) -> pa.Schema:
    """A table's schema and the row's place in its file."""
    return pa.schema([*spec.schema, IDS.field(POSITION)])


def draw_key(row_id: str, seed: int) -> bytes:
    """The hash by which rows are drawn, smallest first: of seed and id alone, so that more rows change few of those drawn."""
    return hashlib.sha256(f"{seed}:{row_id}".encode()).digest()


def _digits(content: Content) -> str:
    """A row's identity: 20 hex digits of its content's hash; its id in the published set does not count."""
    return hashlib.sha256(json.dumps({**content, "source_id": None}, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:20]


def _characters(content: Content) -> int:
    if (messages := content.get("messages")) is not None:
        return sum(len(message["content"]) for message in messages)
    return sum(len(content[name]) for name in ("instruction", "context", "response"))


@dataclass
class _Drawn:
    """The smallest hashes so far, by which rows are told that will surely not be drawn."""

    maximum: int | None
    seed: int
    _smallest: list[int] = field(default_factory=list)

    def may_be(self, row_id: str) -> bool:
        """Whether a row, which no row before was equal to, may be among those that are drawn."""
        if self.maximum is None:
            return True
        key = -int.from_bytes(draw_key(row_id, self.seed), "big")  # heapq keeps the smallest on top, and here it is the largest that goes
        if len(self._smallest) < self.maximum:
            heapq.heappush(self._smallest, key)
            return True
        return heapq.heappushpop(self._smallest, key) != key


class _PartFile:
    """A Parquet file of rows as they come; a row group holds some megabytes."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.characters = 0
        self._schema = schema
        self._writer = pq.ParquetWriter(path, schema, compression="zstd", compression_level=1)
        self._rows: list[Mapping[str, Any]] = []
        self._waiting = 0

    def __enter__(self) -> _PartFile:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._flush()
        self._writer.close()

    def write(self, row: Mapping[str, Any], characters: int) -> None:
        """Add a row, whose texts have so many characters."""
        self._rows.append(row)
        self.characters += characters
        self._waiting += characters + 100
        if self._waiting >= FLUSH_CHARACTERS:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(cast(Any, self._rows), schema=self._schema))
            self._rows, self._waiting = [], 0
