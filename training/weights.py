"""The weights of a checkpoint as tensors on disk: read one at a time, and their digest.

The digest is of names, types, shapes and bytes alone. It does not change when the same weights are cut into other
files, as a checkpoint of the Hub and our copy of it may be.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from training.errors import CheckpointError

if TYPE_CHECKING:
    import torch


def weight_places(folder: Path) -> dict[str, Path]:
    """The file of each tensor of a checkpoint, by tensor name, in order of the names.

    Raises:
        CheckpointError: there are no weights, a file cannot be read, or two files hold one name.
    """
    from safetensors import SafetensorError, safe_open

    places: dict[str, Path] = {}
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, framework="numpy") as tensors:
                names = list(tensors.keys())
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{path} is not a whole safetensors file ({error}); copy the checkpoint again") from error
        twice = sorted(set(names) & set(places))
        if twice:
            raise CheckpointError(f"{path} and {places[twice[0]].name} both hold {twice[0]}; keep one set of weight files in the folder")
        places |= dict.fromkeys(names, path)
    if not places:
        raise CheckpointError(f"{folder} holds no safetensors; give the folder of a checkpoint")
    return dict(sorted(places.items()))


def stored_tensors(folder: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Name and tensor, in order of the names, one in memory at a time, in the type that they are stored in."""
    from safetensors import safe_open

    for name, path in weight_places(folder).items():
        with safe_open(path, framework="pt") as tensors:
            yield name, tensors.get_tensor(name)


def weights_digest(folder: Path) -> str:
    """Hex sha256 of a checkpoint's weights, whatever files they are cut into."""
    digest = WeightsDigest()
    for name, tensor in stored_tensors(folder):
        digest.add(name, tensor)
    return digest.hexdigest()


class WeightsDigest:
    """Adds up tensors in order of their names; see the module docstring."""

    def __init__(self) -> None:
        self._sum = hashlib.sha256()

    def add(self, name: str, tensor: torch.Tensor) -> None:
        """Count one tensor: its name, type and shape on a line, then its bytes, as they lie in a safetensors file."""
        import torch

        kind = str(tensor.dtype).removeprefix("torch.")
        self._sum.update(f"{name} {kind} {list(tensor.shape)}\n".encode())
        self._sum.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)

    def hexdigest(self) -> str:
        return self._sum.hexdigest()
