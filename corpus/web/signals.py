"""Signals: what can be measured on a document's text, for every document, kept or not. Measuring never drops.

Definitions follow datatrove's filters (Gopher, FineWeb, C4), whose thresholds FineWeb-2 publishes for Italian.
"""

from __future__ import annotations

import hashlib
import string
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from corpus.web.lines import LINE_FLAGS, Line, LineMarks
from corpus.web.minhash import bands, signature
from corpus.web.repetition import DUPLICATED_SIZES, TOP_SIZES, WordNgrams, duplicate_line_characters, duplicate_lines
from corpus.web.settings import SignalSettings
from foundation.language.settings import PhraseSettings, WordSettings
from foundation.language.words import CACHE_CHUNKS, WordTokenizer, load_tokenizer
from foundation.store import TableSpec

COUNTS = ("characters", "words", "lines", "stop_words")
SHARES = (
    "mean_word_length",
    "alphabetic_word_share",
    "hash_per_word",
    "ellipsis_per_word",
    "bullet_line_share",
    "ellipsis_line_share",
    "ended_line_share",
    "short_line_share",
    "line_ends_per_word",
    "duplicate_line_share",
    "duplicate_line_character_share",
    "duplicate_characters_share",
    *(f"top_{size}_gram_share" for size in TOP_SIZES),
    *(f"duplicated_{size}_gram_share" for size in DUPLICATED_SIZES),
    "policy_line_share",
    "javascript_line_share",
    "brace_share",
    "upper_case_share",
    "digit_share",
)
FLAGS = ("placeholder",)
LINE_TYPE = pa.list_(pa.struct([("characters", pa.int32()), ("words", pa.int32()), ("flags", pa.int32())]))

SIGNALS = TableSpec(
    "signals",
    pa.schema(
        [
            ("document_id", pa.string()),
            *((name, pa.int64()) for name in COUNTS),
            *((name, pa.float64()) for name in SHARES),
            *((name, pa.bool_()) for name in FLAGS),
            ("line_signals", LINE_TYPE),
            ("text_sha256", pa.string()),
            ("signature", pa.list_(pa.uint32())),
            ("bands", pa.list_(pa.uint64())),
        ]
    ),
    key=("document_id",),
    decimals=dict.fromkeys(SHARES, 6),
    description=f"All measures by document; `flags` of a line are bits of {LINE_FLAGS}, lowest first.",
)

_PUNCTUATION = frozenset(
    string.punctuation + "".join(chr(code) for code in range(0x80, 0x3100) if unicodedata.category(chr(code))[0] in "PS")
)


@dataclass(frozen=True)
class SignalRun:
    """What a shard of signals needs; picklable."""

    settings: SignalSettings
    words: WordSettings
    phrases: PhraseSettings


class _WordFacts(NamedTuple):
    """What measures ask of one word."""

    real: bool
    alphabetic: bool
    upper: int
    digits: int
    stop_word: str


class SignalMeter:
    """Measures texts of one language."""

    def __init__(self, run: SignalRun, tokenizer: WordTokenizer) -> None:
        self._run = run
        self._tokenizer = tokenizer
        self._stop_words = frozenset(run.words.stop_words)
        self._marks = LineMarks(run.phrases, run.settings)
        self._facts: dict[str, _WordFacts] = {}  # a memo that never changes a result

    def measure(self, text: str) -> dict[str, Any]:
        """One row of the table but for the document id."""
        texts = text.split("\n")
        tokens = [self._tokenizer(line) for line in texts]
        words = [word for line in tokens for word in line]
        lines = self._marks.lines(texts, [len(found) for found in tokens])
        values = signature(text, self._run.settings)
        return {
            **self._words(text, words),
            **self._lines(text, texts, lines, len(words)),
            **_repetition(text, texts, words),
            "line_signals": [{"characters": line.characters, "words": line.words, "flags": line.flags} for line in lines],
            "text_sha256": hashlib.sha256(text.encode()).hexdigest(),
            "signature": values,
            "bands": bands(values, self._run.settings.band_rows),
        }

    def _words(self, text: str, words: list[str]) -> dict[str, Any]:
        """Measures over words. ``words`` counts those that are not punctuation alone, as Gopher's rule does."""
        counts = Counter(words)
        facts = [(self._facts_of(word), len(word), count) for word, count in counts.items()]
        total = max(len(words), 1)
        real = sum(count for fact, _, count in facts if fact.real)
        return {
            "characters": len(text),
            "words": real,
            "stop_words": len({fact.stop_word for fact, _, _ in facts if fact.stop_word}),
            "mean_word_length": sum(length * count for fact, length, count in facts if fact.real) / max(real, 1),
            "alphabetic_word_share": sum(count for fact, _, count in facts if fact.alphabetic) / total,
            "hash_per_word": text.count("#") / total,
            "ellipsis_per_word": (text.count("...") + text.count("…")) / total,
            "brace_share": (text.count("{") + text.count("}")) / max(len(text), 1),
            "upper_case_share": sum(fact.upper * count for fact, _, count in facts) / max(len(text), 1),
            "digit_share": sum(fact.digits * count for fact, _, count in facts) / max(len(text), 1),
        }

    def _facts_of(self, word: str) -> _WordFacts:
        facts = self._facts.get(word)
        if facts is None:
            plain = word.lower().replace("’", "'")
            facts = _WordFacts(
                real=any(char not in _PUNCTUATION for char in word),
                alphabetic=any(char.isalpha() for char in word),
                upper=sum(map(str.isupper, word)),
                digits=sum(map(str.isdigit, word)),
                stop_word=plain if plain in self._stop_words else "",
            )
            if len(self._facts) >= CACHE_CHUNKS:
                self._facts.clear()
            self._facts[word] = facts
        return facts

    def _lines(self, text: str, texts: list[str], lines: list[Line], words: int) -> dict[str, Any]:
        filled = [(line.strip(), marks) for line, marks in zip(texts, lines, strict=True) if line.strip()]
        total = max(len(filled), 1)
        short = self._run.settings.short_line_characters
        return {
            "lines": len(filled),
            "bullet_line_share": sum(line.startswith(("•", "-")) for line, _ in filled) / total,
            "ellipsis_line_share": sum(line.endswith(("...", "…")) for line, _ in filled) / total,
            "ended_line_share": sum(marks.has("ended") for _, marks in filled) / total,
            "short_line_share": sum(len(line) <= short for line, _ in filled) / total,
            "line_ends_per_word": text.count("\n") / max(words, 1),
            "policy_line_share": sum(marks.has("policy") for _, marks in filled) / total,
            "javascript_line_share": sum(marks.has("javascript") for _, marks in filled) / total,
            "placeholder": any(marks.has("placeholder") for _, marks in filled),
        }


def _repetition(text: str, texts: list[str], words: list[str]) -> dict[str, float]:
    line_share, character_share = duplicate_lines(text)
    return {
        "duplicate_line_share": line_share,
        "duplicate_line_character_share": character_share,
        "duplicate_characters_share": duplicate_line_characters(texts),
        **WordNgrams(words, len(text)).shares(),
    }


def measure_shard(shard: list[Any], output: Path, run: SignalRun) -> None:
    """Measure the rows ``[file, start, rows]`` of a documents file into one Parquet file."""
    path, start, rows = shard
    meter = SignalMeter(run, load_tokenizer(run.words.tokenizer))
    frame = pl.scan_parquet(path).select("document_id", "text").slice(start, rows).collect()
    measured = [{"document_id": key, **meter.measure(text)} for key, text in frame.iter_rows()]
    pq.write_table(pa.Table.from_pylist(measured, schema=SIGNALS.schema), output, compression="zstd")


def shards_of(files: list[Path], rows: int = 2_000) -> list[list[Any]]:
    """Row ranges of Parquet files, small enough to be done again after a kill."""
    return [
        [str(path), start, rows] for path in files for start in range(0, pq.read_metadata(path).num_rows, rows)
    ]
