"""Clusters depend on the set of documents, never on order, snapshots, workers or blocks; near copies are found, others are not."""

from __future__ import annotations

import hashlib
import itertools
import random
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.web import duplicates
from corpus.web.duplicates import build, clustering, links
from corpus.web.duplicates.rows import read_ranges, shards_of
from corpus.web.errors import WebCorpusError
from corpus.web.minhash import hashes
from corpus.web.settings import DuplicateSettings, SignalSettings
from foundation.execution import Engine
from foundation.store.writing import TableWriter

PLAIN = SignalSettings()
WORDS = [f"pa{a}{b}ola" for a in "bcdfglmnprstvz" for b in "aeioubcdfgl"]  # numbers would all be one word to MinHash
SCHEMA = pa.schema(
    [("document_id", pa.string()), ("normalized_sha256", pa.string()), ("signature", pa.list_(pa.uint32())), ("bands", pa.list_(pa.uint64()))]
)
Row = tuple[str, str, "list[int] | None", list[int]]


def row_of(key: str, text: str) -> Row:
    found = hashes(text, PLAIN)
    return key, found.normalized_sha256, found.signature, found.bands


def write(path: Path, rows: Sequence[Row], group: int = 1_000) -> Path:
    columns = list(zip(*sorted(rows, key=lambda row: row[0]), strict=True)) or [[], [], [], []]
    pq.write_table(pa.table([pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA), path, row_group_size=group)
    return path


def clusters_of(snapshots: Mapping[str, Sequence[Row]], settings_: DuplicateSettings, workers: int = 1, group: int = 1_000) -> tuple[pa.Table, clustering.Clustering]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        files = {name: [write(root / f"{name}.parquet", rows, group)] for name, rows in snapshots.items()}
        found = duplicates.cluster(files, settings_, root / "work", Engine(workers=workers))
        with TableWriter(duplicates.CLUSTERS, root / "table") as writer:
            tables = list(found.tables())
            for table in tables:
                writer.write(table)
        return pa.concat_tables([*tables, duplicates.CLUSTERS.schema.empty_table()]), found.summary


def sets_of(table: pa.Table) -> dict[str, str]:
    return dict(zip(table["document_id"].to_pylist(), table["cluster_id"].to_pylist(), strict=True))


def text_of(seed: int, words: int = 120) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=words))


def test_copies_near_copies_and_strangers() -> None:
    base = text_of(1)
    near = base.replace(base.split()[60], "altro", 1)
    texts = {"c": base, "a": near, "b": base.upper() + "!", "z": text_of(2), "e": "Breve.", "f": "breve", "g": "***", "h": "---", "i": "***"}
    table, summary = clusters_of({"S": [row_of(*item) for item in texts.items()]}, DuplicateSettings())
    assert sets_of(table) == {"a": "a", "b": "a", "c": "a", "z": "z", "e": "e", "f": "e", "g": "g", "h": "h", "i": "g"}
    assert (summary.exact_joins, summary.near_joins, summary.sizes) == (3, 1, {1: 2, 2: 2, 3: 1})
    assert dict(zip(table["document_id"].to_pylist(), table["cluster_size"].to_pylist(), strict=True))["b"] == 3
    assert table.schema == duplicates.CLUSTERS.schema


def plain_clusters(rows: Mapping[str, Row], settings_: DuplicateSettings) -> dict[str, str]:
    """The definition, slowly: every pair of documents."""
    sets = {key: {key} for key in rows}
    for one, other in itertools.combinations(rows.values(), 2):
        shared = one[1] == other[1]
        if not shared and one[2] is not None and other[2] is not None and set(zip(range(14), one[3], strict=True)) & set(zip(range(14), other[3], strict=True)):
            shared = np.equal(one[2], other[2]).mean() >= settings_.min_similarity
        if shared and sets[one[0]] is not sets[other[0]]:
            sets[one[0]] |= sets[other[0]]
            for key in sets[one[0]]:
                sets[key] = sets[one[0]]
    return {key: min(found) for key, found in sorted(sets.items())}


def family(seed: int, edits: int, variant: int) -> str:
    """One of many texts that are more or less alike."""
    words = text_of(seed).split()
    for place in random.Random(f"{seed} {variant}").sample(range(len(words)), edits):
        words[place] = f"var{'abcdefgh'[variant % 8]}iante"
    return " ".join(words)


DOCUMENTS = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from([0, 0, 1, 2, 4, 6, 9]), st.integers(0, 7), st.integers(0, 3)), min_size=1, max_size=24
)


@settings(max_examples=40, deadline=None)
@given(documents=DOCUMENTS, order=st.randoms(use_true_random=False), group=st.sampled_from([1, 3, 1_000]))
def test_any_snapshots_and_orders_make_the_clusters_of_the_definition(
    documents: list[tuple[int, int, int, int]], order: random.Random, group: int
) -> None:
    rows = {
        key: row_of(key, family(seed, edits, variant))
        for index, (seed, edits, variant, _) in enumerate(documents)
        for key in [hashlib.sha256(str(index).encode()).hexdigest()[:32]]
    }
    expected = plain_clusters(rows, DuplicateSettings())
    whole, summary = clusters_of({"ALL": list(rows.values())}, DuplicateSettings(), group=group)
    assert sets_of(whole) == expected and sum(size * count for size, count in summary.sizes.items()) == len(rows)
    apart: dict[str, list[Row]] = {}
    for row, (_, _, _, snapshot) in zip(rows.values(), documents, strict=True):
        apart.setdefault(f"S{snapshot}", []).append(row)
    names = list(apart)
    order.shuffle(names)
    several, other = clusters_of({name: apart[name] for name in names}, DuplicateSettings(), group=group)
    assert sets_of(several) == expected and several["cluster_size"] == whole["cluster_size"]
    assert (other.exact_joins, other.near_joins, other.sizes) == (summary.exact_joins, summary.near_joins, summary.sizes)


def template(index: int) -> str:
    """A page built around the boilerplate of all: it shares a band with many others (their Jaccard similarity is 0.5), and copies none."""
    return f"{text_of(7, 130)} {text_of(1_000 + index, 60)}"


def test_large_buckets_are_linear_and_depend_on_the_set_alone() -> None:
    rng = random.Random(3)
    pages = {f"{index:04d}": template(index) for index in range(4_000)}
    copies = {}
    for key in list(pages)[::8]:
        words = pages[key].split()
        for place in rng.sample(range(len(words)), rng.randint(1, 5)):
            words[place] = f"altro{words[place]}"
        copies[f"x{key}"] = " ".join(words)
    rows = [row_of(key, text) for key, text in {**pages, **copies}.items()]
    every, whole = clusters_of({"S": rows}, DuplicateSettings(max_bucket=10_000))
    quick = DuplicateSettings(max_bucket=50, neighbours=1)
    table, summary = clusters_of({"S": rows}, quick)
    assert summary.large_buckets > 5 and whole.large_buckets == 0
    assert summary.compared_pairs < whole.compared_pairs / 2
    found, exact = ({key for key in copies if sets[key] == sets[key[1:]]} for sets in (sets_of(table), sets_of(every)))
    assert len(exact) > 0.9 * len(copies) and len(exact - found) <= 0.01 * len(exact)
    apart = {name: [row for row in rows if int(row[0][-1]) % 3 == place] for place, name in enumerate(("A", "B", "C"))}
    first, _ = clusters_of(apart, quick)
    second, _ = clusters_of(dict(reversed(apart.items())), quick, group=37)
    assert first.equals(second)


def test_workers_parts_and_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row_of(f"{index:03d}", family(index % 40, index % 7, index)) for index in range(300)]
    expected, summary = clusters_of({"S": rows}, DuplicateSettings())
    monkeypatch.setattr(clustering, "PARALLEL_ROWS", 0)
    monkeypatch.setattr(clustering, "_TABLE_ROWS", 16)
    monkeypatch.setattr(links, "_BLOCK_ROWS", 32)
    monkeypatch.setattr(clustering, "parts_of", lambda rows: 3)
    for workers in (1, 2):
        found, other = clusters_of({"S": rows}, DuplicateSettings(), workers=workers, group=64)
        assert found.equals(expected) and other == summary


def test_adding_a_snapshot_keeps_what_was_joined() -> None:
    old = [row_of(f"a{seed}", family(seed, 0, 0)) for seed in range(6)]
    new = [row_of(f"0{seed}", family(seed, 1, seed)) for seed in range(3)]
    before, _ = clusters_of({"OLD": old}, DuplicateSettings())
    after, _ = clusters_of({"OLD": old, "NEW": new}, DuplicateSettings())
    assert set(sets_of(before).values()) == {f"a{seed}" for seed in range(6)}
    assert {key: value for key, value in sets_of(after).items() if key.startswith("a")} == {f"a{s}": f"0{s}" if s < 3 else f"a{s}" for s in range(6)}
    assert set(after["snapshot"].to_pylist()) == {"OLD", "NEW"}


def test_nothing_to_cluster() -> None:
    table, summary = clusters_of({"EMPTY": []}, DuplicateSettings())
    assert table.num_rows == summary.documents == 0
    table, summary = clusters_of({"EMPTY": [], "SHORT": [row_of("a", "due parole"), row_of("b", "due, parole!")]}, DuplicateSettings())
    assert sets_of(table) == {"a": "a", "b": "a"} and summary.compared_pairs == 0


def test_signals_that_do_not_fit_are_refused() -> None:
    wide = row_of("a", text_of(1))
    narrow = hashes(text_of(2), SignalSettings(permutations=64))
    other = ("b", narrow.normalized_sha256, narrow.signature, narrow.bands)
    with pytest.raises((WebCorpusError, RuntimeError), match="expected; snapshots can be compared only with the same `permutations`"):
        clusters_of({"A": [wide], "B": [other]}, DuplicateSettings())


def test_signatures_estimate_jaccard_as_theory_says() -> None:
    """Mean and spread of the share of equal values, and how often pairs share a band, are those of independent hash functions."""
    rng = random.Random(5)
    shares, shared = [], []
    for trial in range(400):
        words = [f"w{'abcdefghij'[number % 10]}{trial}x".translate(str.maketrans("0123456789", "klmnopqrst")) + chr(97 + number // 10) * 2 for number in range(229)]
        changed = list(words)
        for place in rng.sample(range(4, 225, 9), 25):  # far enough apart: each spoils 5 shingles of its own
            changed[place] = f"{words[place]}zz"
        one, other = hashes(" ".join(words), PLAIN), hashes(" ".join(changed), PLAIN)
        shares.append(np.equal(one.signature, other.signature).mean())
        shared.append(any(a == b for a, b in zip(one.bands, other.bands, strict=True)))
    jaccard = (225 - 125) / (225 + 125)
    assert abs(np.mean(shares) - jaccard) < 4 * np.sqrt(jaccard * (1 - jaccard) / 112 / 400)
    assert 0.8 < np.var(shares) / (jaccard * (1 - jaccard) / 112) < 1.25
    assert abs(np.mean(shared) - (1 - (1 - jaccard**8) ** 14)) < 0.03


def test_files_are_cut_at_row_groups(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [row_of(f"{index:02d}", text_of(index)) for index in range(25)], group=5)
    assert shards_of({"A": [path]}, 10) == [["A", str(path), 0, 2], ["A", str(path), 2, 2], ["A", str(path), 4, 1]]
    assert read_ranges([]) == []


@pytest.mark.parametrize(("sizes", "share", "passed"), [({}, 0.0, True), ({1: 4}, 0.0, True), ({1: 1, 9: 1}, 0.8, True), ({20: 5}, 0.95, False)])
def test_gate_on_the_share_of_duplicates(sizes: dict[int, int], share: float, passed: bool) -> None:
    summary = clustering.Clustering(sum(size * count for size, count in sizes.items()), 0, 0, 0, 0, sizes)
    gate = build._duplicate_share(summary, DuplicateSettings().max_duplicate_share)
    assert (gate.value, gate.passed, gate.threshold) == (share, passed, 0.9)
