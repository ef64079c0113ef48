"""Fixtures of the training tests: a tiny random LLaMA and small upstream tables."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from foundation.language.settings import LanguageSettings
from foundation.settings import PROFILES_ROOT
from foundation.sources.downloads import Downloads
from foundation.stages import Stage, StageContext, StageReport
from foundation.store import TableSpec
from training.adapters.lora import quantized_with_adapter, save_adapter
from training.base import publish_base
from training.settings import LoraSettings, TinyBase


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random LLaMA with a byte tokenizer, stored in bf16."""
    folder = tmp_path_factory.mktemp("tiny")
    publish_base(TinyBase(), folder, Downloads(folder / "cache", offline=True))
    return folder


@pytest.fixture(scope="session")
def adapter(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of the tiny model whose update is large against NF4's rounding."""
    import torch

    model = quantized_with_adapter(tiny, LoraSettings(rank=4, alpha=8), "cpu", compute_dtype="float32", seed=1)
    torch.manual_seed(5)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.05)
    folder = tmp_path_factory.mktemp("adapter") / "adapter"
    save_adapter(model, folder, "base_model@0123456789abcdef")
    return folder


@pytest.fixture(scope="session")
def language() -> LanguageSettings:
    """The Italian language file."""
    import yaml

    values = yaml.safe_load((PROFILES_ROOT / "languages" / "ita.yaml").read_text(encoding="utf-8"))
    values.pop("defaults", None)  # profile values that follow from the language; they are not part of its settings
    return LanguageSettings.model_validate(values)


SENTENCES = (
    "Il pastore conduce il gregge verso i pascoli alti.",
    "La sera il fuoco scalda il rifugio e si racconta una storia.",
    "Perché il sentiero è più lungo d'inverno? Perché la neve lo copre.",
    "Al mercato si vendono formaggi, lana e miele di castagno.",
    "Ogni autunno le greggi tornano al mare, a piedi, in due settimane.",
)


def documents(name: str, count: int) -> list[dict[str, str]]:
    """Made documents of a few sentences, by id."""
    rows = []
    for index in range(count):
        text = " ".join(SENTENCES[(index * 3 + place) % len(SENTENCES)] for place in range(2 + index % 3)) + f" {name} {index}."
        rows.append({"document_id": hashlib.sha256(text.encode()).hexdigest()[:32], "text": text})
    return sorted(rows, key=lambda row: row["document_id"])


def made_asset(asset: str, table: str, splits: Mapping[str, list[dict[str, Any]]], key: str) -> Stage:
    """A stage that publishes given rows as one table."""
    first = next(rows for rows in splits.values() if rows)
    schema = pl.DataFrame(first, infer_schema_length=None).to_arrow().schema
    spec = TableSpec(name=table, schema=schema, key=(key,), splits=tuple(splits))

    def build(context: StageContext) -> StageReport:
        with context.staging.table(spec) as writer:
            for split, rows in splits.items():
                writer.write(rows, split)
        return StageReport()

    return Stage(asset=asset, version=hashlib.sha256(repr(splits).encode()).hexdigest()[:8], group="sources", build=build)


@pytest.fixture(scope="session")
def upstream() -> tuple[Stage, ...]:
    """One stage per upstream asset."""
    instructions = [
        {
            "id": f"i{index:02}",
            "instruction": "Traduci in inglese la parola.",
            "context": "gregge" if index % 2 else None,
            "response": SENTENCES[index % 5],
            "benchmark_overlap": ["wic"] if index == 3 else [],
        }
        for index in range(8)
    ]
    chats = [
        {
            "id": f"c{index:02}",
            "messages": [
                {"role": "user", "content": f"Domanda {index}?"},
                {"role": "assistant", "content": SENTENCES[index % 5]},
                {"role": "user", "content": "E poi?"},
                {"role": "assistant", "content": "È tutto."},
            ],
            "benchmark_overlap": [],
        }
        for index in range(6)
    ]
    evalita = {
        split: [
            {
                "id": f"{split}-{task}-{index:02}",
                "task": task,
                "instruction": "La parola ha lo stesso senso?",
                "input": SENTENCES[index % 5],
                "output": "sì" if index % 2 else "no",
            }
            for task in ("hate", "wic")
            for index in range(4)
        ]
        for split in ("train", "validation", "test")
    }
    scores = [
        {"model": "evalita_model", "task": "wic", "metric": "macro_f1", "score": 0.6, "low": 0.5, "high": 0.7, "baseline": 0.5},
        {"model": "evalita_model", "task": "xcopa", "metric": "accuracy", "score": 0.4, "low": 0.2, "high": 0.6, "baseline": None},
    ]
    return (
        made_asset("clean_corpus", "text", {"train": documents("corpus", 30), "validation": documents("held", 6)}, "document_id"),
        made_asset("replay_text", "text", {"train": documents("replay", 8), "validation": []}, "document_id"),
        made_asset("evaluation_text", "text", {"target": documents("native", 4), "source": documents("english", 4)}, "document_id"),
        made_asset("translated_instructions", "instructions", {"train": instructions}, "id"),
        made_asset("translated_chats", "chats", {"train": chats}, "id"),
        made_asset("evalita_instructions", "instructions", evalita, "id"),
        made_asset("evalita_report", "scores", {"train": scores}, "task"),
    )


@pytest.fixture(scope="session")
def broken_corpus() -> Stage:
    """A ``clean_corpus`` whose text column has another name."""
    rows = [{"document_id": row["document_id"], "body": row["text"]} for row in documents("corpus", 3)]
    return made_asset("clean_corpus", "text", {"train": rows, "validation": []}, "document_id")
