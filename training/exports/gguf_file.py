"""Writing a checkpoint of the LLaMA family as one GGUF file, for llama.cpp and what is built on it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.architectures import architecture_of
from training.checkpoints import load_config, load_tokenizer
from training.errors import ExportError
from training.exports.gguf_tensors import (
    ROPE_FACTORS,
    GgufType,
    encoded,
    gguf_name,
    gguf_names,
    heads_to_permute,
    rope_factors,
)
from training.exports.gguf_vocabulary import vocabulary_of
from training.weights import stored_tensors

if TYPE_CHECKING:
    import gguf

FILE_TYPES: Mapping[GgufType, str] = {"f16": "MOSTLY_F16", "q8_0": "MOSTLY_Q8_0"}


def write_gguf(checkpoint: Path, path: Path, kind: GgufType, *, name: str, licence: str = "") -> None:
    """Write a checkpoint as GGUF; its tensors are read and written one at a time.

    Args:
        checkpoint: a folder of a family in ``training.architectures``, 16- or 32-bit.
        path: the file to write.
        kind: the type of the matrices; vectors are always fp32.
        name: of the model, for the metadata.
        licence: of the model, for the metadata.

    Raises:
        CheckpointError: the checkpoint is of no known family.
        ExportError: something of it has no place in the format.
    """
    import gguf

    config = load_config(checkpoint)
    architecture = architecture_of(config.to_dict(), str(checkpoint))
    vocabulary = vocabulary_of(load_tokenizer(checkpoint), config.vocab_size)
    names = gguf_names(architecture, config.num_hidden_layers)
    tensors = {stored: gguf_name(names, stored) for stored, _ in stored_tensors(checkpoint) if not _tied_output(stored, config)}
    writer = gguf.GGUFWriter(path, architecture.gguf)
    _describe(writer, config, kind, name, licence)
    vocabulary.write(writer)
    factors = _rope(writer, config)
    # Twice over the tensors: the file lists all of them, with their sizes, before the first one's data.
    for stored, tensor in stored_tensors(checkpoint):
        if stored in tensors:
            data, type_ = encoded(stored, tensor, kind, heads_to_permute(architecture, stored, config))
            writer.add_tensor_info(tensors[stored], data.shape, data.dtype, data.nbytes, type_)
    if factors is not None:
        writer.add_tensor_info(ROPE_FACTORS, factors.shape, factors.dtype, factors.nbytes, gguf.GGMLQuantizationType.F32)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for stored, tensor in stored_tensors(checkpoint):
        if stored in tensors:
            writer.write_tensor_data(encoded(stored, tensor, kind, heads_to_permute(architecture, stored, config))[0])
    if factors is not None:
        writer.write_tensor_data(factors)
    writer.close()


def _tied_output(name: str, config: Any) -> bool:
    """Where the output shares the embedding, GGUF holds it once; a checkpoint may hold it twice."""
    return name == "lm_head.weight" and bool(config.tie_word_embeddings)


def head_dim_of(config: Any) -> int:
    """Width of one attention head."""
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def _describe(writer: gguf.GGUFWriter, config: Any, kind: GgufType, name: str, licence: str) -> None:
    import gguf

    width = head_dim_of(config)
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(name)
    if licence:
        writer.add_license(licence)
    writer.add_file_type(getattr(gguf.LlamaFileType, FILE_TYPES[kind]))
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(width)
    writer.add_value_length(width)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_rope_dimension_count(width)


def _rope(writer: gguf.GGUFWriter, config: Any) -> Any:
    """Write how positions turn; returns the factors of Llama 3.1's scaling, which go into a tensor.

    Raises:
        ExportError: positions are scaled in a way that is not written here.
    """
    import gguf

    parameters = config.rope_parameters
    writer.add_rope_freq_base(parameters["rope_theta"])
    kind = parameters.get("rope_type", "default")
    if kind == "llama3":
        return rope_factors(parameters, head_dim_of(config))
    if kind == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(parameters["factor"])
    elif kind != "default":
        raise ExportError(f"positions are scaled by {kind!r}; GGUF is written for unscaled, linear and llama3 positions. Use the merged safetensors")
    return None


