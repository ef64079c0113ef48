"""The benchmark measures what it says: both sides train the same, and its GPU part runs where a CPU stands for the GPU."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from benchmarks.training import measure
from benchmarks.training_gpu import measure_gpu, measure_shape

ON_CPU = {"attention": "sdpa", "optimizer": "adamw", "compute_dtype": "float32"}


@pytest.mark.parametrize("switches", [{}, {"nf4_weights": "unpacked"}, {"method": "full"}])
def test_shapes_are_measured(switches: dict[str, str]) -> None:
    measured = measure_shape("tiny", 64, {**ON_CPU, **switches}, device="cpu", micro_tokens=128)
    assert measured["micro_rows"] == 2 and measured["tokens_per_second"] > 0
    assert measured["trainable_parameters"] == (4_178_240 if switches.get("method") == "full" else 64 * 2 * (4 * (64 + 64) + 3 * (64 + 128)))


def test_without_a_gpu_it_says_so() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    assert "no GPU here: nothing was measured" in str(measure_gpu())


@pytest.mark.services
@pytest.mark.skipif(importlib.util.find_spec("trl") is None, reason="pip install '.[bench]'")
def test_both_sides_train_the_same(tmp_path: Path) -> None:
    measured = measure(tmp_path, "tiny", steps=4, rounds=1, row_tokens=64)
    assert measured["loss_difference"] < 1e-4
    assert set(measured["tokens_per_second"]) == {"trl", "ours", "ours-unpacked"}
