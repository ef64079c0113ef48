"""A real Argos package, trained in seconds: a one-layer transformer that translates a toy English word by word.

Not a test: the builder of what the engine's tests read. The transformer is written out so that its weights carry over
to CTranslate2's specification one by one.
"""

from __future__ import annotations

import json
import math
import random
import zipfile
from pathlib import Path

import numpy as np

NOUNS = {"cat": "gatto", "dog": "cane", "book": "libro", "bread": "pane", "train": "treno", "garden": "giardino", "friend": "amico"}
VERBS = {"sees": "vede", "has": "ha", "wants": "vuole", "finds": "trova"}
ADJECTIVES = {"red": "rosso", "small": "piccolo", "old": "vecchio"}
SIZE, HEADS, HIDDEN, LENGTH = 64, 4, 128, 300


def toy_pairs(count: int, seed: int) -> list[tuple[str, str]]:
    """English and Italian sentences; the adjective goes behind the noun, marks stay where they are."""
    draw = random.Random(seed)
    pairs = []
    for _ in range(count):
        english, italian = [], []
        for part in range(2):
            noun = draw.choice(sorted(NOUNS))
            adjective = draw.choice([None, *sorted(ADJECTIVES)])
            english += ["the", *([adjective] if adjective else []), noun]
            italian += ["il", NOUNS[noun], *([ADJECTIVES[adjective]] if adjective else [])]
            if part == 0:
                verb = draw.choice(sorted(VERBS))
                english.append(verb)
                italian.append(VERBS[verb])
        if draw.random() < 0.3:
            mark = f"XQ{draw.randrange(3)}Z"
            english.append(mark)
            italian.append(mark)
        pairs.append((f"{' '.join(english)} .", f"{' '.join(italian)} ."))
    return pairs


def build(folder: Path, steps: int = 220) -> Path:
    """Train and write ``translate-en_it-0_1.argosmodel``; returns its path."""
    import sentencepiece

    pairs = toy_pairs(2000, seed=1)
    folder.mkdir(parents=True, exist_ok=True)
    text = folder / "text.txt"
    text.write_text("\n".join(line for pair in pairs for line in pair), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(folder / "sentencepiece"), vocab_size=56, minloglevel=2, num_threads=1
    )
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(folder / "sentencepiece.model"))
    vocabulary = [tokenizer.id_to_piece(index) for index in range(tokenizer.get_piece_size())]
    weights = _train([(tokenizer.encode(source), tokenizer.encode(target)) for source, target in pairs], len(vocabulary), steps)
    _export(weights, vocabulary, folder / "model")
    return pack(folder, folder / "translate-en_it-0_1.argosmodel")


def pack(folder: Path, archive: Path, *, top: str = "translate-en_it-0_1", from_code: str = "en") -> Path:
    """The package of a folder that holds a model and a tokenizer; with a blank spaCy splitter, so that nothing is fetched."""
    import spacy

    spacy.blank("en").to_disk(folder / "spacy")
    metadata = {"package_version": "0.1", "argos_version": "1.9", "from_code": from_code, "from_name": "English",
                "to_code": "it", "to_name": "Italian", "links": []}  # fmt: skip
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr(f"{top}/metadata.json", json.dumps(metadata))
        opened.write(folder / "sentencepiece.model", f"{top}/sentencepiece.model")
        for name in ("model", "spacy"):
            for path in sorted((folder / name).rglob("*")):
                if path.is_file():
                    opened.write(path, f"{top}/{path.relative_to(folder).as_posix()}")
    return archive


def _positions() -> np.ndarray:
    angles = np.arange(LENGTH)[:, None] / 10000 ** (np.arange(SIZE // 2)[None] * 2 / SIZE)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)


def _train(pairs: list[tuple[list[int], list[int]]], size: int, steps: int) -> dict[str, np.ndarray]:
    import torch
    from torch import nn
    from torch.nn import functional

    torch.manual_seed(0)
    torch.set_num_threads(1)
    modules = nn.ModuleDict({"embedding": nn.Embedding(size, SIZE), "projection": nn.Linear(SIZE, size)})
    for side, attentions in (("encoder", ("self",)), ("decoder", ("self", "cross"))):
        for name in attentions:
            modules[f"{side}_{name}_norm"] = nn.LayerNorm(SIZE)
            modules[f"{side}_{name}_out"] = nn.Linear(SIZE, SIZE)
            if name == "self":
                modules[f"{side}_{name}_qkv"] = nn.Linear(SIZE, 3 * SIZE)
            else:
                modules[f"{side}_{name}_q"] = nn.Linear(SIZE, SIZE)
                modules[f"{side}_{name}_kv"] = nn.Linear(SIZE, 2 * SIZE)
        modules[f"{side}_ffn_norm"] = nn.LayerNorm(SIZE)
        modules[f"{side}_ffn_0"] = nn.Linear(SIZE, HIDDEN)
        modules[f"{side}_ffn_1"] = nn.Linear(HIDDEN, SIZE)
        modules[f"{side}_norm"] = nn.LayerNorm(SIZE)
    nn.init.normal_(modules["embedding"].weight, std=SIZE**-0.5)
    positions = torch.tensor(_positions())

    def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        parts = [part.view(*part.shape[:2], HEADS, -1).transpose(1, 2) for part in (query, key, value)]
        result = functional.scaled_dot_product_attention(*parts, attn_mask=mask)
        return result.transpose(1, 2).flatten(2)

    def layer(side: str, state: torch.Tensor, mask: torch.Tensor, memory: torch.Tensor | None, padding: torch.Tensor) -> torch.Tensor:
        inner = modules[f"{side}_self_norm"](state)
        state = state + modules[f"{side}_self_out"](attend(*modules[f"{side}_self_qkv"](inner).chunk(3, -1), mask))
        if memory is not None:
            query = modules[f"{side}_cross_q"](modules[f"{side}_cross_norm"](state))
            state = state + modules[f"{side}_cross_out"](attend(query, *modules[f"{side}_cross_kv"](memory).chunk(2, -1), padding))
        inner = modules[f"{side}_ffn_0"](modules[f"{side}_ffn_norm"](state)).relu()
        return modules[f"{side}_norm"](state + modules[f"{side}_ffn_1"](inner))

    def embed(ids: torch.Tensor) -> torch.Tensor:
        return modules["embedding"](ids) * math.sqrt(SIZE) + positions[: ids.shape[1]]

    optimizer = torch.optim.Adam(modules.parameters(), lr=3e-3)
    draw = random.Random(0)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1.0, (step + 1) / 40) * (1 - step / steps)
        batch = draw.sample(pairs, 32)
        source = nn.utils.rnn.pad_sequence([torch.tensor(pair[0]) for pair in batch], batch_first=True)
        target = nn.utils.rnn.pad_sequence([torch.tensor([1, *pair[1], 2]) for pair in batch], batch_first=True, padding_value=-100)
        padding = (source != 0)[:, None, None, :]
        memory = layer("encoder", embed(source), padding, None, padding)
        given = target[:, :-1].clamp(min=0)
        causal = torch.ones(given.shape[1], given.shape[1]).tril().bool()
        output = modules["projection"](layer("decoder", embed(given), causal, memory, padding))
        loss = functional.cross_entropy(output.flatten(0, 1), target[:, 1:].flatten(), ignore_index=-100)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return {name: value.detach().numpy() for name, value in modules.state_dict().items()}


def _export(weights: dict[str, np.ndarray], vocabulary: list[str], folder: Path) -> None:
    import ctranslate2

    spec = ctranslate2.specs.TransformerSpec.from_config((1, 1), HEADS, pre_norm=True)

    def linear(target: object, name: str) -> None:
        target.weight, target.bias = weights[f"{name}.weight"], weights[f"{name}.bias"]  # type: ignore[attr-defined]

    def norm(target: object, name: str) -> None:
        target.gamma, target.beta = weights[f"{name}.weight"], weights[f"{name}.bias"]  # type: ignore[attr-defined]

    for side, part in (("encoder", spec.encoder), ("decoder", spec.decoder)):
        embeddings = part.embeddings[0] if side == "encoder" else part.embeddings
        embeddings.weight = weights["embedding.weight"]
        part.position_encodings.encodings = _positions()
        norm(part.layer_norm, f"{side}_norm")
        layer = part.layer[0]
        norm(layer.self_attention.layer_norm, f"{side}_self_norm")
        linear(layer.self_attention.linear[0], f"{side}_self_qkv")
        linear(layer.self_attention.linear[1], f"{side}_self_out")
        norm(layer.ffn.layer_norm, f"{side}_ffn_norm")
        linear(layer.ffn.linear_0, f"{side}_ffn_0")
        linear(layer.ffn.linear_1, f"{side}_ffn_1")
    cross = spec.decoder.layer[0].attention
    norm(cross.layer_norm, "decoder_cross_norm")
    for index, name in enumerate(("q", "kv", "out")):
        linear(cross.linear[index], f"decoder_cross_{name}")
    linear(spec.decoder.projection, "projection")
    spec.register_source_vocabulary(vocabulary)
    spec.register_target_vocabulary(vocabulary)
    spec.validate()
    spec.optimize(quantization=None)
    folder.mkdir(exist_ok=True)
    spec.save(str(folder))
