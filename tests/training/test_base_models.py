"""Every base model of ``docs/base-models.md``, tiny and random: quantized, trained a step, merged, read back, as GGUF."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.training.tiny_families import FAMILIES, Family, write_family
from training.adapters.lora import quantized_with_adapter, quantized_with_saved_adapter, save_adapter
from training.adapters.merging import merge_adapter
from training.architectures import ARCHITECTURES
from training.checkpoints import check_base, load_model, load_tokenizer
from training.exports.gguf_check import check_gguf
from training.exports.gguf_file import write_gguf
from training.loss import token_losses
from training.packing import Row, collate
from training.settings import LoraSettings

DOCUMENT = Path(__file__).parents[2] / "docs" / "base-models.md"
PROJECTIONS = 7
"""Linear layers of a LLaMA block: q, k, v, o, gate, up, down."""


@pytest.fixture(scope="module", params=FAMILIES, ids=lambda family: family.model)
def family(request: pytest.FixtureRequest) -> Family:
    return request.param


@pytest.fixture(scope="module")
def checkpoint(family: Family, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("family") / "base"
    write_family(family, folder)
    return folder


@pytest.fixture(scope="module")
def adapter(checkpoint: Path) -> Path:
    """An adapter after one step of training over the NF4 base."""
    check_base(checkpoint)
    model = quantized_with_adapter(checkpoint, LoraSettings(rank=4, alpha=8), "cpu", compute_dtype="float32", seed=1)
    found = {name.rsplit(".lora_A", 1)[0] for name, parameter in model.named_parameters() if "lora_A" in name and parameter.requires_grad}
    assert len(found) == 2 * PROJECTIONS, "every projection of both layers has an adapter"
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=0.02)
    ids = load_tokenizer(checkpoint)("Il pastore conduce il gregge verso i pascoli alti.")["input_ids"]
    batch = collate([Row(ids, [len(ids)])], 0, torch.device("cpu"))
    before = token_losses(model, batch, 64).mean()
    before.backward()
    optimizer.step()
    with torch.no_grad():
        assert token_losses(model, batch, 64).mean() < before
    save_adapter(model, checkpoint.parent / "adapter", "base_model@0")
    return checkpoint.parent / "adapter"


IDS = torch.tensor([[10, 60, 110, 160, 210, 33, 44, 290, 7]])


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=IDS, use_cache=False).logits


def test_the_merged_model_reloads_as_what_was_trained(checkpoint: Path, adapter: Path, tmp_path: Path) -> None:
    merge_adapter(checkpoint, adapter, tmp_path / "merged", "dequantized")
    trained, merged = logits(quantized_with_saved_adapter(checkpoint, adapter)), logits(load_model(tmp_path / "merged"))
    scale = float(trained.std())
    assert (trained - merged).abs().max() < 0.1 * scale, "bf16 storage alone is between them"
    assert (trained - logits(load_model(checkpoint))).abs().max() > 0.3 * scale, "training and NF4 must matter, or this shows nothing"


def test_gguf_reads_back_as_the_checkpoint(checkpoint: Path, tmp_path: Path) -> None:
    write_gguf(checkpoint, tmp_path / "model.gguf", "f16", name="tiny", licence="MIT")
    assert check_gguf(tmp_path / "model.gguf", checkpoint, "f16").max_logit_difference < 1e-3


def test_the_table_of_the_docs_lists_what_is_tested_here() -> None:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    table = {row[0]: row for row in rows if row[0] in {family.model for family in FAMILIES}}
    assert sorted(table) == sorted(family.model for family in FAMILIES)
    assert sorted(table) == sorted(model for architecture in ARCHITECTURES.values() for model in architecture.models)
    for family in FAMILIES:
        architecture = next(entry for entry in ARCHITECTURES.values() if family.model in entry.models)
        assert table[family.model][1:3] == [f"`{architecture.model_type}`", f"`{architecture.gguf}`"]
