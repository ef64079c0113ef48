"""A package of the size and form of Argos's own, with weights drawn at random: right for speed, meaningless as a translation.

6 + 6 layers, 512 wide, feed-forward 2048, a vocabulary of 50,000 (argos-train's Transformer), most of it never met here. The output projection is scaled so
that the likeliest token stands out as it does in a trained model, and the end token's chance grows with the position, so that outputs
are about as long as real ones. Written with CTranslate2's own specification and installed by argostranslate as it stands.
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
OUTPUT_TOKENS = 28
"""Where the end token becomes the likeliest."""
PROJECTION_SCALE = 8.0
"""Standard deviation of the logits, in nats: the first two of 50,000 then lie some 1.7 nats apart."""


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
            target.weight[0] = 0  # the first dimension carries the position alone

    def norm(target: Any) -> None:
        target.gamma, target.beta = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)

    def attention(target: Any, *, cross: bool) -> None:
        norm(target.layer_norm)
        linear(target.linear[0], WIDTH if cross else 3 * WIDTH, WIDTH)
        if cross:
            linear(target.linear[1], 2 * WIDTH, WIDTH)
        linear(target.linear[-1], WIDTH, WIDTH, residual=True)

    embedding = normal(len(vocabulary), WIDTH, scale=WIDTH**-0.5)
    embedding[:, 0] = 0
    positions = normal(POSITIONS, WIDTH, scale=0.3)
    positions[:, 0] = 0
    ends = positions.copy()
    ends[:, 0] = np.clip((np.arange(POSITIONS) - OUTPUT_TOKENS) * 1.5, -30, 60)
    for side, encodings in ((spec.encoder, positions), (spec.decoder, ends)):
        embeddings = side.embeddings[0] if isinstance(side.embeddings, list) else side.embeddings
        embeddings.weight = embedding
        side.position_encodings.encodings = encodings
        norm(side.layer_norm)
        for layer in side.layer:
            attention(layer.self_attention, cross=False)
            if side is spec.decoder:
                attention(layer.attention, cross=True)
            norm(layer.ffn.layer_norm)
            linear(layer.ffn.linear_0, HIDDEN, WIDTH)
            linear(layer.ffn.linear_1, WIDTH, HIDDEN, residual=True)
    projection = normal(len(vocabulary), WIDTH, scale=WIDTH**-0.5 * PROJECTION_SCALE)
    projection[:, 0] = 0
    end = vocabulary.index("</s>")
    projection[end] = 0
    projection[end, 0] = 6 * PROJECTION_SCALE
    spec.decoder.projection.weight = projection
    spec.decoder.projection.bias = np.zeros(len(vocabulary), np.float32)
    for name in ("<unk>", "<s>", "<pad>"):
        if name in vocabulary:
            spec.decoder.projection.bias[vocabulary.index(name)] = -1e4
