"""What translating will cost, told without fetching or translating anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from foundation.sources.data import DataFolder
from translation.cost import engine_kind, rates, translated_set_cost, translation_cost
from translation.settings import ArgosSettings, EngineSettings, GateSettings, TranslationSettings

NONE = DataFolder(None)


def test_the_engine_is_told_as_it_will_be_chosen(tmp_path: Path) -> None:
    (tmp_path / "argos").mkdir()
    assert engine_kind(EngineSettings(), NONE) == engine_kind(EngineSettings(), DataFolder(tmp_path)) == "apertium"
    (tmp_path / "argos/x.argosmodel").touch()
    assert engine_kind(EngineSettings(), DataFolder(tmp_path)) == "argos"
    assert engine_kind(EngineSettings(argos=ArgosSettings(url="https://x.invalid/a", sha256="0" * 64)), NONE) == "argos"
    assert engine_kind(EngineSettings(engine="openai"), DataFolder(tmp_path)) == "openai"


def test_costs_follow_the_rates() -> None:
    known = rates()
    exact, quick = (translation_cost("chats", 1_000, EngineSettings(engine="argos", argos=ArgosSettings(compute_type=kind)), NONE) for kind in ("float32", "int8"))
    assert exact.sentences == quick.sentences == pytest.approx(1_000 * known["characters_per_row"]["chats"] / known["characters_per_sentence"])
    assert exact.core_hours > quick.core_hours > 0 and exact.gpu_hours == 0
    on_gpu = translation_cost("chats", 1_000, EngineSettings(engine="argos", argos=ArgosSettings(compute_type="float16", device="cuda")), NONE)
    assert on_gpu.gpu_hours == pytest.approx(on_gpu.tokens * known["output_tokens_per_token"] / known["ctranslate2"]["cuda"]["float16"] / 3600)
    assert translation_cost("chats", 2, EngineSettings(), NONE, characters=8_300).sentences == pytest.approx(100)
    unknown = translation_cost("instructions", 10, EngineSettings(engine="openai"), NONE)
    assert not unknown.known and "nobody knows" in unknown.basis
    assert translation_cost("instructions", 10, EngineSettings(engine="identity"), NONE).core_hours < translation_cost("instructions", 10, EngineSettings(), NONE).core_hours


def test_a_round_trip_costs_as_much_again() -> None:
    forward = EngineSettings(engine="argos", argos=ArgosSettings(compute_type="int8"))
    assert translated_set_cost("chats", 100, TranslationSettings(engine=forward), NONE) == (translation_cost("chats", 100, forward, NONE),)
    for characters in (None, 50_000):
        there, back = translated_set_cost("chats", 100, TranslationSettings(engine=forward, gates=GateSettings(round_trip=forward)), NONE, characters)
        assert there == translation_cost("chats", 100, forward, NONE, characters)
        assert there.core_hours < back.core_hours < 1.3 * there.core_hours, "Italian is longer"
