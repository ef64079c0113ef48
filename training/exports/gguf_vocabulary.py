"""A tokenizer as GGUF metadata: byte-level BPE (Llama 3, Qwen, SmolLM2) and SentencePiece BPE (LLaMA 2, Mistral).

All is read from the tokenizer's own description (``tokenizer.json``), which transformers 5 writes for every tokenizer.
llama.cpp knows how text is cut before merging only by name, so a byte-level tokenizer that cuts in another way than
the known ones is refused: it would run, with other tokens than the model was trained on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from training.conversations import adds_bos
from training.errors import ExportError

if TYPE_CHECKING:
    import gguf
    from transformers import PreTrainedTokenizerBase

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
"""Token types (``llama_token_type`` of llama.cpp)."""

_BYTES = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}
_BYTES_SPLIT = {**_BYTES, "use_regex": True}
_DIGITS = {"type": "Digits", "individual_digits": True}
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN2 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+"
    r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def _split(regex: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}


PRE_TOKENIZERS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "gpt-2": (_BYTES_SPLIT,),
    "smollm": (_DIGITS, _BYTES_SPLIT),
    "llama-bpe": (_split(_LLAMA3), _BYTES),
    "qwen2": (_split(_QWEN2), _BYTES),
    "tekken": (_split(_TEKKEN), _BYTES),
}
"""How text is cut before merging, by llama.cpp's name (``tokenizer.ggml.pre``), as tokenizer.json describes it."""


@dataclass(frozen=True)
class Vocabulary:
    """What GGUF says of a tokenizer. ``kind`` is ``gpt2`` (byte-level; has ``pre``, ``merges``) or ``llama`` (SentencePiece; has ``scores``)."""

    kind: str
    tokens: tuple[str, ...]
    types: tuple[int, ...]
    special: Mapping[str, int]
    add_bos: bool
    add_eos: bool
    pre: str = "default"
    merges: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    space_prefix: bool = True
    chat_template: str | None = None

    def write(self, writer: gguf.GGUFWriter) -> None:
        """Add it to a file's metadata."""
        writer.add_tokenizer_model(self.kind)
        writer.add_tokenizer_pre(self.pre)
        writer.add_token_list(list(self.tokens))
        writer.add_token_types(list(self.types))
        if self.kind == "gpt2":
            writer.add_token_merges(list(self.merges))
        else:
            writer.add_token_scores(list(self.scores))
            writer.add_add_space_prefix(self.space_prefix)
        for name, token in self.special.items():
            getattr(writer, f"add_{name}_token_id")(token)
        writer.add_add_bos_token(self.add_bos)
        writer.add_add_eos_token(self.add_eos)
        if self.chat_template is not None:
            writer.add_chat_template(self.chat_template)


def vocabulary_of(tokenizer: PreTrainedTokenizerBase, size: int) -> Vocabulary:
    """What GGUF has to say of a tokenizer.

    Args:
        tokenizer: of the checkpoint.
        size: rows of the embedding; ids that no token has are filled with unused ones.

    Raises:
        ExportError: the tokenizer is of a kind that llama.cpp cannot be told about, or larger than the embedding.
    """
    described = json.loads(tokenizer.backend_tokenizer.to_str())
    model = described["model"]
    if model["type"] != "BPE":
        raise ExportError(f"the tokenizer is a {model['type']} model; GGUF is written for BPE, byte-level or of SentencePiece. Use the merged safetensors")
    if not model["merges"]:
        raise ExportError("the tokenizer has no merges, one token for every byte; llama.cpp reads no such vocabulary. Use the merged safetensors")
    if not isinstance(tokenizer.chat_template, str | None):
        raise ExportError("the tokenizer has several chat templates, and GGUF holds one; leave the one that was trained with")
    tokens, types = _tokens(described, size)
    special = {
        name: token
        for name, token in (("bos", tokenizer.bos_token_id), ("eos", tokenizer.eos_token_id), ("unk", tokenizer.unk_token_id), ("pad", tokenizer.pad_token_id))
        if token is not None
    }
    ends = tokenizer("a")["input_ids"]
    shared: dict[str, Any] = {
        "tokens": tuple(tokens),
        "special": special,
        "add_bos": adds_bos(tokenizer),
        "add_eos": len(ends) > 1 and ends[-1] == tokenizer.eos_token_id,
        "chat_template": tokenizer.chat_template,
    }
    merges = [tuple(merge.split(" ", 1)) if isinstance(merge, str) else tuple(merge) for merge in model["merges"]]
    if model.get("byte_fallback"):
        return Vocabulary(
            "llama",
            types=tuple(_sentencepiece_types(tokens, types, tokenizer.unk_token_id)),
            scores=tuple(_scores(tokens, types, merges)),
            space_prefix=_space_prefix(described),
            **shared,
        )
    return Vocabulary("gpt2", types=tuple(types), merges=tuple(f"{left} {right}" for left, right in merges), pre=_pre_tokenizer(described), **shared)


def _tokens(described: Mapping[str, Any], size: int) -> tuple[list[str], list[int]]:
    """Every token by id, and its type as far as all kinds share it."""
    by_id = {index: (token, NORMAL) for token, index in described["model"]["vocab"].items()}
    for added in described.get("added_tokens", ()):
        by_id[added["id"]] = (added["content"], CONTROL if added["special"] else USER_DEFINED)
    if max(by_id) >= size:
        raise ExportError(f"the tokenizer has ids up to {max(by_id)}, and the embedding {size} rows; the two are of different models")
    filled = [by_id.get(index, (f"[PAD{index}]", UNUSED)) for index in range(size)]
    return [token for token, _ in filled], [kind for _, kind in filled]


def _sentencepiece_types(tokens: Sequence[str], types: Sequence[int], unknown: int | None) -> list[int]:
    """SentencePiece marks single bytes (``<0x0A>``) and the unknown token besides."""
    marked = [BYTE if kind == NORMAL and len(token) == 6 and token.startswith("<0x") and token.endswith(">") else kind for token, kind in zip(tokens, types, strict=True)]
    if unknown is not None:
        marked[unknown] = UNKNOWN
    return marked


def _scores(tokens: Sequence[str], types: Sequence[int], merges: Sequence[tuple[str, ...]]) -> list[float]:
    """Scores under which SentencePiece merges in the order of the merge list: minus the rank of the token's first merge.

    LLaMA 2's own scores are just that, minus the token's rank; single characters, which no merge makes, come last.
    """
    ranks: dict[str, int] = {}
    for left, right in merges:
        ranks.setdefault(left + right, len(ranks))
    last = len(ranks)
    return [0.0 if kind != NORMAL else -float(ranks.get(token, last)) for token, kind in zip(tokens, types, strict=True)]


def _space_prefix(described: Mapping[str, Any]) -> bool:
    """Whether a text is opened with a space: a ``Prepend`` among the normalizers, or ``Metaspace`` that does it."""
    for step in _steps(described.get("normalizer"), "normalizers"):
        if step["type"] == "Prepend":
            return True
    for step in _steps(described.get("pre_tokenizer"), "pretokenizers"):
        if step["type"] == "Metaspace":
            return bool(step.get("prepend_scheme", "always") != "never")
    return False


def _steps(part: Mapping[str, Any] | None, inside: str) -> list[Mapping[str, Any]]:
    if part is None:
        return []
    return list(part[inside]) if part["type"] == "Sequence" else [part]


def _pre_tokenizer(described: Mapping[str, Any]) -> str:
    steps = [{key: value for key, value in step.items() if key != "trim_offsets"} for step in _steps(described.get("pre_tokenizer"), "pretokenizers")]
    for name, known in PRE_TOKENIZERS.items():
        if steps == list(known):
            return name
    raise ExportError(
        f"llama.cpp would not cut text as this tokenizer does ({json.dumps(steps)[:200]}); known are {', '.join(PRE_TOKENIZERS)}. Use the merged safetensors"
    )
