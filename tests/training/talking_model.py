"""A random model whose answers depend on what it is asked, for tests that compare answers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from training.base import byte_tokenizer
from training.checkpoints import load_model, load_tokenizer


def merging_tokenizer(texts: Iterable[str], context: int) -> Any:
    """A tokenizer whose tokens run across words and line ends, so that an answer's first letters may join the prompt's last ones."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    plain = byte_tokenizer(context)
    specials = sorted(plain.all_special_tokens, key=plain.convert_tokens_to_ids)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=600, special_tokens=specials, initial_alphabet=alphabet, show_progress=False))
    named = {"unk_token": plain.unk_token, "bos_token": plain.bos_token, "eos_token": plain.eos_token, "pad_token": plain.pad_token}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=context, chat_template=plain.chat_template, clean_up_tokenization_spaces=False, **named
    )


def talking(folder: Path, tokenizer: Any = None, seed: int = 5) -> Any:
    """A checkpoint with a random output layer of its own that says plain ASCII and never ends.

    A random model with tied weights repeats what it read last, or ends at once, whatever it is asked; and small weights make
    it see little more than its last token, so that they are made larger here. With a tokenizer, the model gets its vocabulary.
    """
    model: Any = load_model(folder)
    if tokenizer is None:
        tokenizer = load_tokenizer(folder)
    else:
        torch.manual_seed(seed)
        model.resize_token_embeddings(len(tokenizer))
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
