"""The checkpoint of a run: weights that move, the optimizer's state, random states and the log, as safetensors and JSON.

Where every process holds all weights, the first one writes them; where they hold shares (FSDP), each writes its own. Random states
are each process's own in any case. A whole checkpoint exists at every moment, whenever a run is killed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.errors import TrainingError
from training.running.ranks import Ranks

if TYPE_CHECKING:
    import torch

CHECKPOINT = "checkpoint"
REPLACED = f"{CHECKPOINT}.old"
"""The checkpoint before, which stands in for the last one if a run is killed between two renames."""
RandomState = Mapping[str, "torch.Tensor"]


@dataclass(frozen=True)
class Reached:
    """How far a run has come: steps done and their log, and the seconds and floating-point operations that these steps took."""

    step: int = 0
    log: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    seconds: float = 0.0
    operations: float = 0.0


def random_state() -> dict[str, torch.Tensor]:
    """Torch's random state in this process."""
    import torch

    state = {"random/cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["random/cuda"] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: RandomState) -> None:
    """Go back to a random state."""
    import torch

    torch.set_rng_state(state["random/cpu"])
    if "random/cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["random/cuda"])


def save_state(
    work: Path,
    reached: Reached,
    trained: Mapping[str, torch.nn.Parameter],
    optimizer: torch.optim.Optimizer,
    ranks: Ranks,
    *,
    random: RandomState,
) -> None:
    """Write a checkpoint beside the old one, then put it in its place. Every process calls this."""
    from safetensors.torch import save_file

    part, final, old = work / f"{CHECKPOINT}.part", work / CHECKPOINT, work / REPLACED
    if ranks.first:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
    ranks.wait()
    sharded = any(_is_share(parameter) for parameter in trained.values())
    tensors = dict(random)
    scalars: dict[str, Any] = {}
    state = optimizer.state_dict()
    if ranks.first or sharded:
        tensors |= {f"weight/{name}": _local(parameter) for name, parameter in trained.items()}
        scalars = _without_tensors("optimizer", state["state"], tensors)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, part / _file(ranks.rank))
    if ranks.first:
        document = {**vars(reached), "scalars": scalars, "groups": state["param_groups"], "processes": ranks.size, "sharded": sharded}
        (part / "state.json").write_text(json.dumps(document), encoding="utf-8")
    ranks.wait()
    if ranks.first:
        if final.is_dir():
            shutil.rmtree(old, ignore_errors=True)
            final.rename(old)
        part.rename(final)
        shutil.rmtree(old, ignore_errors=True)
    ranks.wait()


def load_state(work: Path, trained: Mapping[str, torch.nn.Parameter], optimizer: torch.optim.Optimizer, ranks: Ranks) -> Reached:
    """Load the checkpoint of a run that ended early; how far it had come, or no step at all.

    Raises:
        TrainingError: it was written by another number of processes, or by ones that share the weights out otherwise.
    """
    import torch
    from safetensors.torch import load_file

    folder = next((work / name for name in (CHECKPOINT, REPLACED) if (work / name / "state.json").is_file()), None)
    if folder is None:
        return Reached()
    document = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    if document["processes"] != ranks.size:
        raise TrainingError(
            f"{folder} was written by {document['processes']} processes, and there are {ranks.size} now; set training.running.processes back, "
            f"or remove the folder to begin anew"
        )
    if document["sharded"] != any(_is_share(parameter) for parameter in trained.values()):
        was = "shared out over the processes (fsdp)" if document["sharded"] else "whole in every process (ddp)"
        raise TrainingError(f"{folder} holds weights that were {was}; set training.running.sharding back, or remove the folder to begin anew")
    own = load_file(folder / _file(ranks.rank))
    tensors = own if document["sharded"] or ranks.first else {**load_file(folder / _file(0)), **own}
    state: dict[str, Any] = document["scalars"]
    with torch.no_grad():
        for name, parameter in trained.items():
            _place(parameter).copy_(tensors[f"weight/{name}"])
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for name, tensor in tensors.items():
        kind, *keys = name.split("/")
        if kind == "optimizer":
            place = state
            for key in keys[:-1]:
                place = place.setdefault(key, {})
            place[keys[-1]] = _like(tensor, parameters[int(keys[0])])
    by_index = {int(index): values for index, values in state.items()}
    optimizer.load_state_dict({"state": by_index, "param_groups": document["groups"]})
    set_random_state(tensors)
    return Reached(document["step"], document["log"], document["seconds"], document["operations"])


def _file(rank: int) -> str:
    return "state.safetensors" if rank == 0 else f"state-{rank:05d}.safetensors"


def _is_share(tensor: torch.Tensor) -> bool:
    from torch.distributed.tensor import DTensor

    return isinstance(tensor, DTensor)


def _place(tensor: torch.Tensor) -> torch.Tensor:
    """The memory of this process's share, or of the whole tensor."""
    local: Any = tensor
    return local.to_local() if _is_share(tensor) else tensor


def _local(tensor: torch.Tensor) -> torch.Tensor:
    return _place(tensor).detach().cpu().clone()


def _like(tensor: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    """A saved share as a share again, where the parameter is one and the tensor has its shape."""
    from torch.distributed.tensor import DTensor

    if not isinstance(parameter, DTensor) or tensor.shape != parameter.to_local().shape:
        return tensor
    return DTensor.from_local(
        tensor.to(parameter.device), parameter.device_mesh, parameter.placements, run_check=False, shape=parameter.shape, stride=parameter.stride()
    )


def _without_tensors(path: str, values: Mapping[Any, Any], tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
    """A nested optimizer state without its tensors, which go into ``tensors`` under their path; the rest is JSON."""
    import torch

    plain: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, torch.Tensor):
            tensors[f"{path}/{key}"] = _local(value)
        elif isinstance(value, Mapping):
            plain[str(key)] = _without_tensors(f"{path}/{key}", value, tensors)
        else:
            plain[str(key)] = value
    return plain
