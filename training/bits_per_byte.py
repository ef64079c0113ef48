"""Bits per byte: what a model needs to encode text it never saw. Comparable across tokenizers, as perplexity is not.

bits per byte = sum of negative log-likelihoods of the text's tokens (nats) / ln 2 / UTF-8 bytes of the text. Every byte
counts: the first token of a window is predicted after BOS (or after the end token where the tokenizer adds no BOS).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tqdm import tqdm

from training.conversations import adds_bos, seeded_order
from training.errors import TrainingError
from training.loss import token_losses
from training.packing import Row, collate

if TYPE_CHECKING:
    import polars as pl
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class TextSet:
    """Held-out passages under a name."""

    name: str
    language: str
    passages: Sequence[str]


@dataclass(frozen=True)
class BitsPerByte:
    """A score and what it was measured on."""

    bits_per_byte: float
    bytes: int
    tokens: int
    documents: int


def passages(documents: pl.LazyFrame, count: int, characters: int, seed: int) -> list[str]:
    """The beginnings of documents in seeded order, the same text for every model.

    Raises:
        TrainingError: there is no document.
    """
    import polars as pl

    order = seeded_order(documents.select("document_id").collect()["document_id"], seed)[:count]
    if not order:
        raise TrainingError("a held-out text set holds no document; look at the validation split of the corpus and at evaluation_text")
    texts = dict(documents.filter(pl.col("document_id").is_in(order)).select("document_id", "text").collect().iter_rows())
    return [texts[document_id][:characters] for document_id in order]


def measure(
    model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], window_tokens: int, bar: tqdm | None = None
) -> BitsPerByte:
    """Score texts, each by itself, in windows that begin anew; nothing is padded and nothing is packed.

    Raises:
        TrainingError: the score is not finite.
    """
    import torch

    opening = tokenizer.bos_token_id if adds_bos(tokenizer) else tokenizer.eos_token_id
    nats, tokens = 0.0, 0
    device = next(model.parameters()).device
    with torch.inference_mode():
        for text in texts:
            ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]
            for start in range(0, len(ids), window_tokens - 1):
                window = [opening, *ids[start : start + window_tokens - 1]]
                nats += float(token_losses(model, collate([Row(window, [len(window)])], 0, device), window_tokens).double().sum())
            tokens += len(ids)
            if bar is not None:
                bar.update()
    size = sum(len(text.encode()) for text in texts)
    score = nats / math.log(2) / size
    if not math.isfinite(score):
        raise TrainingError("bits per byte are not finite; the model gives a text zero probability. Look at the training log")
    return BitsPerByte(score, size, tokens, len(texts))
