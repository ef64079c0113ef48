"""The training loss: cross-entropy of the next token, over the targets alone, without all logits at one time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from training.packing import IGNORED, Batch

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel


def objective(model: PreTrainedModel | PeftModel, chunk_tokens: int) -> torch.nn.Module:
    """A module that turns a batch into the sum of its targets' losses: one forward call, as sharding over processes wants it."""
    from torch import nn

    class SummedLoss(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, batch: Batch) -> torch.Tensor:
            return token_losses(model, batch, chunk_tokens).sum()

    return SummedLoss()


def causal_model(model: PreTrainedModel | PeftModel) -> Any:
    """The causal language model inside a PEFT wrapper, or the model itself."""
    inner: Any = getattr(model, "get_base_model", None)
    return model if inner is None else inner()


def target_count(batch: Batch) -> int:
    """Tokens that are predicted."""
    return int((batch.labels[:, 1:] != IGNORED).sum())


def token_losses(model: PreTrainedModel | PeftModel, batch: Batch, chunk_tokens: int) -> torch.Tensor:
    """Negative log-likelihoods in nats of all targets, in row order; shape (targets,).

    Logits exist for ``chunk_tokens`` targets at a time, and are computed again in the backward pass where there is more
    than one chunk: 512 tokens of a vocabulary of 49,152 are 100 MB in fp32, with several copies.
    """
    import torch
    from torch.nn.functional import cross_entropy
    from torch.utils.checkpoint import checkpoint

    causal = causal_model(model)
    hidden = causal.get_decoder()(
        input_ids=batch.input_ids, position_ids=batch.position_ids, attention_mask=None, use_cache=False
    ).last_hidden_state
    labels = batch.labels[:, 1:]
    wanted = labels != IGNORED
    states, targets = hidden[:, :-1][wanted], labels[wanted]
    head = causal.get_output_embeddings()

    def losses(part: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        return cross_entropy(head(part.to(head.weight.dtype)).float(), ids, reduction="none")

    if len(targets) <= chunk_tokens:
        return losses(states, targets)
    pairs = zip(states.split(chunk_tokens), targets.split(chunk_tokens), strict=True)
    if not torch.is_grad_enabled():
        return torch.cat([losses(part, ids) for part, ids in pairs])
    return torch.cat([checkpoint(losses, part, ids, use_reentrant=False) for part, ids in pairs])
