"""How often documents are repeated, by cluster size: FineWeb-2's weights, a mapping, or once."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus.web.errors import WebCorpusError
from corpus.web.rehydration import Weights, repetitions
from foundation.settings import PROFILES_ROOT


@pytest.mark.parametrize(
    ("size", "times"),
    [(1, 1), (2, 3), (5, 6), (6, 6), (7, 7), (10, 8), (11, 9), (16, 9), (17, 10), (25, 10), (26, 9), (117, 3), (118, 2), (124, 3), (144, 2), (145, 1), (10**6, 1)],
)
def test_weights_of_fineweb_2(size: int, times: int) -> None:
    assert repetitions(size, Weights.of(PROFILES_ROOT / "rehydration" / "fineweb2_ita.yaml")) == times


def test_a_mapping_or_none() -> None:
    assert [repetitions(size, Weights.of({10: 2, 1: 1})) for size in (1, 9, 10, 11)] == [1, 1, 2, 2]
    assert repetitions(7, Weights.of(None)) == 1


@pytest.mark.parametrize("weights", [{}, {2: 3}, {1: 0}, {1: 1, 0: 1}, {1: True}, {1: 1.5}])
def test_wrong_weights_are_refused(weights: dict[int, int]) -> None:
    with pytest.raises(WebCorpusError, match="weights of rehydration"):
        Weights.of(weights)


@pytest.mark.parametrize(("content", "message"), [("weights: 3", "must map"), ("name: x", "no file of rehydration"), ("[", "no file of rehydration")])
def test_wrong_files_are_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "weights.yaml"
    path.write_text(content)
    with pytest.raises(WebCorpusError, match=message):
        Weights.of(path)
