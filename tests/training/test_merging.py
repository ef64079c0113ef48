"""Merging: what is published equals what was trained, and never goes through 4-bit rounding."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from training.adapters.lora import quantized_with_adapter, quantized_with_saved_adapter
from training.adapters.merging import check_saved, dequantized, merge, merge_adapter
from training.checkpoints import load_model, load_tokenizer, save_checkpoint, stored_dtype
from training.errors import MergeError
from training.settings import LoraSettings

IDS = torch.tensor([[10, 60, 110, 160, 210, 33, 44]])


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=IDS, use_cache=False).logits


def test_merging_into_the_dequantized_base_equals_the_adapter_on_nf4(tiny: Path, adapter: Path) -> None:
    from peft import PeftModel

    trained = logits(quantized_with_saved_adapter(tiny, adapter))
    merged = logits(merge(PeftModel.from_pretrained(dequantized(tiny), str(adapter))))
    assert (trained - merged).abs().max() < 1e-4
    untuned = logits(load_model(tiny))
    assert (trained - untuned).abs().max() > 1e-2, "the adapter must matter, or this shows nothing"


def test_merging_into_the_16_bit_base_adds_the_update_to_its_weights(tiny: Path, adapter: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    merge_adapter(tiny, adapter, tmp_path / "merged", "base16", template="{{ 'x' }}")
    weights = load_file(adapter / "adapter_model.safetensors")
    prefix, layer = "base_model.model.model.layers.0.mlp.up_proj", "model.layers.0.mlp.up_proj.weight"
    update = 8 / 4 * weights[f"{prefix}.lora_B.weight"] @ weights[f"{prefix}.lora_A.weight"]
    expected = (load_file(tiny / "model.safetensors")[layer].float() + update).to(torch.bfloat16)
    stored = load_file(tmp_path / "merged" / "model.safetensors")[layer]
    assert stored.dtype == torch.bfloat16 and torch.equal(stored, expected)
    assert "quantization_config" not in json.loads((tmp_path / "merged" / "config.json").read_text())
    assert load_tokenizer(tmp_path / "merged").chat_template == "{{ 'x' }}"
    assert stored_dtype(tmp_path / "merged") == "bfloat16"


def test_merging_in_four_bits_is_refused(tiny: Path, adapter: Path) -> None:
    with pytest.raises(MergeError, match="is quantized, and merging there loses the training"):
        merge(quantized_with_saved_adapter(tiny, adapter))


def test_a_checkpoint_that_is_not_what_was_merged_is_refused(tiny: Path, tmp_path: Path) -> None:
    model = load_model(tiny)
    save_checkpoint(model, load_tokenizer(tiny), tmp_path, "bfloat16")
    check_saved(model, tmp_path)
    with torch.no_grad():
        model.get_output_embeddings().weight[7, 7] += 1
    with pytest.raises(MergeError, match="was not written as it was merged"):
        check_saved(model, tmp_path)


def test_the_adapter_names_its_base_by_a_stable_id(adapter: Path) -> None:
    config = json.loads((adapter / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "base_model@0123456789abcdef"
    assert config["target_modules"] == sorted(config["target_modules"])
    assert not (adapter / "README.md").exists()


def test_evaluation_leaves_quantized_weights_alone(tiny: Path) -> None:
    """An evaluation between training steps must not repack the weights (bitsandbytes on AVX512BF16 CPUs)."""
    model = quantized_with_adapter(tiny, LoraSettings(rank=4, alpha=8), "cpu", compute_dtype="float32", seed=1)
    model.train()
    before = logits(model)
    model.eval()
    logits(model)
    model.train()
    assert torch.equal(logits(model), before)


