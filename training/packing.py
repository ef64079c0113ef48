"""Packing: token sequences of several documents in rows of one length, and rows as the tensors a model is fed.

Documents in a row never see one another: positions restart at 0 with each document, there is no attention mask, and the
model runs without a cache; only under these three conditions does transformers keep them apart (masking_utils,
``find_packed_sequence_indices``). The first token of each document is no target, or the end of one document would be
trained to predict the beginning of the next.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from training.errors import TrainingError

if TYPE_CHECKING:
    import numpy as np
    import torch

IGNORED = -100
"""The label of a token that is no target (``torch.nn.functional.cross_entropy``)."""


@dataclass(frozen=True, eq=False)
class Row:
    """A packed row. ``targets`` says which tokens are predicted; ``None`` means all but each document's first."""

    input_ids: Sequence[int] | np.ndarray
    document_lengths: Sequence[int] | np.ndarray
    targets: Sequence[bool] | np.ndarray | None = None

    def __eq__(self, other: object) -> bool:
        """The same tokens, documents and targets, held as lists or as arrays."""
        return isinstance(other, Row) and self._values() == other._values()

    __hash__ = None  # type: ignore[assignment]  # lists have none either

    def _values(self) -> tuple[list[int], list[int], list[bool] | None]:
        return list(self.input_ids), list(self.document_lengths), None if self.targets is None else list(self.targets)

    def __post_init__(self) -> None:
        if sum(self.document_lengths) != len(self.input_ids) or (self.targets is not None and len(self.targets) != len(self.input_ids)):
            raise TrainingError(
                f"packed row: {len(self.input_ids)} tokens, document lengths of {sum(self.document_lengths)} in all; "
                "both must agree, rebuild adaptation_tokens"
            )

    @property
    def tokens(self) -> int:
        """Length in tokens."""
        return len(self.input_ids)

    @property
    def target_count(self) -> int:
        """Tokens that are predicted; a document's first never is."""
        return int((_labels(self) != IGNORED).sum())

    def positions(self) -> list[int]:
        """Position of each token in its document."""
        return [int(position) for position in _positions(self.document_lengths)]

    def labels(self) -> list[int]:
        """Token ids where they are targets, else ``IGNORED``."""
        return [int(label) for label in _labels(self)]


def _positions(lengths: Sequence[int] | np.ndarray) -> np.ndarray:
    import numpy as np

    sizes = np.asarray(lengths, dtype=np.int64)
    return np.arange(int(sizes.sum()), dtype=np.int64) - np.repeat(np.cumsum(sizes) - sizes, sizes)


def _labels(row: Row) -> np.ndarray:
    import numpy as np

    wanted = _positions(row.document_lengths) > 0
    if row.targets is not None:
        wanted &= np.asarray(row.targets, dtype=bool)
    return np.where(wanted, np.asarray(row.input_ids, dtype=np.int64), IGNORED)


def pack_split(documents: Iterable[Sequence[int]], row_tokens: int) -> Iterator[Row]:
    """Rows filled to the brim: a document that does not fit goes on in the next row, there as a piece of its own.

    No token is dropped; only the last row may be shorter than ``row_tokens``.
    """
    ids: list[int] = []
    lengths: list[int] = []
    for document in documents:
        start = 0
        while start < len(document):
            piece = document[start : start + row_tokens - len(ids)]
            ids.extend(piece)
            lengths.append(len(piece))
            start += len(piece)
            if len(ids) == row_tokens:
                yield Row(ids, lengths)
                ids, lengths = [], []
    if ids:
        yield Row(ids, lengths)


def pack_whole(examples: Iterable[tuple[Sequence[int], Sequence[bool]]], row_tokens: int) -> Iterator[Row]:
    """Rows of whole examples (ids, targets), in order; an example that does not fit opens the next row.

    Raises:
        TrainingError: an example is longer than a row.
    """
    ids: list[int] = []
    lengths: list[int] = []
    targets: list[bool] = []
    for tokens, wanted in examples:
        if len(tokens) > row_tokens:
            raise TrainingError(f"an example of {len(tokens)} tokens does not fit a row of {row_tokens}; drop it before packing")
        if len(ids) + len(tokens) > row_tokens:
            yield Row(ids, lengths, targets)
            ids, lengths, targets = [], [], []
        ids.extend(tokens)
        lengths.append(len(tokens))
        targets.extend(wanted)
    if ids:
        yield Row(ids, lengths, targets)


def pack_best(examples: Iterable[tuple[Sequence[int], Sequence[bool]]], row_tokens: int, window: int = 1_000) -> Iterator[Row]:
    """Rows of whole examples, filled by length: of so many examples in turn, the longest first, each into the fullest row that has room.

    Best-fit decreasing: few rows, and no order among the examples of a window (Krell et al. 2021, arXiv 2107.02027).

    Raises:
        TrainingError: an example is longer than a row.
    """
    source = iter(examples)
    while some := list(islice(source, window)):
        bins: list[list[int]] = []
        room: list[tuple[int, int]] = []  # what is left of a row, and the row; ascending
        for place in sorted(range(len(some)), key=lambda place: (-len(some[place][0]), place)):
            length = len(some[place][0])
            found = bisect.bisect_left(room, (length, -1))
            if found == len(room):
                bins.append([place])
                left, number = row_tokens, len(bins) - 1
            else:
                left, number = room.pop(found)
                bins[number].append(place)
            bisect.insort(room, (left - length, number))
        for chosen in sorted(sorted(places) for places in bins):
            yield from pack_whole((some[place] for place in chosen), row_tokens)


@dataclass(frozen=True)
class Batch:
    """Tensors of shape (rows, tokens): ids, positions, labels. There is no attention mask on purpose."""

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    labels: torch.Tensor


def collate(rows: Sequence[Row], pad_token: int, device: torch.device | str = "cpu") -> Batch:
    """Rows as one batch. Shorter rows are filled with a padding document that is no target and that nothing sees."""
    import numpy as np
    import torch

    shape = (len(rows), max(row.tokens for row in rows))
    ids, labels = np.full(shape, pad_token, dtype=np.int64), np.full(shape, IGNORED, dtype=np.int64)
    positions = np.empty(shape, dtype=np.int64)
    for place, row in enumerate(rows):
        filled = row.tokens
        ids[place, :filled] = row.input_ids
        labels[place, :filled] = _labels(row)
        positions[place, :filled] = _positions(row.document_lengths)
        positions[place, filled:] = np.arange(shape[1] - filled)
    return Batch(*(torch.from_numpy(values).to(device) for values in (ids, positions, labels)))
