"""The clean corpus: reasons in their order, what the ledger keeps, and the same tables however the work was divided."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest

from corpus.web import clean_build, clean_tables
from corpus.web.clean import DECISION_COLUMNS, LEDGER, TEXT, CleanRun, finish, finish_shard
from corpus.web.clean_tables import CleanSummary, FinishedRanges, write_representatives
from corpus.web.errors import WebCorpusError
from corpus.web.personal_data import SECRET
from corpus.web.settings import CleanSettings, PersonalDataSettings, WebSettings
from corpus.web.signals import shards_of
from corpus.web.stages import stages
from foundation.language.words import load_tokenizer
from foundation.stages import Stage, StageResult

SNAPSHOT = "SAMPLE-2026-01"
OTHER = "SAMPLE-2026-02"
KEY = "un segreto abbastanza lungo"
Runner = Callable[..., StageResult]


def document(key: str, text: str, snapshot: str = SNAPSHOT) -> dict[str, Any]:
    domain = f"d{int(key[:2], 16) % 7}.example"
    return {
        "document_id": key, "snapshot": snapshot, "url": f"https://{domain}/{key}", "registered_domain": domain, "licence": None,
        "language": "it", "text": text, "characters": len(text),
    }  # fmt: skip


def decision(row: Mapping[str, Any], **values: Any) -> dict[str, Any]:
    failed = values.pop("failed_rules", [])
    return {
        "document_id": row["document_id"], "passes_rules": not failed, "first_failed": failed[0] if failed else None, "failed_rules": failed,
        "removed_lines": [], "kept_characters": len(row["text"]), "overlap": [], **values,
    }  # fmt: skip


DECIDED = {
    "document_id": pl.String, "passes_rules": pl.Boolean, "first_failed": pl.String, "failed_rules": pl.List(pl.String),
    "removed_lines": pl.List(pl.Int32), "kept_characters": pl.Int64,
    "overlap": pl.List(pl.Struct({"benchmark": pl.String, "start": pl.Int64, "end": pl.Int64, "items": pl.List(pl.String)})),
}  # fmt: skip


def frames(*rows: tuple[dict[str, Any], dict[str, Any], str, int]) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Documents, decisions and clusters of (document, decision values, cluster, size)."""
    documents = pl.DataFrame([row for row, _, _, _ in rows], schema_overrides={"licence": pl.String})
    decisions = pl.DataFrame([decision(row, **values) for row, values, _, _ in rows], schema=DECIDED)
    clusters = pl.DataFrame([{"document_id": row["document_id"], "cluster_id": name, "cluster_size": size} for row, _, name, size in rows])
    return documents, decisions, clusters


SPAN = {"benchmark": "quiz", "start": 0, "end": 13, "items": ["1"]}
CASES = frames(
    (document("01", "un testo normale"), {}, "01", 1),
    (document("02", "troppo corto"), {"failed_rules": ["short_document", "few_words"]}, "02", 1),
    (document("03", "una copia"), {}, "03", 2),
    (document("04", "una copia più lunga"), {}, "03", 2),
    (document("05", "domanda quiz\ne il resto"), {"overlap": [SPAN]}, "05", 1),
    (document("06", "domanda quiz!"), {"overlap": [SPAN]}, "06", 1),
    (document("07", "via la riga\nscrivi a m.rossi@posta.example.it"), {"removed_lines": [0], "kept_characters": 33}, "07", 1),
)


def outcomes(settings: CleanSettings) -> dict[str, tuple[str | None, str | None]]:
    rows = finish(*CASES, {"04"}, settings, load_tokenizer("it"))
    return {row["document_id"]: (row["reason"], row["text"]) for row in rows}


def test_reasons_in_their_order() -> None:
    found = outcomes(CleanSettings())
    assert {key: reason for key, (reason, _) in found.items()} == {
        "01": None, "02": "short_document", "03": "duplicate", "04": None, "05": "benchmark_overlap", "06": "benchmark_overlap", "07": None,
    }  # fmt: skip
    assert found["07"][1] == "scrivi a <EMAIL>" and found["02"][1] is None
    cut = outcomes(CleanSettings(overlap="cut"))
    assert cut["05"] == (None, "e il resto") and cut["06"] == ("nothing_left", None)


@pytest.mark.parametrize("keeps", ["none", "hash", "all"])
def test_what_the_ledger_keeps_of_dropped_text(keeps: Any) -> None:
    documents, decisions, clusters = frames(
        (document("01", "chiama m.rossi@posta.example.it"), {"failed_rules": ["short_document"]}, "01", 1), (document("02", "resta"), {}, "02", 1)
    )
    dropped, kept = finish(documents, decisions, clusters, set(), CleanSettings(retain_dropped_text=keeps), load_tokenizer("it"))
    digest = hashlib.sha256(b"chiama m.rossi@posta.example.it").hexdigest()
    assert dropped["dropped_text_sha256"] == (None if keeps == "none" else digest)
    assert dropped["dropped_text"] == ("chiama <EMAIL>" if keeps == "all" else None)
    assert kept["dropped_text_sha256"] is None and kept["dropped_text"] is None and dropped["text_sha256"] is None


def corpus_of(seed: int, documents: int) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]], dict[str, tuple[str, int]]]:
    """Random documents of two snapshots with everything that can become of them."""
    random = Random(seed)
    rows, values, clusters = [], {}, {}
    texts = [f"testo numero {number} con parole" + " in più" * random.randrange(3) for number in range(documents)]
    for number in range(documents):
        key = f"{random.getrandbits(64):016x}"
        text = random.choice(texts[:5]) if random.random() < 0.2 else texts[number]
        if random.random() < 0.2:
            text += f"\nscrivi a nome{number}@posta.example.it"
        rows.append(document(key, text, random.choice([SNAPSHOT, OTHER])))
        values[key] = {"failed_rules": ["short_document"]} if random.random() < 0.2 else {"overlap": [{**SPAN, "end": 5}]} if random.random() < 0.1 else {}
    for row in rows:
        group = random.choice(rows)["document_id"] if random.random() < 0.3 else row["document_id"]
        clusters[row["document_id"]] = group
    sizes = {name: list(clusters.values()).count(name) for name in clusters.values()}
    return rows, values, {key: (name, sizes[name]) for key, name in clusters.items()}


def tables(
    folder: Path, rows: list[dict[str, Any]], values: Mapping[str, Any], clusters: Mapping[str, tuple[str, int]], settings: CleanSettings, shard_rows: int
) -> tuple[dict[str, pl.DataFrame], pl.DataFrame, CleanSummary]:
    """Text by split and ledger, by way of files, shards and ranges."""
    folder.mkdir()
    run_decisions, shards = {}, []
    for name in (SNAPSHOT, OTHER):
        own = sorted((row for row in rows if row["snapshot"] == name), key=lambda row: row["document_id"])
        documents, decisions, _ = frames(*((row, values[row["document_id"]], "", 1) for row in own))
        documents.write_parquet(folder / f"{name}.documents")
        decisions.write_parquet(folder / f"{name}.decisions")
        run_decisions[name] = [str(folder / f"{name}.decisions")]
        shards += [[name, *shard] for shard in shards_of([folder / f"{name}.documents"], shard_rows)]
    grouped = [{"document_id": key, "cluster_id": name, "cluster_size": size} for key, (name, size) in sorted(clusters.items())]
    pl.DataFrame(grouped).write_parquet(folder / "clusters")
    write_representatives([Path(path) for paths in run_decisions.values() for path in paths], [folder / "clusters"], folder / "best")
    run = CleanRun(run_decisions, [str(folder / "clusters")], str(folder / "best"), settings, "it", None)
    outputs = []
    for number, shard in enumerate(shards):
        outputs.append(folder / f"{number}.parquet")
        finish_shard(shard, outputs[-1], run)
    finished = FinishedRanges(outputs, settings, seed=1)
    summary, parts, ledgers = CleanSummary("it"), [], []
    for found in finished.ranges():
        parts.append(finished.text(found))
        ledgers.append(finished.ledger(found))
        summary.add(found, parts[-1])
    return {split: pl.concat([part[split] for part in parts]) for split in TEXT.splits}, pl.concat(ledgers), summary


@pytest.mark.parametrize("overlap", ["drop", "cut"])
@pytest.mark.parametrize("seed", range(3))
def test_tables_do_not_depend_on_shards_and_ranges(seed: int, overlap: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = CleanSettings(overlap=overlap, retain_dropped_text="all", validation_share=0.3, rehydration={1: 1, 2: 3, 4: 5})
    corpus = corpus_of(seed, 160)
    whole = tables(tmp_path / "whole", *corpus, settings, 1_000)
    monkeypatch.setattr(clean_tables, "RANGE_ROWS", 10)
    monkeypatch.setattr("corpus.web.clean.ROW_GROUP_ROWS", 4)
    parts = tables(tmp_path / "parts", *corpus, settings, 7)
    assert parts[1].equals(whole[1]) and all(parts[0][split].equals(whole[0][split]) for split in TEXT.splits)
    assert (parts[2].dropped, parts[2].splits, parts[2].personal_data) == (whole[2].dropped, whole[2].splits, whole[2].personal_data)
    check_against_the_rules(corpus, *whole, settings)


def check_against_the_rules(
    corpus: Any, text: Mapping[str, pl.DataFrame], ledger: pl.DataFrame, summary: CleanSummary, settings: CleanSettings
) -> None:
    """What the design says of the tables, checked one by one and slowly."""
    rows, values, clusters = corpus
    assert ledger["document_id"].to_list() == sorted(row["document_id"] for row in rows)
    assert ledger.columns == LEDGER.schema.names
    reasons = dict(zip(ledger["document_id"], ledger["reason"], strict=True))
    by_key = {row["document_id"]: row for row in rows}
    for name in {name for name, _ in clusters.values()}:
        members = [key for key, (own, _) in clusters.items() if own == name and not values[key].get("failed_rules")]
        best = min(members, key=lambda key: (-len(by_key[key]["text"]), key), default=None)
        for key in members:
            allowed = ("duplicate",) if key != best else (None, "benchmark_overlap", "same_text", "nothing_left")
            assert reasons[key] in allowed, (key, reasons[key])
    assert {key for key in reasons if reasons[key] == "short_document"} == {key for key in reasons if values[key].get("failed_rules")}
    published = pl.concat(text.values())
    assert published["text"].n_unique() == published.height == sum(reason is None for reason in reasons.values()) == summary.kept
    assert summary.repeated == 0 and not set(text["train"]["registered_domain"]) & set(text["validation"]["registered_domain"])
    if settings.overlap == "drop":
        assert {key for key, reason in reasons.items() if reason is None} & {key for key in values if values[key].get("overlap")} == set()
    for row in ledger.filter(pl.col("reason") == "same_text").iter_rows(named=True):
        assert row["dropped_text"] in set(published["text"]) and row["text_sha256"] is None and row["kept_characters"] == 0
        assert published.filter(pl.col("text") == row["dropped_text"])["document_id"].item() < row["document_id"]
    for row in published.iter_rows(named=True):
        assert row["repetitions"] == (1 if row["cluster_size"] == 1 else 3 if row["cluster_size"] < 4 else 5)
        assert row["characters"] == len(row["text"]) and row["words"] == len(load_tokenizer("it")(row["text"]))
        assert "@" not in row["text"] and row["personal_data"]["email"] == row["text"].count("<EMAIL>")
    assert not any("@" in (value or "") for value in ledger["dropped_text"])


def test_the_sets_of_columns_are_those_of_decisions() -> None:
    from corpus.web.decisions import DECISIONS

    assert set(DECISION_COLUMNS) <= set(DECISIONS.schema.names)


@pytest.fixture
def line(stage_runner: Runner, web: WebSettings, sections: Mapping[str, Any], benchmark_stage: Stage) -> Callable[..., StageResult]:
    """Run one asset of the web corpus, under other sections where given; everything before it is made first."""
    graph = (*stages(web), benchmark_stage)
    order = ("benchmark_sets", "snapshot", "documents", "signals", "decisions", "duplicate_clusters", "clean_corpus")
    partitioned = {stage.asset for stage in graph if stage.partitioned}

    def run(asset: str, changed: Mapping[str, Any] | None = None, workers: int = 1) -> StageResult:
        for name in order[: order.index(asset) + 1]:
            result = stage_runner(graph, {**sections, **(changed or {})}, name, SNAPSHOT if name in partitioned else None, workers=workers)
        return result

    return run


def test_two_workers_give_the_same_version(line: Callable[..., StageResult], web: WebSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clean_build, "_SHARD_ROWS", 5)
    one = line("clean_corpus")
    other = web.clean.model_copy(update={"min_language_share": 0.5})  # a gate: another fingerprint, the same rows
    monkeypatch.setattr(clean_build, "_SHARD_ROWS", 3)
    two = line("clean_corpus", {"corpus.web.clean": other}, workers=2)
    assert not two.reused and two.record.fingerprint != one.record.fingerprint
    assert two.published.version == one.published.version and one.published.rows


def test_a_changed_threshold_recomputes_neither_signals_nor_clusters(line: Callable[..., StageResult], web: WebSettings) -> None:
    line("clean_corpus")
    rules = web.decisions.model_copy(update={"overlap_words": 9})
    found = {asset: line(asset, {"corpus.web.decisions": rules}).reused for asset in ("signals", "decisions", "duplicate_clusters")}
    assert found == {"signals": True, "decisions": False, "duplicate_clusters": True}
    published = web.clean.model_copy(update={"overlap": "cut"})
    for asset in ("signals", "duplicate_clusters", "decisions"):
        assert line(asset, {"corpus.web.clean": published}).reused
    cut = line("clean_corpus", {"corpus.web.clean": published})
    assert not cut.reused and cut.published.statistics["cut_documents"] == 1
    assert cut.published.statistics["benchmarks"]["planted"]["items_found"] == 1


def test_surrogates_follow_the_secret_and_the_secret_stays_out_of_the_store(
    line: Callable[..., StageResult], web: WebSettings, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    personal = PersonalDataSettings(**{**web.clean.personal_data.model_dump(), "mode": "surrogates"})
    changed = {"corpus.web.clean": web.clean.model_copy(update={"personal_data": personal})}
    monkeypatch.delenv(SECRET, raising=False)
    with pytest.raises(WebCorpusError, match=f"{SECRET} is not set; set it to at least 16"):
        line("clean_corpus", changed)
    monkeypatch.setenv(SECRET, KEY)
    first = line("clean_corpus", changed)
    assert line("clean_corpus", changed).reused
    monkeypatch.setenv(SECRET, KEY[::-1])
    second = line("clean_corpus", changed)
    assert not second.reused and second.published.version != first.published.version
    text = first.published.read("text")
    assert sum(row["email"] for row in text["personal_data"]) == 2 and "\n".join(text["text"]).count("@example.") == 2
    assert "<EMAIL>" in str(first.previews) or "@" not in str(first.previews)
    written = b"".join(path.read_bytes() for path in sorted((home / "store").rglob("*")) if path.is_file() and "clean_corpus" in str(path))
    assert KEY.encode() not in written and KEY[::-1].encode() not in written
    assert first.record.inputs["secrets"][SECRET] != second.record.inputs["secrets"][SECRET]
