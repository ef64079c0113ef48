"""Packed documents stay apart, nothing is dropped, and no document predicts the next one's beginning."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.checkpoints import ATTENTION
from training.errors import TrainingError
from training.packing import IGNORED, Row, collate, pack_split, pack_whole

IDS = st.lists(st.integers(3, 250), min_size=1, max_size=40)


@given(st.lists(IDS, max_size=12), st.integers(1, 16))
def test_splitting_drops_no_token_and_mixes_no_documents(documents: list[list[int]], length: int) -> None:
    rows = list(pack_split(documents, length))
    assert [token for row in rows for token in row.input_ids] == [token for document in documents for token in document]
    assert all(row.tokens == length for row in rows[:-1])
    ends, place = set(), 0
    for row in rows:
        for piece in row.document_lengths:
            place += piece
            ends.add(place)
    boundary = 0
    for document in documents:
        boundary += len(document)
        assert boundary in ends, "a document's end must end a piece"


@given(st.lists(st.tuples(IDS, st.booleans()), min_size=1, max_size=10))
def test_whole_examples_stay_whole(examples: list[tuple[list[int], bool]]) -> None:
    encoded = [(ids, [wanted] * len(ids)) for ids, wanted in examples]
    rows = list(pack_whole(encoded, 40))
    assert [length for row in rows for length in row.document_lengths] == [len(ids) for ids, _ in encoded]
    assert all(row.tokens <= 40 for row in rows)
    labels = [label for row in rows for label in row.labels()]
    flat = [token if wanted and place else IGNORED for ids, wanted in examples for place, token in enumerate(ids)]
    assert labels == flat


def test_an_example_longer_than_a_row_is_an_error() -> None:
    with pytest.raises(TrainingError, match="does not fit a row of 2"):
        list(pack_whole([([1, 2, 3], [True] * 3)], 2))


def test_a_row_whose_lengths_disagree_is_an_error() -> None:
    with pytest.raises(TrainingError, match="must agree"):
        Row([1, 2, 3], [2])


def test_padding_is_a_document_of_its_own_and_no_target() -> None:
    batch = collate([Row([5, 6, 7, 8], [2, 2]), Row([9, 10], [2])], pad_token=2)
    assert batch.position_ids.tolist() == [[0, 1, 0, 1], [0, 1, 0, 1]]
    assert batch.labels.tolist() == [[IGNORED, 6, IGNORED, 8], [IGNORED, 10, IGNORED, IGNORED]]


@pytest.mark.parametrize("attention", list(ATTENTION))
def test_a_packed_document_sees_no_other(tiny: Path, attention: str) -> None:
    """Logits of a document in a packed row equal those of the document alone, in every kernel offered; without positions they do not."""
    import torch

    from training.checkpoints import load_model

    model = load_model(tiny)
    model.set_attn_implementation(ATTENTION[attention])
    first, second = list(range(10, 40)), list(range(100, 150))
    packed = collate([Row([*first, *second], [30, 50])], 0)
    alone = collate([Row(second, [50])], 0)
    with torch.no_grad():
        together = model(input_ids=packed.input_ids, position_ids=packed.position_ids, use_cache=False).logits[0, 30:]
        apart = model(input_ids=alone.input_ids, position_ids=alone.position_ids, use_cache=False).logits[0]
        leaking = model(input_ids=packed.input_ids, use_cache=False).logits[0, 30:]
    assert (together - apart).abs().max() <= 1e-5
    assert (leaking - apart).abs().max() > 1e-3, "the comparison must be able to fail"


def test_the_loss_of_packed_rows_is_that_of_their_documents(tiny: Path) -> None:
    """The training path itself, in chunks, with padding, against each document alone."""
    import torch

    from training.checkpoints import load_model
    from training.loss import token_losses

    model = load_model(tiny)
    documents = [list(range(5, 30)), list(range(60, 75)), list(range(90, 130))]
    rows = list(pack_whole([(ids, [True] * len(ids)) for ids in documents], 45))
    with torch.no_grad():
        packed = token_losses(model, collate(rows, 2), chunk_tokens=7)
        alone = torch.cat([token_losses(model, collate([Row(ids, [len(ids)])], 2), 1000) for ids in documents])
    assert packed.shape == (sum(len(ids) - 1 for ids in documents),)
    assert torch.allclose(packed, alone, atol=1e-5)
