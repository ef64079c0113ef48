"""Signals: what can be measured on a document's text, for every document, kept or not. Measuring never drops.

Definitions follow datatrove's filters (Gopher, FineWeb, C4), whose thresholds FineWeb-2 publishes for Italian. What needs
a list or a model that the profile does not name is null.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from corpus.web.bad_words import BadWordFinder, WordHits
from corpus.web.classifiers import Classifier
from corpus.web.errors import WebCorpusError
from corpus.web.lines import FLAG_BITS, LINE_FIELDS, LINE_FLAGS, LineMarks, TextLines
from corpus.web.minhash import hashes
from corpus.web.repetition import (
    DUPLICATED_SIZES,
    TOP_SIZES,
    duplicate_lines,
    duplicate_paragraphs,
    ngram_shares,
)
from corpus.web.settings import SignalSettings
from corpus.web.vocabulary import TextWords, Vocabulary
from foundation.language.mojibake import mojibake
from foundation.language.settings import PhraseSettings, WordSettings
from foundation.language.words import load_tokenizer
from foundation.store import TableSpec

COUNTS = (
    "characters",
    "words",
    "lines",
    "sentences",
    "stop_words",
    "exact_stop_words",
    "longest_word",
    "mojibake",
    "policy_phrases",
    "bad_words",
    "bad_word_kinds",
    "bad_words_in_company",
)
SHARES = (
    "mean_word_length",
    "alphabetic_word_share",
    "symbol_per_word",
    "hash_per_word",
    "ellipsis_per_word",
    "bullet_line_share",
    "ellipsis_line_share",
    "ended_line_share",
    "terminal_line_share",
    "short_line_share",
    "line_ends_per_word",
    "duplicate_line_share",
    "duplicate_line_character_share",
    "duplicate_paragraph_share",
    "duplicate_paragraph_character_share",
    "duplicate_characters_share",
    *(f"top_{size}_gram_share" for size in TOP_SIZES),
    *(f"duplicated_{size}_gram_share" for size in DUPLICATED_SIZES),
    "policy_line_share",
    "javascript_line_share",
    "brace_share",
    "upper_case_share",
    "digit_share",
    "mojibake_per_word",
    "bad_word_share",
)
FLAGS = ("placeholder",)
NEED_WORD_LISTS = ("bad_words", "bad_word_kinds", "bad_words_in_company", "bad_word_share")
"""Null where the profile names no word lists."""
LINE_TYPE = pa.list_(pa.struct([(name, pa.int32()) for name in LINE_FIELDS]))
HITS_TYPE = pa.list_(pa.struct([("list", pa.string()), ("word", pa.string()), ("hits", pa.int32())]))
SCORES_TYPE = pa.list_(pa.struct([("name", pa.string()), ("label", pa.string()), ("score", pa.float64())]))

SIGNALS = TableSpec(
    "signals",
    pa.schema(
        [
            ("document_id", pa.string()),
            *((name, pa.int64()) for name in COUNTS),
            *((name, pa.float64()) for name in SHARES),
            *((name, pa.bool_()) for name in FLAGS),
            ("bad_word_hits", HITS_TYPE),
            ("policy_hits", HITS_TYPE),
            ("classifier_scores", SCORES_TYPE),
            ("line_signals", LINE_TYPE),
            ("text_sha256", pa.string()),
            ("normalized_sha256", pa.string()),
            ("signature", pa.list_(pa.uint32())),
            ("bands", pa.list_(pa.uint64())),
        ]
    ),
    key=("document_id",),
    decimals=dict.fromkeys(SHARES, 6),
    description=f"All measures by document; `flags` of a line are bits of {LINE_FLAGS}, lowest first. `bad_word_hits` name list and word, "
    "`policy_hits` language and phrase; what needs a word list or a model that the profile does not name is null or empty.",
)


@dataclass(frozen=True)
class SignalRun:
    """What a shard of signals needs; picklable. ``word_lists`` are lower-case words by the name of their list."""

    settings: SignalSettings
    words: WordSettings
    phrases: PhraseSettings
    word_lists: Mapping[str, tuple[str, ...]] | None = None
    classifiers: tuple[Classifier, ...] = ()


class SignalMeter:
    """Measures texts of one language."""

    def __init__(self, run: SignalRun, bad_words: BadWordFinder, vocabulary: Vocabulary) -> None:
        """``vocabulary`` looks out for what ``bad_words`` begin with; see ``make_meter``."""
        self._run = run
        self._vocabulary = vocabulary
        self._marks = LineMarks(run.phrases)
        self._bad_words = bad_words
        self._policy: dict[str, list[tuple[str, str]]] = {}  # by their longest word: most texts hold none of these few words
        for language, phrases in run.phrases.policy.items():
            for phrase in phrases:
                self._policy.setdefault(max(phrase.split(), key=len), []).append((language, phrase))

    def measure(self, text: str) -> dict[str, Any]:
        """One row of the table but for the document id."""
        row, lines = self.measured(text)
        return {**row, "line_signals": [dict(zip(LINE_FIELDS, line, strict=True)) for line in lines.rows.tolist()]}

    def measured(self, text: str) -> tuple[dict[str, Any], TextLines]:
        """One row of the table but for the document id and ``line_signals``, and the lines."""
        lowered = text.lower()
        texts = text.split("\n")
        words = self._vocabulary(text.split())
        policy = self._policy_hits(lowered)
        lines = self._marks.lines(text, texts, lowered, [hit.word for hit in policy])
        broken = mojibake(text)
        copies = hashes(text, self._run.settings)
        row = {
            **_of_words(text, words),
            **self._of_lines(text, lines, len(words.lengths)),
            **_repetition(text, texts, words),
            "policy_phrases": sum(hit.hits for hit in policy),
            "policy_hits": [hit._asdict() for hit in policy],
            **self._of_lists(lowered, words),
            "mojibake": broken,
            "mojibake_per_word": broken / max(len(words.lengths), 1),
            "classifier_scores": [classifier.row(text) for classifier in self._run.classifiers],
            "text_sha256": hashlib.sha256(text.encode()).hexdigest(),
            "normalized_sha256": copies.normalized_sha256,
            "signature": copies.signature,
            "bands": copies.bands,
        }
        return row, lines

    def _of_lines(self, text: str, lines: TextLines, words: int) -> dict[str, Any]:
        flags = lines.column("flags")
        filled = (flags & FLAG_BITS["blank"]) == 0
        count = int(np.count_nonzero(filled))
        total, every = max(count, 1), max(lines.visual, 1)
        short = filled & (lines.column("characters") <= self._run.settings.short_line_characters)
        return {
            "lines": count,
            "sentences": int(lines.column("sentences").sum()),
            "longest_word": int(lines.column("longest_word").max()),
            "bullet_line_share": lines.bullets / every,
            "ellipsis_line_share": lines.ellipses / every,
            "ended_line_share": lines.marked("ended") / total,
            "terminal_line_share": lines.marked("terminal") / total,
            "short_line_share": int(np.count_nonzero(short)) / total,
            "line_ends_per_word": text.count("\n") / max(words, 1),
            "policy_line_share": lines.marked("policy") / total,
            "javascript_line_share": lines.marked("script") / total,
            "placeholder": lines.marked("placeholder") > 0,
        }

    def _policy_hits(self, lowered: str) -> list[WordHits]:
        return sorted(
            WordHits(language, phrase, lowered.count(phrase))
            for word, phrases in self._policy.items()
            if word in lowered
            for language, phrase in phrases
            if phrase in lowered
        )

    def _of_lists(self, lowered: str, words: TextWords) -> dict[str, Any]:
        """Hits of word lists; null where there is none."""
        found: dict[str, Any] = {"bad_word_hits": [], **dict.fromkeys(NEED_WORD_LISTS)}
        if self._run.word_lists:
            bad = self._bad_words.find(lowered, words.watched)
            counts = {hit.word: hit.hits for hit in bad.hits}  # a word of two lists counts once
            total = sum(counts.values())
            found |= {
                "bad_word_hits": [hit._asdict() for hit in bad.hits],
                "bad_words": total,
                "bad_word_kinds": len(counts),
                "bad_words_in_company": bad.in_company,
                "bad_word_share": total / max(len(words.lengths), 1),
            }
        return found


def _of_words(text: str, words: TextWords) -> dict[str, Any]:
    """Measures over words. ``words`` counts those that are not punctuation alone, as Gopher's rule does."""
    total = max(len(words.lengths), 1)
    characters = max(len(text), 1)
    hashes_, ellipses = text.count("#"), text.count("...") + text.count("…")
    return {
        "characters": len(text),
        "words": words.words,
        "stop_words": words.stop_words,
        "exact_stop_words": words.exact_stop_words,
        "mean_word_length": words.word_characters / max(words.words, 1),
        "alphabetic_word_share": words.alphabetic / total,
        "symbol_per_word": (hashes_ + ellipses) / total,
        "hash_per_word": hashes_ / total,
        "ellipsis_per_word": ellipses / total,
        "brace_share": (text.count("{") + text.count("}")) / characters,
        "upper_case_share": words.upper / characters,
        "digit_share": words.digits / characters,
    }


def _repetition(text: str, texts: list[str], words: TextWords) -> dict[str, float]:
    line_share, character_share, filled_share = duplicate_lines(text, texts)
    paragraph_share, paragraph_character_share = duplicate_paragraphs(text)
    return {
        "duplicate_line_share": line_share,
        "duplicate_line_character_share": character_share,
        "duplicate_paragraph_share": paragraph_share,
        "duplicate_paragraph_character_share": paragraph_character_share,
        "duplicate_characters_share": filled_share,
        **ngram_shares(words.hashes, words.lengths, len(text)),
    }


@lru_cache(maxsize=1)
def _vocabulary(tokenizer: str, stop_words: tuple[str, ...], watched: frozenset[str]) -> Vocabulary:
    """One for all shards of a process, so that each need not meet the words of its language anew."""
    return Vocabulary(load_tokenizer(tokenizer), stop_words, watched)


def make_meter(run: SignalRun) -> SignalMeter:
    """A meter with everything that it looks words up in."""
    bad_words = BadWordFinder(run.word_lists or {})
    return SignalMeter(run, bad_words, _vocabulary(run.words.tokenizer, run.words.stop_words, bad_words.runs))


def measure_shard(shard: list[Any], output: Path, run: SignalRun) -> None:
    """Measure the rows ``[file, start, rows]`` of a documents file into one Parquet file."""
    path, start, rows = shard
    frame = pl.scan_parquet(path).select("document_id", "text").slice(start, rows).collect()
    pq.write_table(signal_table(frame.iter_rows(), make_meter(run)), output, compression="zstd")


def signal_table(texts: Iterable[tuple[str, str]], meter: SignalMeter) -> pa.Table:
    """The signals of texts given with their document ids."""
    measured: list[dict[str, Any]] = []
    lines: list[np.ndarray] = []
    for key, text in texts:
        row, found = meter.measured(text)
        measured.append({"document_id": key, **row})
        lines.append(found.rows)
    columns = [
        _line_column(lines) if name == "line_signals" else pa.array([row[name] for row in measured], SIGNALS.schema.field(name).type)
        for name in SIGNALS.schema.names
    ]
    return pa.Table.from_arrays(columns, schema=SIGNALS.schema)


def _line_column(lines: list[np.ndarray]) -> pa.Array:
    """The structs of all lines, built by column: a Python object for each would take longer than measuring."""
    flat = np.concatenate([np.zeros((0, len(LINE_FIELDS)), np.int32), *lines])
    offsets = np.cumsum([0, *map(len, lines)], dtype=np.int32)
    fields = [pa.array(np.ascontiguousarray(column)) for column in flat.T]
    structs = pa.StructArray.from_arrays(fields, fields=list(LINE_TYPE.value_type))
    return pa.ListArray.from_arrays(pa.array(offsets), structs, type=LINE_TYPE)


def shards_of(files: list[Path], rows: int) -> list[list[Any]]:
    """Row ranges of Parquet files, small enough to be done again after a kill."""
    return [
        [str(path), start, rows] for path in files for start in range(0, pq.read_metadata(path).num_rows, rows)
    ]


def read_signals(files: Sequence[Path], columns: Sequence[str], between: tuple[str, str] | None = None) -> pl.DataFrame:
    """Columns of signals, of all documents or of those whose ids lie between two, both included.

    By pyarrow, which decodes lists of structs in a third of polars' time. Files and row groups that hold no such id are not read.

    Raises:
        WebCorpusError: the files hold no such column.
    """
    tables = []
    for path in files:
        file = pq.ParquetFile(path)
        missing = sorted(set(columns) - set(file.schema_arrow.names))
        if missing:
            raise WebCorpusError(f"signals hold no {missing}, which the rules read ({path}); materialize signals again")
        groups = [group for group in range(file.num_row_groups) if between is None or _may_hold(file.metadata.row_group(group), between)]
        tables.append(file.read_row_groups(groups, columns=list(columns), use_threads=False))
    rows = pl.from_arrow(pa.concat_tables(tables or [SIGNALS.schema.empty_table().select(list(columns))]))
    assert isinstance(rows, pl.DataFrame)
    return rows if between is None else rows.filter(pl.col("document_id").is_between(pl.lit(between[0]), pl.lit(between[1])))


def _may_hold(group: pq.RowGroupMetaData, between: tuple[str, str]) -> bool:
    """Whether a row group may hold an id between two, by the statistics of its first column, the id."""
    statistics = group.column(0).statistics
    return statistics is None or not statistics.has_min_max or (statistics.min <= between[1] and statistics.max >= between[0])
