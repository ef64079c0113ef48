"""What translating will cost: sentences, tokens and hours of a set before it is translated, by measured rates (``rates.yaml``)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from foundation.settings import load_yaml
from foundation.sources.data import DataFolder
from translation.engines.engine import EngineKind
from translation.row_shards import Kind
from translation.settings import DecodingSettings, EngineSettings, TranslationSettings

RATES = Path(__file__).with_name("rates.yaml")


@dataclass(frozen=True)
class TranslationCost:
    """An estimate. ``tokens`` go into the engine; hours are None where the engine's speed is not known (a server)."""

    engine: EngineKind
    sentences: float
    tokens: float
    core_hours: float
    gpu_hours: float
    known: bool

    @property
    def basis(self) -> str:
        """What it stands on, in words."""
        speed = "" if self.known else "; how fast the server is nobody knows here"
        return f"{self.sentences:,.0f} sentences, {self.tokens:,.0f} tokens by {self.engine}{speed}"


@lru_cache(maxsize=1)
def rates() -> dict[str, Any]:
    """The rates."""
    return dict(load_yaml(RATES.read_text(encoding="utf-8")))


def engine_kind(settings: EngineSettings, data: DataFolder) -> EngineKind:
    """The engine that a profile will get, told without fetching anything."""
    if settings.engine != "auto":
        return settings.engine
    argos = settings.argos
    at_hand = argos.package is not None or argos.url is not None or argos.index is not None or bool(data.find("argos/*.argosmodel"))
    return "argos" if at_hand else "apertium"


def translated_set_cost(kind: Kind, rows: float, settings: TranslationSettings, data: DataFolder, characters: float | None = None) -> tuple[TranslationCost, ...]:
    """The cost of a translated set as ``translation_cost`` has it, and of its round trip where the profile asks for one."""
    there = translation_cost(kind, rows, settings.engine, data, characters)
    back = settings.gates.round_trip
    if back is None:
        return (there,)
    size = rows * rates()["characters_per_row"][kind] if characters is None else characters
    return there, translation_cost(kind, rows, back, data, size * rates()["output_characters_per_character"])


def translation_cost(kind: Kind, rows: float, settings: EngineSettings, data: DataFolder, characters: float | None = None) -> TranslationCost:
    """The cost of a set.

    Args:
        kind: chats or instructions.
        rows: how many.
        settings: the engine's.
        data: where a package may lie.
        characters: of all texts, where they are known; else by the published length of a row.
    """
    known = rates()
    size = rows * known["characters_per_row"][kind] if characters is None else characters
    sentences = size / known["characters_per_sentence"]
    different = known["different_share"][kind]
    engine = engine_kind(settings, data)
    tokens = size * known["tokens_per_character"] * different
    core_s = sentences / known["around"]
    gpu_s = 0.0
    speed = True
    if engine == "apertium":
        core_s += sentences * different / known["apertium"]
    elif engine in ("argos", "ctranslate2"):
        decoding: DecodingSettings = settings.argos if engine == "argos" else settings.ctranslate2
        rate = known["ctranslate2"][decoding.device].get(decoding.compute_type)
        output = tokens * known["output_tokens_per_token"]
        speed = rate is not None
        if rate is not None and decoding.device == "cuda":
            gpu_s = output / rate
        elif rate is not None:
            core_s += output / rate
    elif engine == "openai":
        speed = False
    return TranslationCost(engine, sentences, tokens, core_s / 3600, gpu_s / 3600, speed)
