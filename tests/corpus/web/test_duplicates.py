"""Clusters depend on the set of documents, never on their order; near copies are found, different texts are not."""

from __future__ import annotations

import random

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.web.duplicates import cluster
from corpus.web.minhash import bands, signature
from corpus.web.settings import DuplicateSettings, SignalSettings

PLAIN = SignalSettings()
WORDS = [f"pa{a}{b}ola" for a in 'bcdfglmnprstvz' for b in 'aeiouàèìòùbcdfgl']  # numbers would all be one word to MinHash


def rows(texts: dict[str, str]) -> pl.DataFrame:
    found = []
    for key, text in texts.items():
        values = signature(text, PLAIN)
        found.append({"document_id": key, "snapshot": "SAMPLE-2026-01", "text_sha256": text, "signature": values, "bands": bands(values, 8)})
    schema = {"document_id": pl.String, "snapshot": pl.String, "text_sha256": pl.String, "signature": pl.List(pl.UInt32), "bands": pl.List(pl.UInt64)}
    return pl.DataFrame(found, schema=schema)


def text_of(seed: int, words: int = 120) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=words))


def test_copies_near_copies_and_strangers() -> None:
    base = text_of(1)
    near = base.replace(base.split()[60], "altro", 1)
    found = cluster(rows({"c": base, "a": near, "b": base, "z": text_of(2), "e": "breve", "f": "breve"}), DuplicateSettings())
    sets = dict(zip(found.clusters["document_id"], found.clusters["cluster_id"], strict=True))
    assert sets == {"a": "a", "b": "a", "c": "a", "z": "z", "e": "e", "f": "e"}
    assert found.exact_pairs == 2 and found.near_pairs == 2
    assert dict(zip(found.clusters["document_id"], found.clusters["cluster_size"], strict=True))["b"] == 3


@settings(max_examples=25, deadline=None)
@given(seeds=st.lists(st.integers(0, 5), min_size=1, max_size=14), order=st.randoms(use_true_random=False), cap=st.sampled_from([2, 200]))
def test_order_does_not_matter(seeds: list[int], order: random.Random, cap: int) -> None:
    texts = {}
    for index, seed in enumerate(seeds):
        words = text_of(seed).split()
        words[index % len(words)] = "xyz"[index % 3] + "ariante"
        texts[f"{(index * 7919) % 97:02d}{index}"] = " ".join(words)
    straight = rows(texts)
    shuffled = straight.sample(fraction=1.0, shuffle=True, seed=order.randint(0, 10_000))
    settings_ = DuplicateSettings(max_bucket=cap)
    first, second = cluster(straight, settings_), cluster(shuffled, settings_)
    assert first.clusters.equals(second.clusters)
    smallest = first.clusters.group_by("cluster_id").agg(pl.col("document_id").min())
    assert (smallest["cluster_id"] == smallest["document_id"]).all()


def test_nothing_to_cluster() -> None:
    found = cluster(rows({}), DuplicateSettings())
    assert found.clusters.height == 0
