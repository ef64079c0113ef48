"""Bits per byte: what a model needs to encode text it never saw. Comparable across tokenizers, as perplexity is not.

bits per byte = sum of negative log-likelihoods of the text's tokens (nats) / ln 2 / UTF-8 bytes of the text. Every byte
counts: the first token of a window is predicted after BOS (or after the end token where the tokenizer adds no BOS).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tqdm import tqdm

from training.conversations import adds_bos, seeded_order
from training.errors import TrainingError
from training.evaluation.bootstrap import DocumentScore
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
    scores: Mapping[str, DocumentScore] = field(default_factory=dict)
    """By ``passage_key``, for intervals and for comparisons on the same text."""


def passage_key(text: str) -> str:
    """What names a passage wherever it is scored: the first 16 hex digits of its sha256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def passages(documents: pl.LazyFrame, count: int, characters: int, seed: int) -> list[str]:
    """The beginnings of documents in seeded order, no two alike and none empty: the same text for every model.

    Raises:
        TrainingError: there is no document.
    """
    import polars as pl

    order = seeded_order(documents.select("document_id").collect()["document_id"], seed)
    chosen: dict[str, None] = {}
    for start in range(0, len(order), count):  # a few rows at a time: a corpus does not fit into memory
        wanted = order[start : start + count]
        found = documents.filter(pl.col("document_id").is_in(wanted)).select("document_id", pl.col("text").str.slice(0, characters))
        texts = dict(found.collect().iter_rows())
        chosen.update(dict.fromkeys(texts[document_id] for document_id in wanted if texts[document_id].strip()))
        if len(chosen) >= count:
            break
    if not chosen:
        raise TrainingError("a held-out text set holds no document; look at the validation split of the corpus and at evaluation_text")
    return list(chosen)[:count]


def measure(
    model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], window_tokens: int, bar: tqdm | None = None
) -> BitsPerByte:
    """Score texts, each by itself, in windows that begin anew; nothing is padded and nothing is packed.

    Raises:
        TrainingError: the score is not finite, or two texts are the same.
    """
    import torch

    if len(set(texts)) != len(texts):
        raise TrainingError("a held-out text comes twice; give each text once, for documents are what intervals are drawn from")
    opening = tokenizer.bos_token_id if adds_bos(tokenizer) else tokenizer.eos_token_id
    scores: dict[str, DocumentScore] = {}
    tokens = 0
    device = next(model.parameters()).device
    with torch.inference_mode():
        for text in texts:
            ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]
            nats = 0.0
            for start in range(0, len(ids), window_tokens - 1):
                window = [opening, *ids[start : start + window_tokens - 1]]
                nats += float(token_losses(model, collate([Row(window, [len(window)])], 0, device), window_tokens).double().sum())
            tokens += len(ids)
            scores[passage_key(text)] = DocumentScore(nats, len(text.encode()))
            if bar is not None:
                bar.update()
    size = sum(score.bytes for score in scores.values())
    score = sum(score.nats for score in scores.values()) / math.log(2) / size
    if not math.isfinite(score):
        raise TrainingError("bits per byte are not finite; the model gives a text zero probability. Look at the training log")
    return BitsPerByte(score, size, tokens, len(scores), scores)
