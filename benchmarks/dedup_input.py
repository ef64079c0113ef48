"""Inputs of the near-duplicate benchmark: texts of real pages, texts out of their sentences with planted near copies, and tables of made signatures."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.harvest_input import load_pages
from corpus.web.extraction import visible_text
from corpus.web.minhash import normalised_words

SHINGLE_WORDS = 5
_MIN_CHARACTERS = 500
_GROUP_ROWS = 16_384


@dataclass(frozen=True, slots=True)
class Pair:
    """Two texts, by their places, and the exact Jaccard similarity of their shingles."""

    first: int
    second: int
    jaccard: float


def page_texts(cache: Path, folder: Path, count: int) -> list[str]:
    """Texts of pages of the target language; every tenth page stands twice, the second time with some words changed."""
    texts: list[str] = []
    rng = random.Random(1)
    for _, path in load_pages(cache, folder).target:
        text = visible_text(path.read_text(encoding="utf-8", errors="replace"))
        if len(text) < _MIN_CHARACTERS:
            continue
        texts.append(text)
        if len(texts) % 10 == 9:
            texts.append(" ".join(_edited(text.split(), rng.randint(1, 4), rng)))
        if len(texts) >= count:
            break
    return texts[:count]


def sentences(texts: Sequence[str]) -> list[str]:
    """Sentences of 8 to 40 words, each once."""
    found = {part.strip() for text in texts for line in text.split("\n") for part in re.split(r"(?<=[.!?;:])\s", line)}
    return sorted(part for part in found if 8 <= len(part.split()) <= 40)


def planted(pool: Sequence[str], uniform: int, at_threshold: int, words: int = 500) -> tuple[list[str], list[Pair]]:
    """Texts of shuffled sentences, and edited copies: ``uniform`` pairs with a similarity drawn from [0.8, 1], others at 0.80."""
    rng = random.Random(2)
    texts: list[str] = []
    pairs: list[Pair] = []
    for number in range(uniform + at_threshold):
        wanted = rng.uniform(0.8, 1) if number < uniform else 0.8
        while True:
            original = _composed(pool, words, rng)
            shingles = max(1, len(normalised_words(original)) - SHINGLE_WORDS + 1)
            copy = " ".join(_edited(normalised_words(original), round(shingles * (1 - wanted) / (1 + wanted) / SHINGLE_WORDS), rng))
            similarity = jaccard(original, copy)
            if (0.8 <= similarity <= 1) if number < uniform else abs(similarity - 0.8) <= 0.01:
                break
        pairs.append(Pair(len(texts), len(texts) + 1, similarity))
        texts += [original, copy]
    return texts, pairs


def boilerplate(pool: Sequence[str], count: int) -> list[str]:
    """Texts built around the same words, with similarities of 0.36 to 0.46: they tempt to false links."""
    rng = random.Random(3)
    shared = _composed(pool, 420, rng)
    return [f"{shared}\n{_composed(pool, rng.randint(240, 340), rng)}" for _ in range(count)]


def jaccard(one: str, other: str) -> float:
    """Of the word shingles, by the plain definition."""
    first, second = shingles_of(one), shingles_of(other)
    return len(first & second) / max(len(first | second), 1)


def shingles_of(text: str) -> set[tuple[str, ...]]:
    """Five normalised words in a row."""
    words = normalised_words(text)
    return {tuple(words[place : place + SHINGLE_WORDS]) for place in range(len(words) - SHINGLE_WORDS + 1)}


def write_made_signals(path: Path, rows: int, permutations: int = 112, band_rows: int = 8) -> None:
    """A signals table of made signatures: of ten documents seven are alone, two are near copies of others, one an exact copy."""
    schema = pa.schema(
        [("document_id", pa.string()), ("normalized_sha256", pa.string()), ("signature", pa.list_(pa.uint32())), ("bands", pa.list_(pa.uint64()))]
    )
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for start in range(0, rows, _GROUP_ROWS):
            writer.write_table(_made_rows(start, min(rows, start + _GROUP_ROWS), permutations, band_rows, rows).cast(schema))


def _made_rows(start: int, end: int, permutations: int, band_rows: int, rows: int) -> pa.Table:
    from corpus.web.minhash_kernels import band_hashes

    signatures = np.empty((end - start, permutations), np.uint32)
    digests = []
    for place, row in enumerate(range(start, end)):
        kind = row % 10
        source = row - kind  # the first of its ten
        signatures[place] = np.random.default_rng(row if kind < 7 else source).integers(0, 2**32, permutations, np.uint32)
        if kind in (7, 8):
            rng = np.random.default_rng(row)
            signatures[place, rng.integers(0, permutations, 8)] = rng.integers(0, 2**32, 8, np.uint32)
        digests.append(f"{(source if kind == 9 else row) * 0x9E3779B97F4A7C15 % 2**64:016x}{source if kind == 9 else row:016x}")
    hashed = np.array([band_hashes(values, band_rows) for values in signatures])
    ids = [f"{(row << 64) // rows:016x}{row:016x}" for row in range(start, end)]
    return pa.table(
        {
            "document_id": pa.array(ids),
            "normalized_sha256": pa.array([digest * 2 for digest in digests]),
            "signature": _lists(signatures),
            "bands": _lists(hashed),
        }
    )


def _lists(values: np.ndarray) -> pa.ListArray:
    offsets = np.arange(0, values.size + 1, values.shape[1], dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values.ravel()))


def _composed(pool: Sequence[str], words: int, rng: random.Random) -> str:
    """Sentences drawn at random, about so many words."""

    def drawn() -> Iterator[str]:
        held = 0
        while held < words:
            sentence = rng.choice(pool)
            held += len(sentence.split())
            yield sentence

    return "\n".join(drawn())


def _edited(words: list[str], edits: int, rng: random.Random) -> list[str]:
    """Words with so many of them replaced by letters turned round, at places drawn at random."""
    changed = list(words)
    for place in rng.sample(range(len(words)), min(edits, len(words))):
        changed[place] = f"{words[place][::-1]}x"
    return changed
