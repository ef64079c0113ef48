"""Which merge is published: measured on the files that were written, judged by one rule, said aloud."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tqdm import tqdm

from foundation.language.settings import LanguageSettings
from foundation.stages import Stage, StageResult
from foundation.store import GateFailed
from tests.training.conftest import SENTENCES
from tests.training.test_training_stages import SETTINGS, sections
from training.adapters.choice import MergeChoice, Merging, publish_merge
from training.adapters.merging import MergeTarget, merge_adapter
from training.bits_per_byte import measure
from training.builds.merges import checkpoint_of, merged_weights
from training.checkpoints import load_model, load_tokenizer
from training.errors import MergeError
from training.settings import MergingSettings, TrainingSettings
from training.stages import stages
from training.weights import weights_digest

TARGETS: tuple[MergeTarget, ...] = ("base16", "dequantized")


def publish(tiny: Path, adapter: Path, work: Path, limit: float, preferred: MergeTarget = "base16", quantized: bool = True) -> MergeChoice:
    settings = MergingSettings(max_worse_percent=limit, window_tokens=64)
    merging = Merging(tiny, adapter, quantized, template="{{ 'x' }}")
    return publish_merge(merging, work / "merged", work, SENTENCES, settings, preferred, "cpu", tqdm(disable=True))


@pytest.fixture(scope="module")
def figures(tiny: Path, adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> MergeChoice:
    return publish(tiny, adapter, tmp_path_factory.mktemp("figures"), 1000)


def test_the_figures_are_of_the_files_on_disk(tiny: Path, adapter: Path, figures: MergeChoice, tmp_path: Path) -> None:
    for target in TARGETS:
        merge_adapter(tiny, adapter, tmp_path / target, target)
        again = measure(load_model(tmp_path / target), load_tokenizer(tmp_path / target), SENTENCES, 64).bits_per_byte
        assert figures.merges[target] == again
    assert figures.merges["base16"] != figures.merges["dequantized"]
    assert abs(figures.worse_percent("dequantized")) < 0.2, "what was trained, but for rounding to bf16"


def test_the_profiles_merge_is_published_where_it_passes(tiny: Path, adapter: Path, figures: MergeChoice, tmp_path: Path) -> None:
    for preferred in TARGETS:
        choice = publish(tiny, adapter, tmp_path / preferred, 1000, preferred)
        assert choice.chosen == preferred and choice.gate().passed
        merge_adapter(tiny, adapter, tmp_path / f"by-hand-{preferred}", preferred)
        assert weights_digest(tmp_path / preferred / "merged") == weights_digest(tmp_path / f"by-hand-{preferred}")
        assert load_tokenizer(tmp_path / preferred / "merged").chat_template == "{{ 'x' }}"
        assert [path.name for path in (tmp_path / preferred).iterdir()] == ["merged"], "the other merge is cleared away"


def test_a_merge_that_fails_gives_way_to_the_best_and_it_is_said(
    tiny: Path, adapter: Path, figures: MergeChoice, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    best = figures.best
    worse = next(target for target in TARGETS if target != best)
    limit = (figures.worse_percent(best) + figures.worse_percent(worse)) / 2
    choice = publish(tiny, adapter, tmp_path, limit, worse)
    with caplog.at_level(logging.WARNING):
        choice.say()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["merged"], "the other merge is cleared away"
    assert choice.chosen == best and choice.gate().passed and choice.statistics()["published"] == best
    assert f"Not the profile's merge ({worse})" in caplog.text and f"{choice.merges[worse]:.4f}" in caplog.text
    assert f"Not the profile's merge ({worse})" in choice.table()
    merge_adapter(tiny, adapter, tmp_path / "by-hand", best)
    assert weights_digest(tmp_path / "merged") == weights_digest(tmp_path / "by-hand")


def test_without_a_merge_that_passes_none_is_published(tiny: Path, adapter: Path, tmp_path: Path) -> None:
    choice = publish(tiny, adapter, tmp_path, -90)
    assert choice.chosen is None and not choice.gate().passed and not (tmp_path / "merged").exists()
    assert "raise training.merging.max_worse_percent" in choice.gate().verdict


def test_an_adapter_on_plain_weights_has_one_merge(tiny: Path, adapter: Path, tmp_path: Path) -> None:
    choice = publish(tiny, adapter, tmp_path, 1, quantized=False)
    assert set(choice.merges) == {"base16"} and abs(choice.worse_percent("base16")) < 0.2 and choice.chosen == "base16"


@given(st.floats(0.5, 3), st.floats(0.5, 3), st.floats(0.5, 3), st.floats(-5, 50), st.sampled_from(TARGETS))
def test_the_rule(trained: float, base16: float, dequantized: float, limit: float, preferred: MergeTarget) -> None:
    choice = MergeChoice(trained, {"base16": base16, "dequantized": dequantized}, preferred, limit)
    passing = {target for target in TARGETS if choice.worse_percent(target) <= limit}
    assert (choice.chosen is None) == (not passing)
    if passing:
        assert choice.chosen in passing
        assert choice.chosen == preferred or (preferred not in passing and choice.merges[choice.chosen] == min(base16, dequantized))


def test_a_build_without_a_merge_keeps_the_adapter_and_stops_the_line(
    stage_runner: Callable[..., StageResult], upstream: tuple[Stage, ...], language: LanguageSettings
) -> None:
    settings = TrainingSettings.model_validate({**SETTINGS, "merging": {"max_worse_percent": -90, "passages": 2, "window_tokens": 64}})
    graph: Any = upstream + stages(settings)
    for asset in ("clean_corpus", "replay_text", "evaluation_text", "translated_instructions", "base_model", "adaptation_tokens"):
        stage_runner(graph, sections(settings, language), asset)
    made = stage_runner(graph, sections(settings, language), "adapted_model")
    assert (made.published.files / "adapter").is_dir() and not (made.published.files / "merged").exists()
    assert made.published.statistics["merging"]["published"] is None
    assert "No merged weights" in made.previews["Merging"]
    with pytest.raises(MergeError, match="no merge of its adapter passed"):
        merged_weights(made.published)
    with pytest.raises(MergeError, match="no merge of its adapter passed"):
        checkpoint_of(made.published)  # what `train evaluate` and `train answers` ask for
    with pytest.raises(GateFailed, match=r"merge_keeps_quality.*every merge is too much worse"):
        stage_runner(graph, sections(settings, language), "instruction_model")
