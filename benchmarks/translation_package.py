"""A package of the size and form of Argos's own, with weights drawn at random: right for speed, meaningless as a translation.

6 + 6 layers, 512 wide, feed-forward 2048, a vocabulary of 50,000 (argos-train's Transformer), most of it never met here. All weights
are random but those of one attention head, which reads the source token at the output's own place: each source token calls for a
certain other one, every third for two, and the output ends with the source. So the likeliest token stands out, as it does in a trained model;
among purely random weights near-ties are everywhere, and agreement would measure those. Written with CTranslate2's own specification
and installed by argostranslate as it stands.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

LAYERS, WIDTH, HEADS, HIDDEN, VOCABULARY, POSITIONS = 6, 512, 8, 2048, 50_000, 1_024
TOP = "translate-en_it-0_0"
OUTPUT_PER_SOURCE_TOKEN = 4 / 3
HEAD = WIDTH // HEADS
PLACES = slice(WIDTH - HEAD, WIDTH)
"""Dimensions that carry the place alone: what the reading head compares."""
CODES = slice(WIDTH - 2 * HEAD, WIDTH - HEAD)
"""Dimensions that carry a code of the source token alone: what the reading head brings to the output."""
SHARPNESS = 1.8
"""Of the reading head's queries and keys: the place it looks for has nearly all the weight, and behind the source's end none stands out."""
CODE_GAIN = 3.0
"""Of what the reading head brings: with it a beam's tokens have a mean log-probability of some -0.3 to -1, as those of trained models."""
CODE_WEIGHT = 0.2
"""Of the code in the logits."""
NOISE = 1.0
"""Standard deviation, in nats, that everything else adds to the logits."""


def build(folder: Path, texts: Sequence[str], seed: int = 1) -> Path:
    """Write the package; its tokenizer is trained on ``texts``. Returns the path of the .argosmodel file."""
    archive = folder / f"{TOP}.argosmodel"
    if archive.is_file():
        return archive
    import ctranslate2
    import sentencepiece
    import spacy

    folder.mkdir(parents=True, exist_ok=True)
    corpus = folder / "text.txt"
    corpus.write_text("\n".join(texts), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus), model_prefix=str(folder / "sentencepiece"), vocab_size=16_000, hard_vocab_limit=False, byte_fallback=True, minloglevel=2
    )
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(folder / "sentencepiece.model"))
    vocabulary = [tokenizer.id_to_piece(index) for index in range(tokenizer.get_piece_size())]
    vocabulary += [f"<none{number}>" for number in range(VOCABULARY - len(vocabulary))]
    spec = ctranslate2.specs.TransformerSpec.from_config((LAYERS, LAYERS), HEADS, pre_norm=True)
    _fill(spec, vocabulary, np.random.default_rng(seed))
    spec.register_source_vocabulary(vocabulary)
    spec.register_target_vocabulary(vocabulary)
    spec.validate()
    spec.optimize(quantization=None)
    (folder / "model").mkdir(exist_ok=True)
    spec.save(str(folder / "model"))
    spacy.blank("en").to_disk(folder / "spacy")  # a splitter in the package: argostranslate then fetches none
    metadata = {"package_version": "0.0", "argos_version": "1.9", "from_code": "en", "from_name": "English", "to_code": "it", "to_name": "Italian", "links": []}
    part = archive.with_suffix(".part")
    with zipfile.ZipFile(part, "w") as opened:
        opened.writestr(f"{TOP}/metadata.json", json.dumps(metadata))
        opened.write(folder / "sentencepiece.model", f"{TOP}/sentencepiece.model")
        for name in ("model", "spacy"):
            for path in sorted((folder / name).rglob("*")):
                if path.is_file():
                    opened.write(path, f"{TOP}/{path.relative_to(folder).as_posix()}")
    part.rename(archive)
    return archive


def _fill(spec: Any, vocabulary: Sequence[str], draw: np.random.Generator) -> None:
    def normal(*shape: int, scale: float) -> np.ndarray:
        return (draw.standard_normal(shape) * scale).astype(np.float32)

    def linear(target: Any, outputs: int, inputs: int, *, residual: bool = False) -> None:
        target.weight = normal(outputs, inputs, scale=inputs**-0.5 * (0.5 if residual else 1.0))
        target.bias = np.zeros(outputs, np.float32)
        if residual:
            target.weight[CODES] = target.weight[PLACES] = 0

    def norm(target: Any) -> None:
        target.gamma, target.beta = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)

    def attention(target: Any, *, cross: bool) -> None:
        norm(target.layer_norm)
        linear(target.linear[0], WIDTH if cross else 3 * WIDTH, WIDTH)
        if cross:
            linear(target.linear[1], 2 * WIDTH, WIDTH)
        linear(target.linear[-1], WIDTH, WIDTH, residual=True)

    embedding = normal(len(vocabulary), WIDTH, scale=WIDTH**-0.5)  # CTranslate2 multiplies by the root of the width
    embedding[:, PLACES] = 0
    written = embedding.copy()
    written[:, CODES] = 0
    positions = normal(POSITIONS, WIDTH, scale=0.3)
    positions[:, CODES] = 0
    positions[:, PLACES] = normal(POSITIONS, HEAD, scale=1.0)
    read_from = positions.copy()
    read_from[:, PLACES] = positions[(np.arange(POSITIONS) / OUTPUT_PER_SOURCE_TOKEN).astype(int), PLACES]
    for side, tokens, encodings in ((spec.encoder, embedding, positions), (spec.decoder, written, read_from)):
        embeddings = side.embeddings[0] if isinstance(side.embeddings, list) else side.embeddings
        embeddings.weight = tokens
        side.position_encodings.encodings = encodings
        norm(side.layer_norm)
        for layer in side.layer:
            attention(layer.self_attention, cross=False)
            if side is spec.decoder:
                attention(layer.attention, cross=True)
            norm(layer.ffn.layer_norm)
            linear(layer.ffn.linear_0, HIDDEN, WIDTH)
            linear(layer.ffn.linear_1, WIDTH, HIDDEN, residual=True)
    _read_source(spec.decoder.layer[-1].attention)
    projection = normal(len(vocabulary), WIDTH, scale=WIDTH**-0.5 * NOISE)
    projection[:, CODES] = CODE_WEIGHT * embedding[draw.permutation(len(vocabulary)), CODES] * WIDTH**0.5
    bias = np.zeros(len(vocabulary), np.float32)
    end = vocabulary.index("</s>")
    projection[end] = 0
    bias[end] = CODE_WEIGHT * HEAD / 2  # between a code and the mean of many, which is what the head brings from behind the source's end
    for name in ("<unk>", "<s>", "<pad>"):
        if name in vocabulary:
            bias[vocabulary.index(name)] = -1e4
    spec.decoder.projection.weight = projection
    spec.decoder.projection.bias = bias


def _read_source(attention: Any) -> None:
    """The first head looks at the source token of its own place, and writes that token's code."""
    query, keys_values, output = attention.linear
    one = np.eye(HEAD, dtype=np.float32)
    first = slice(0, HEAD)
    for weights in (query.weight[first], keys_values.weight[first]):
        weights[:] = 0
        weights[:, PLACES] = SHARPNESS * one
    values = keys_values.weight[WIDTH : WIDTH + HEAD]
    values[:] = 0
    values[:, CODES] = CODE_GAIN * one
    output.weight[:, first] = 0
    output.weight[CODES, first] = one
