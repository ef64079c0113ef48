"""Greedy answers, in batches padded on the left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Answer:
    """An answer, its length in the model's own tokens (None where a server does not say), and whether it ended before the limit."""

    text: str
    tokens: int | None
    ended: bool


def greedy_answers(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Sequence[int]],
    *,
    max_tokens: int,
    batch: int,
    bar: tqdm | None = None,
) -> list[str]:
    """The texts of ``generate``, in the order of the prompts."""
    return [answer.text for answer in generate(model, tokenizer, prompts, max_tokens=max_tokens, batch=batch, bar=bar)]


def generate(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Sequence[int]],
    *,
    max_tokens: int,
    batch: int,
    bar: tqdm | None = None,
) -> list[Answer]:
    """The most likely continuation of each prompt (token ids), up to an end token or ``max_tokens``; in their order.

    Prompts are batched by length, so that little is padded. Padding is masked by place, never by id: a tokenizer may
    pad with its end token.
    """
    import torch

    generator: Any = model
    ends = end_tokens(model, tokenizer)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    device = next(model.parameters()).device
    order = sorted(range(len(prompts)), key=lambda index: (len(prompts[index]), index))
    answers = [Answer("", 0, False)] * len(prompts)
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        width = max(len(prompts[index]) for index in chosen)
        gaps = [width - len(prompts[index]) for index in chosen]
        ids = torch.tensor([[pad] * gap + list(prompts[index]) for gap, index in zip(gaps, chosen, strict=True)], device=device)
        mask = torch.tensor([[0] * gap + [1] * (width - gap) for gap in gaps], device=device)
        with torch.inference_mode():
            output = generator.generate(
                input_ids=ids,
                attention_mask=mask,
                do_sample=False,
                max_new_tokens=max_tokens,
                use_cache=True,
                eos_token_id=ends,
                pad_token_id=pad,
            )
        for index, row in zip(chosen, output[:, width:].tolist(), strict=True):
            stop = next((place for place, token in enumerate(row) if token in ends), len(row))
            text = str(tokenizer.decode(row[:stop], skip_special_tokens=True)).strip()
            answers[index] = Answer(text, stop, stop < len(row))
        if bar is not None:
            bar.update(len(chosen))
    return answers


def end_tokens(model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The tokens that end an answer: the tokenizer's, and those that the model's generation settings add (Llama 3 ends turns so)."""
    configured = getattr(model.generation_config, "eos_token_id", None)
    return sorted({tokenizer.eos_token_id, *(configured if isinstance(configured, list) else [configured])} - {None})
