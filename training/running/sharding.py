"""Weights shared out over processes (FSDP2): each holds a share of every block, and gathers a block while it computes with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from training.loss import causal_model, objective

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


def sharded_objective(model: Any, chunk_tokens: int, device: torch.device) -> torch.nn.Module:
    """The objective of a model whose weights this call shares out over the processes, in place; its gradients are averaged over them."""
    from torch import distributed
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (distributed.get_world_size(),))
    whole: Any = objective(model, chunk_tokens)
    for part in (*causal_model(model).get_decoder().layers, whole):
        fully_shard(part, mesh=mesh)
    return whole


def release(loss: torch.nn.Module) -> None:
    """After a forward pass without a backward pass: give up the gathered weights, or they would be taken for the shares."""
    from torch.distributed.fsdp import FSDPModule

    if isinstance(loss, FSDPModule):
        loss.reshard()


def whole_weights(model: PreTrainedModel) -> dict[str, torch.Tensor] | None:
    """All weights of a sharded model in the first process, on the CPU; ``None`` in the others. Every process calls this."""
    from training.running.ranks import current_ranks

    first = current_ranks().first
    weights: dict[str, torch.Tensor] = {}
    for name, parameter in model.named_parameters():
        share: Any = parameter
        whole = share.full_tensor()
        if first:
            weights[name] = whole.detach().cpu()
    return weights if first else None
