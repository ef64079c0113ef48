"""Greedy answers, in batches padded on the left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from foundation.language.prompts import up_to_stop

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Answer:
    """An answer, its length in the model's own tokens (None where a server does not say), and whether it ended before the limit."""

    text: str
    tokens: int | None
    ended: bool


def generate(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Sequence[int]],
    *,
    max_tokens: int,
    batch: int,
    bar: tqdm | None = None,
    ends: Sequence[int] = (),
    stop: Sequence[str] = (),
) -> list[Answer]:
    """The most likely continuation of each prompt (token ids), up to an end token or ``max_tokens``; in their order.

    Prompts are batched by length, so that little is padded. Padding is masked by place, never by id: a tokenizer may
    pad with its end token. ``ends`` are the end tokens (default: the tokenizer's), ``stop`` texts that end an answer too
    and are no part of it.
    """
    import torch

    generator: Any = model
    ending = list(ends) or [tokenizer.eos_token_id]
    stopping: dict[str, Any] = {"stop_strings": list(stop), "tokenizer": tokenizer} if stop else {}
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
                eos_token_id=ending,
                pad_token_id=pad,
                **stopping,
            )
        for index, row in zip(chosen, output[:, width:].tolist(), strict=True):
            length = next((place for place, token in enumerate(row) if token in ending), len(row))
            whole = str(tokenizer.decode(row[:length], skip_special_tokens=True))
            answers[index] = Answer(up_to_stop(whole, stop), length, length < len(row) or any(text in whole for text in stop))
        if bar is not None:
            bar.update(len(chosen))
    return answers


def end_tokens(model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The tokens that end an answer: the tokenizer's, and those of the model's generation settings (chat models have several)."""
    more = model.generation_config.eos_token_id if model.generation_config is not None else None
    named = more if isinstance(more, list) else [more]
    return sorted({token for token in (tokenizer.eos_token_id, *named) if token is not None})
