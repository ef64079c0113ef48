"""The processes of one run: each takes its share of a step's rows, and gradients are summed over all of them.

Loss and gradients are sums over targets divided by the targets of the whole step, so that a run of several processes computes what
one process does, up to the order of floating-point sums.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import torch

Item = TypeVar("Item")
BUCKET_BYTES = 256 * 1024 * 1024
"""Gradients are summed in pieces of so many bytes."""


@dataclass(frozen=True)
class Ranks:
    """Which process this is, of how many; one alone by default."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes what is written once."""
        return self.rank == 0

    def share(self, items: Sequence[Item]) -> list[Item]:
        """What this process takes of a step."""
        return list(items[self.rank :: self.size])

    def sums(self, *values: float) -> list[float]:
        """Each value summed over all processes."""
        if self.size == 1:
            return list(values)
        import torch
        from torch import distributed

        tensor = torch.tensor(values, dtype=torch.float64, device=_device())
        distributed.all_reduce(tensor)
        return [float(value) for value in tensor.tolist()]

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Add up the gradients of parameters that every process holds whole."""
        if self.size == 1:
            return
        import torch
        from torch import distributed

        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        for bucket in _buckets(gradients):
            flat = torch.cat([gradient.flatten() for gradient in bucket])
            distributed.all_reduce(flat)
            parts = flat.split([gradient.numel() for gradient in bucket])
            for gradient, part in zip(bucket, parts, strict=True):
                gradient.copy_(part.view_as(gradient))

    def wait(self) -> None:
        """Until every process is here."""
        if self.size > 1:
            from torch import distributed

            distributed.barrier()


def current_ranks() -> Ranks:
    """The process group that torch knows of, or one process."""
    from torch import distributed

    if not (distributed.is_available() and distributed.is_initialized()):
        return Ranks()
    return Ranks(distributed.get_rank(), distributed.get_world_size())


def _device() -> torch.device:
    import torch
    from torch import distributed

    return torch.device("cuda", torch.cuda.current_device()) if distributed.get_backend() == "nccl" else torch.device("cpu")


def _buckets(gradients: Sequence[torch.Tensor]) -> Iterable[list[torch.Tensor]]:
    """Gradients of one type, in order, up to the size of a bucket."""
    bucket: list[torch.Tensor] = []
    held = 0
    for gradient in gradients:
        size = gradient.numel() * gradient.element_size()
        if bucket and (held + size > BUCKET_BYTES or bucket[0].dtype != gradient.dtype):
            yield bucket
            bucket, held = [], 0
        bucket.append(gradient)
        held += size
    if bucket:
        yield bucket
