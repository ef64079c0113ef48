"""Mixing with weights: how many copies, which documents, what is counted, and that nothing changes where nothing weighs."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_project.profile import ProfileError, load_profile
from foundation.language.settings import LanguageSettings
from foundation.stages import Stage, StageResult
from tests.training.conftest import documents, made_asset
from tests.training.test_tokens import TOKENIZER, corpus
from tests.training.test_training_stages import sections
from training.errors import TrainingError
from training.mixing import copy_count, ordered_copies
from training.settings import TokenSettings, TrainingSettings
from training.stages import stages
from training.tokens import AdaptationRows, adaptation_rows

IDS = [f"{number:032x}" for number in range(1000)]
factors = st.floats(0, 8, allow_nan=False)


@given(factor=factors, seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_as_many_copies_as_expected(factor: float, seed: int) -> None:
    """Whole factors are exact; of a fraction the draw lies within six standard deviations."""
    counts = [copy_count(factor, document_id, seed) for document_id in IDS]
    whole, part = math.floor(factor), factor - math.floor(factor)
    assert set(counts) <= {whole, whole + 1}
    assert abs(sum(counts) - factor * len(IDS)) <= 6 * math.sqrt(len(IDS) * part * (1 - part)) + 1e-6


@given(low=factors, high=factors, seed=st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_a_larger_factor_never_takes_less_of_a_document(low: float, high: float, seed: int) -> None:
    low, high = sorted((low, high))
    assert all(copy_count(low, document_id, seed) <= copy_count(high, document_id, seed) for document_id in IDS[:100])


def test_repetitions_of_the_corpus_multiply_the_weight() -> None:
    frame = pl.LazyFrame({"document_id": ["a", "b", "c"], "snapshot": ["old", "old", "new"], "repetitions": [1, 3, 2]})
    copies = ordered_copies(frame, {"old": 2.0}, 5)
    assert {name: sum(copy.document_id == name for copy in copies) for name in "abc"} == {"a": 2, "b": 6, "c": 2}
    assert len({copy.key for copy in copies}) == len(copies)
    assert copies == ordered_copies(frame.reverse(), {"old": 2.0}, 5)


def mixed(weights: dict[str, float], folder: Path, *, budget: int | None = None, **columns: Any) -> AdaptationRows:
    train = corpus("t", 40).with_columns(snapshot=pl.when(pl.col("document_id") < "t020").then(pl.lit("old")).otherwise(pl.lit("new"))).with_columns(**columns)
    chosen = TokenSettings.model_validate({"row_tokens": 64, "token_budget": budget, "replay_share": 0.1, "validation_tokens": 200, "weights": weights})
    return adaptation_rows({"train": train, "validation": corpus("v", 5)}, corpus("r", 10), TOKENIZER, chosen, 7, folder)


def test_copies_are_read_and_counted_by_snapshot(tmp_path: Path) -> None:
    made = mixed({"old": 2.0, "new": 0.5}, tmp_path)
    assert made.mix["old"]["documents"] == 20 and made.mix["old"]["copies"] == 40
    drawn = {name for name in (f"t{number:03}" for number in range(20, 40)) if copy_count(0.5, name, 7)}
    assert 0 < len(drawn) < 20 and made.mix["new"]["documents"] == made.mix["new"]["copies"] == len(drawn)
    train = [document for document in made.documents if document.split == "train" and document.corpus == "target"]
    assert {document.document_id for document in train} == drawn | {f"t{number:03}" for number in range(20)}
    assert all(document.used == document.tokens * (1 if document.document_id in drawn else 2) for document in train)
    read = sum(document.used for document in made.documents if document.split == "train")
    assert sum(row.tokens for row in made.train) == read
    text = "".join(TOKENIZER.decode(list(row.input_ids)) for row in made.train)
    assert text.count("t 3 parola") == 2 and text.count("t 30 parola") == ("t030" in drawn)


def test_the_budget_holds_with_copies(tmp_path: Path) -> None:
    made = mixed({"old": 3.0}, tmp_path, budget=3000)
    assert sum(row.tokens for row in made.train) == 3000
    assert sum(counts["tokens_used"] for counts in made.mix.values()) == 2700


def test_where_nothing_weighs_nothing_changes(tmp_path: Path) -> None:
    """The rows of a corpus that tells snapshots and one repetition each are those of one that tells neither; nothing is counted anew."""
    plain = adaptation_rows(
        {"train": corpus("t", 40), "validation": corpus("v", 5)}, corpus("r", 10), TOKENIZER,
        TokenSettings(row_tokens=64, token_budget=None, replay_share=0.1, validation_tokens=200), 7, tmp_path / "plain",
    )  # fmt: skip
    for number, weights in enumerate(({}, {"old": 1.0})):
        made = mixed(weights, tmp_path / str(number), repetitions=pl.lit(1))
        assert list(made.train) == list(plain.train)
        assert [document.row() for document in made.documents] == [document.row() for document in plain.documents]
        assert bool(made.mix) == bool(weights)
    assert list(mixed({}, tmp_path / "twice", repetitions=pl.lit(2)).train) != list(plain.train)


def test_weights_that_leave_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"weights leave none of clean_corpus's train documents: .*'old': 0.0"):
        mixed({"old": 0, "new": 0}, tmp_path)


def test_a_weight_names_a_snapshot_of_the_profile() -> None:
    profile = load_profile("demo").profile
    name = profile.snapshots[0]
    chosen = load_profile("demo", [f"training.tokens.weights={{{name}: 2}}"]).profile
    assert chosen.training.tokens.weights == {name: 2.0}
    with pytest.raises(ProfileError, match=r"training\.tokens\.weights names \['NONE-2001'\], and the profile's snapshots are"):
        load_profile("demo", ["training.tokens.weights={NONE-2001: 2}"])
    with pytest.raises(ProfileError, match=r"greater than or equal to 0"):
        load_profile("demo", [f"training.tokens.weights={{{name}: -1}}"])


def test_the_stage_counts_the_mix_and_wants_snapshots(stage_runner: Callable[..., StageResult], upstream: tuple[Stage, ...], language: LanguageSettings) -> None:
    def tokens(corpus_stage: Stage, weights: dict[str, float]) -> StageResult:
        values = {"base": {"kind": "tiny"}, "tokens": {"row_tokens": 128, "token_budget": None, "validation_tokens": 200, "weights": weights}}
        chosen = TrainingSettings.model_validate(values)
        graph = (corpus_stage, *(stage for stage in upstream if stage.asset != "clean_corpus"), *stages(chosen))
        for asset in ("clean_corpus", "replay_text", "base_model", "chat_base_model"):
            stage_runner(graph, sections(chosen, language), asset)
        return stage_runner(graph, sections(chosen, language), "adaptation_tokens")

    def corpus_of(**extra: Any) -> Stage:
        rows = {split: [{**row, **extra} for row in documents(split, 12)] for split in ("train", "validation")}
        return made_asset("clean_corpus", "text", rows, "document_id")

    mix = tokens(corpus_of(snapshot="S-1", repetitions=2), {"S-1": 1.5}).published.statistics["mix"]
    assert mix["S-1"]["documents"] == 12 and mix["S-1"]["copies"] == 36
    plain = tokens(corpus_of(snapshot="S-1", repetitions=1), {}).published
    assert "mix" not in plain.statistics
    assert tokens(corpus_of(), {}).published.version == plain.version
    with pytest.raises(TrainingError, match=r"columns \['snapshot'\] are missing"):
        tokens(corpus_of(), {"S-1": 2.0})
