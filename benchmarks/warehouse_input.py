"""Made rows of the warehouse benchmark, the same for both sides: documents as the corpus has them, and measures of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from foundation.store import TableSpec

DOCUMENTS = TableSpec(
    "documents",
    pa.schema(
        [
            ("document_id", pa.string()),
            ("snapshot", pa.string()),
            ("url", pa.string()),
            ("registered_domain", pa.string()),
            ("fetch_time", pa.timestamp("us", tz="UTC")),
            ("warc_offset", pa.int64()),
            ("languages", pa.list_(pa.struct([("label", pa.string()), ("score", pa.float32())]))),
            ("language_score", pa.float64()),
            ("noai", pa.bool_()),
            ("text", pa.string()),
            ("characters", pa.int64()),
        ]
    ),
    key=("document_id",),
    decimals={"language_score": 4},
)
MEASURES = TableSpec(
    "measures",
    pa.schema([("document_id", pa.string()), ("domain", pa.string()), ("words", pa.int64()), ("share", pa.float64()), ("kept", pa.bool_()), ("line", pa.string())]),
    key=("document_id",),
    decimals={"share": 6},
)
WORDS = 20_000
MEAN_WORDS = 480
"""Words of a text, on average: some 3 kB, as web pages have (FineWeb-2)."""


def document_batches(rows: int, batch_rows: int = 5_000, seed: int = 1) -> Iterator[pa.RecordBatch]:
    """Documents in order of their ids. Words are drawn by Zipf's law, so that texts compress about as prose does."""
    generator = np.random.default_rng(seed)
    letters = np.array(list("eaionlrtscdpumvghfbqz"))
    words = np.array(["".join(generator.choice(letters, size)) for size in generator.integers(2, 12, WORDS)], dtype=object)
    weights = 1 / np.arange(1, WORDS + 1)
    bounds = np.cumsum(weights / weights.sum())
    ids = np.sort(generator.integers(0, 2**63, rows))
    for start in range(0, rows, batch_rows):
        count = min(batch_rows, rows - start)
        lengths = generator.lognormal(np.log(MEAN_WORDS) - 0.5, 1, count).astype(int) + 20
        drawn = words[np.minimum(np.searchsorted(bounds, generator.random(lengths.sum())), WORDS - 1)]
        texts = [" ".join(part) for part in np.split(drawn, np.cumsum(lengths)[:-1])]
        hosts = generator.integers(0, 5_000, count)
        scores = generator.random(count).round(4)
        yield pa.RecordBatch.from_pydict(
            {
                "document_id": [f"{key:032x}" for key in ids[start : start + count]],
                "snapshot": ["SAMPLE-2026-01"] * count,
                "url": [f"https://www.host-{host}.example/{page:x}/index.html" for host, page in zip(hosts, generator.integers(0, 2**40, count), strict=True)],
                "registered_domain": [f"host-{host}.example" for host in hosts],
                "fetch_time": pa.array(generator.integers(1_700_000_000_000_000, 1_710_000_000_000_000, count), pa.timestamp("us", tz="UTC")),
                "warc_offset": generator.integers(0, 2**30, count),
                "languages": [[{"label": "it", "score": score}, {"label": "en", "score": 1 - score}] for score in scores],
                "language_score": scores,
                "noai": generator.random(count) < 0.05,
                "text": texts,
                "characters": [len(text) for text in texts],
            },
            schema=DOCUMENTS.schema,
        )


def measure_batches(rows: int, *, changed: bool, batch_rows: int = 50_000, seed: int = 2) -> Iterator[pa.RecordBatch]:
    """Measures in order of their ids; changed ones lack a row in a hundred, have as many of their own, and other values in a tenth."""
    for start in range(0, rows, batch_rows):
        count = min(batch_rows, rows - start)
        generator = np.random.default_rng((seed, start))
        places = np.arange(start, start + count)
        share = generator.random(count)
        words = generator.integers(0, 10_000, count)
        if changed:
            share = np.where(places % 10 == 3, share / 2, share)
        ids = np.char.add(np.char.zfill(places.astype(str), 12), np.where((places % 100 == 7) & changed, "b", "a"))
        hosts = generator.integers(0, 5_000, count)
        yield pa.RecordBatch.from_pydict(
            {
                "document_id": ids.tolist(),
                "domain": [f"host-{host}.example" for host in hosts],
                "words": words,
                "share": share,
                "kept": share > 0.3,
                "line": [f"la riga {word} di {host}" for word, host in zip(words, hosts, strict=True)],
            },
            schema=MEASURES.schema,
        )
