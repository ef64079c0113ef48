"""Shards of rows: each is translated, judged and written by one worker, whatever the engine of execution.

A shard is a range of rows of the source table, cut by characters of text, so that it is a function of the source alone; what a worker
finds out about its rows goes into one folder: kept rows, quarantined rows, counts.
"""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from foundation.language.identification import LanguageIdentifier, load_identifier
from foundation.language.overlap import OverlapIndex
from foundation.store import TableSpec
from translation import tables
from translation.batches import Effort
from translation.contamination import benchmark_index
from translation.rows import FIELDS, Judge, Judged, Row, judge_chats, judge_instructions
from translation.settings import ChatsSettings, GateSettings, InstructionsSettings
from translation.translate import TranslatedText, Translator, translate_texts

Kind = Literal["chats", "instructions"]
SOURCE: dict[Kind, TableSpec] = {"chats": tables.SOURCE_CHATS, "instructions": tables.SOURCE_INSTRUCTIONS}
KEPT: dict[Kind, TableSpec] = {"chats": tables.TRANSLATED_CHATS, "instructions": tables.TRANSLATED_INSTRUCTIONS}
QUARANTINE: dict[Kind, TableSpec] = {"chats": tables.QUARANTINED_CHATS, "instructions": tables.QUARANTINED_INSTRUCTIONS}

Shard = list[Any]
"""``[file, first row, rows, characters]``."""


@dataclass(frozen=True)
class RowsJob:
    """How rows are translated and judged, as paths and settings; travels to workers, which open everything themselves."""

    kind: Kind
    translator: Translator
    gates: GateSettings
    chats: ChatsSettings
    instructions: InstructionsSettings
    identifier: str
    target: str
    benchmark_items: tuple[str, ...]
    back: Translator | None = None

    def judge(self, back: Mapping[str, str]) -> Judge:
        """What rows are judged with; ``back`` has translations in the source language again."""
        index = _benchmark_index(self.benchmark_items, self.gates.benchmark_ngram)
        return Judge(_identifier(self.identifier), self.target, index, self.translator.choice, self.gates, back)


@dataclass
class RowCounts:
    """What became of the rows of a shard, or of several; ``effort`` alone differs from run to run."""

    read: int = 0
    dropped_categories: int = 0
    kept: int = 0
    quarantined: int = 0
    cut: int = 0
    texts: int = 0
    texts_kept: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    messages_cut: Counter[str] = field(default_factory=Counter)
    licences: Counter[str] = field(default_factory=Counter)
    engine: Counter[str] = field(default_factory=Counter)
    effort: Effort = field(default_factory=Effort)

    def add(self, other: RowCounts) -> None:
        """Count another shard's rows as well."""
        for name in ("read", "dropped_categories", "kept", "quarantined", "cut", "texts", "texts_kept"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("reasons", "messages_cut", "licences", "engine"):
            getattr(self, name).update(getattr(other, name))
        for name in ("sentences", "cached", "engine_seconds"):
            setattr(self.effort, name, getattr(self.effort, name) + getattr(other.effort, name))

    def write_to(self, folder: Path) -> None:
        """Keep the counts beside the rows they are of."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}  # asdict makes pairs of a Counter
        (folder / "counts.json").write_text(json.dumps({**values, "effort": asdict(self.effort)}, sort_keys=True), encoding="utf-8")

    @classmethod
    def read_from(cls, folder: Path) -> RowCounts:
        """The counts of a finished shard."""
        values = json.loads((folder / "counts.json").read_text(encoding="utf-8"))
        counters = {name: Counter(values.pop(name)) for name in ("reasons", "messages_cut", "licences", "engine")}
        return cls(**{**values, **counters, "effort": Effort(**values["effort"])})


def shards_of(files: Sequence[Path], kind: Kind, characters: int) -> list[Shard]:
    """Ranges of rows with about so many characters of text, in the order of the table."""
    return [shard for path in files for shard in _shards_of_file(path, kind, characters)]


def _shards_of_file(path: Path, kind: Kind, characters: int) -> Iterator[Shard]:
    start, position, total = 0, 0, 0
    for batch in pq.ParquetFile(path).iter_batches(columns=["messages"] if kind == "chats" else list(FIELDS), batch_size=1_000):
        rows = pl.DataFrame(pl.from_arrow(batch))
        length = (
            pl.col("messages").list.eval(pl.element().struct.field("content").str.len_chars()).list.sum()
            if kind == "chats"
            else pl.sum_horizontal(pl.col(name).str.len_chars() for name in FIELDS)
        )
        for size in rows.select(length).to_series().to_list():
            total += size
            position += 1
            if total >= characters:
                yield [str(path), start, position - start, total]
                start, total = position, 0
    if position > start:
        yield [str(path), start, position - start, total]


def translate_rows(shard: Shard, output: Path, *, job: RowsJob) -> None:
    """Translate and judge one shard of rows into a folder.

    Raises:
        EngineError: the engine cannot be used or broke its contract.
    """
    path, start, count, _ = shard
    rows = pl.scan_parquet(path).slice(start, count).collect().to_dicts()
    counts = RowCounts(read=len(rows), licences=Counter(row["licence"] for row in rows))
    wanted = list(_wanted(rows, job))
    counts.dropped_categories = len(rows) - len(wanted)
    texts = [text for row in wanted for text in texts_of(row, job.kind)]
    translated = translate_texts(texts, job.translator, counts.effort)
    by_text = dict(zip(texts, translated, strict=True))
    judge = job.judge(_back(translated, job.back, counts.effort))
    judged = judge_chats(wanted, by_text, judge, job.chats) if job.kind == "chats" else judge_instructions(wanted, by_text, judge)
    _count(counts, judged, translated, job.kind)
    output.mkdir(parents=True, exist_ok=True)
    for name, spec, part in (("kept", KEPT[job.kind], judged.kept), ("quarantine", QUARANTINE[job.kind], judged.quarantined)):
        pq.write_table(pa.Table.from_pylist(part, schema=spec.schema), output / f"{name}.parquet", compression="zstd")
    counts.write_to(output)


def _back(translated: Sequence[TranslatedText], translator: Translator | None, effort: Effort) -> dict[str, str]:
    """Translations in the source language again, by their text; empty where no engine goes back."""
    if translator is None:
        return {}
    texts = sorted({text.text for text in translated})
    return {text: found.text for text, found in zip(texts, translate_texts(texts, translator, effort), strict=True)}


def _wanted(rows: Sequence[Row], job: RowsJob) -> Iterator[Row]:
    for row in rows:
        if job.kind == "instructions":
            if row["category"] not in job.instructions.drop_categories:
                yield row
        elif job.chats.translate_system:
            yield row
        else:
            yield {**row, "messages": [message for message in row["messages"] if message["role"] != "system"]}


def texts_of(row: Row, kind: Kind) -> list[str]:
    """The texts of a row that are translated."""
    return [message["content"] for message in row["messages"]] if kind == "chats" else [row[name] for name in FIELDS]


def _count(counts: RowCounts, judged: Judged, translated: Sequence[TranslatedText], kind: Kind) -> None:
    counts.kept, counts.quarantined, counts.cut = len(judged.kept), len(judged.quarantined), judged.cut
    counts.texts = len(translated)
    counts.texts_kept = sum(len(texts_of(row, kind)) for row in judged.kept)
    counts.reasons, counts.messages_cut = judged.reasons, judged.messages_cut
    for text in translated:
        counts.engine.update(
            sentences=text.sentences, words=text.words, untranslated_words=text.untranslated_words, spans_lost=text.spans_lost, in_parts=text.in_parts, truncated=text.truncated
        )


@functools.lru_cache(maxsize=2)
def _identifier(path: str) -> LanguageIdentifier:
    return load_identifier(Path(path))


@functools.lru_cache(maxsize=2)
def _benchmark_index(files: tuple[str, ...], ngram: int) -> OverlapIndex:
    items = pl.scan_parquet(list(files)).select("benchmark", "item_id", "text").collect().iter_rows()
    return benchmark_index(items, ngram)
