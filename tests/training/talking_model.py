"""A random model whose answers depend on what it is asked, for tests that compare answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from training.checkpoints import load_model, load_tokenizer


def talking(folder: Path, seed: int = 5) -> Any:
    """A checkpoint with a random output layer of its own that says plain ASCII and never ends.

    A random model with tied weights repeats what it read last, or ends at once, whatever it is asked; and small weights make
    it see little more than its last token, so that they are made larger here.
    """
    model: Any = load_model(folder)
    tokenizer: Any = load_tokenizer(folder)
    size, width = model.get_output_embeddings().weight.shape
    weights = torch.randn(size, width, generator=torch.Generator().manual_seed(seed))
    spoken = {token for token, text in ((token, tokenizer.decode([token])) for token in range(3, size)) if text.isascii() and text.isprintable()}
    weights[[token for token in range(size) if token not in spoken]] = 0
    for name, parameter in model.model.layers.named_parameters():
        if name.endswith("proj.weight"):
            parameter.data.mul_(12)
    model.config.tie_word_embeddings = False
    model.lm_head = torch.nn.Linear(width, size, bias=False)
    model.lm_head.weight.data = weights
    return model
