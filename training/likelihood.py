"""How likely a model finds each of a few answers, counted as lm-eval counts a multiple choice.

The answer's tokens are those that prompt and answer together have beyond the prompt's; blanks at the end of a prompt count
with the answer, since a tokenizer may join them with its first word (lm_eval/api/model.py, ``_encode_pair``).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from training.conversations import encode_prompt

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ChoiceRule = Literal["likelihood", "likelihood_per_character"]
"""The answer with the largest log-likelihood (lm-eval's ``acc``), or with the largest one per character (its ``acc_norm``)."""


def likeliest(words: Sequence[str], likelihoods: Sequence[float], rule: ChoiceRule) -> str:
    """The chosen word; of equals the first."""
    values = [value if rule == "likelihood" else value / len(word) for word, value in zip(words, likelihoods, strict=True)]
    return words[values.index(max(values))]


def choice_likelihoods(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    questions: Sequence[tuple[str, Sequence[str]]],
    *,
    batch: int,
    context: int,
    advance: Callable[[int], object] = lambda _answers: None,
) -> list[list[float] | None]:
    """Log-likelihood (in nats) of each answer after its prompt, by question; none where an answer would not fit into the context.

    Args:
        model: in evaluation mode.
        tokenizer: the model's.
        questions: rendered prompt, and the answers to choose from.
        batch: answers that are computed at once; those of like length together.
        context: tokens that the model can see.
        advance: told how many answers were computed.
    """
    pairs = [[_encoded(tokenizer, prompt, word) for word in words] for prompt, words in questions]
    fitting = {place for place, found in enumerate(pairs) if all(len(before) + len(after) <= context + 1 for before, after in found)}
    flat = sorted(((place, index) for place in sorted(fitting) for index in range(len(pairs[place]))), key=lambda pair: -sum(map(len, pairs[pair[0]][pair[1]])))
    found: dict[tuple[int, int], float] = {}
    for start in range(0, len(flat), batch):
        chosen = flat[start : start + batch]
        found.update(zip(chosen, _sums(model, [pairs[place][index] for place, index in chosen]), strict=True))
        advance(len(chosen))
    return [[found[place, index] for index in range(len(answers))] if place in fitting else None for place, answers in enumerate(pairs)]


def _encoded(tokenizer: PreTrainedTokenizerBase, prompt: str, word: str) -> tuple[list[int], list[int]]:
    before = encode_prompt(tokenizer, prompt.rstrip())
    return before, encode_prompt(tokenizer, prompt + word)[len(before) :]


def _sums(model: PreTrainedModel, pairs: Sequence[tuple[list[int], list[int]]]) -> list[float]:
    """Padding is on the right, where a causal model does not see it."""
    import torch

    rows = [(before + after)[:-1] for before, after in pairs]
    width, first = max(map(len, rows)), min(len(before) - 1 for before, _ in pairs)
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows], device=next(model.parameters()).device)
    with torch.inference_mode():
        probabilities = torch.log_softmax(_logits(model, ids, width - first).float(), dim=-1)
    sums = []
    for (before, after), found in zip(pairs, probabilities, strict=True):
        start = len(before) - 1 - first
        wanted = torch.tensor(after, device=found.device).unsqueeze(-1)
        sums.append(float(found[start : start + len(after)].gather(-1, wanted).sum()))
    return sums


def _logits(model: PreTrainedModel, ids: torch.Tensor, last: int) -> torch.Tensor:
    """Logits of the last places; a large vocabulary makes those of a whole prompt heavy."""
    some: Any = {"logits_to_keep": last} if "logits_to_keep" in inspect.signature(model.forward).parameters else {}
    return model(input_ids=ids, use_cache=False, **some).logits[:, -last:]
