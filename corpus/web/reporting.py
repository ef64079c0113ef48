"""What the build functions of the web corpus share: typed settings sections, gates, counts in order of size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from foundation.language.identification import IdentificationSettings, LanguageIdentifier, load_identifier, model_path
from foundation.settings import Settings
from foundation.stages import StageContext, StageSetup
from foundation.store import GateResult

S = TypeVar("S", bound=Settings)


def section(context: StageSetup, path: str, model: type[S]) -> S:
    """A settings section under its own type."""
    found = context.settings[path]
    if not isinstance(found, model):
        raise TypeError(f"section {path} is a {type(found).__name__}, expected {model.__name__}")
    return found


def identifier_of(context: StageContext, settings: IdentificationSettings) -> LanguageIdentifier:
    """The language identification model of a stage's settings."""
    return load_identifier(model_path(settings, context.downloads))


def ranked(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Counts with the largest first; names decide among equals."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def not_empty(name: str, value: int, description: str = "rows") -> GateResult:
    """A gate that passes where there is anything."""
    return GateResult(name, value > 0, value, 1, description)


def every_document(rows: int, expected: int) -> GateResult:
    """A gate that passes where every document has its row."""
    return GateResult("every_document", rows == expected, rows, expected, "one row for each document")
