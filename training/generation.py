"""Greedy answers, in batches padded on the left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def greedy_answers(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Sequence[int]],
    *,
    max_tokens: int,
    batch: int,
    bar: tqdm | None = None,
) -> list[str]:
    """The most likely continuation of each prompt (token ids), up to the end token or ``max_tokens``; in their order.

    Prompts are batched by length, so that little is padded. Padding is masked by place, never by id: a tokenizer may
    pad with its end token.
    """
    import torch

    generator: Any = model
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    device = next(model.parameters()).device
    order = sorted(range(len(prompts)), key=lambda index: (len(prompts[index]), index))
    answers = [""] * len(prompts)
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
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=pad,
            )
        for index, row in zip(chosen, output[:, width:].tolist(), strict=True):
            stop = row.index(tokenizer.eos_token_id) if tokenizer.eos_token_id in row else len(row)
            answers[index] = str(tokenizer.decode(row[:stop], skip_special_tokens=True)).strip()
        if bar is not None:
            bar.update(len(chosen))
    return answers
