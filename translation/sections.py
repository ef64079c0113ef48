"""What the build functions of this workshop share: typed settings sections, the engine of a profile, licences as the Hub has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from pydantic import BaseModel

from foundation.stages import StageError, StageSetup
from translation.engines.choice import choose
from translation.engines.engine import EngineChoice
from translation.settings import EngineSettings, GateSettings

S = TypeVar("S", bound=BaseModel)


def section(setup: StageSetup, path: str, kind: type[S]) -> S:
    """A settings section as the model it must be.

    Raises:
        StageError: the stage declares no such section, or it is another model.
    """
    found = setup.settings.get(path)
    if not isinstance(found, kind):
        raise StageError(f"profile section {path} is a {type(found).__name__}, and {kind.__name__} is expected")
    return found


def engine_choice(setup: StageSetup) -> EngineChoice:
    """The engine of a profile; its files are obtained where they are not in the cache."""
    return choose(section(setup, "translation.engine", EngineSettings), setup.data, setup.downloads, setup.debian)


def back_choice(setup: StageSetup) -> EngineChoice | None:
    """The engine of round trips, of the other direction; None where the profile asks for none."""
    settings = section(setup, "translation.gates", GateSettings).round_trip
    return None if settings is None else choose(settings, setup.data, setup.downloads, setup.debian)


def hub_licences(licences: Sequence[str]) -> str | list[str]:
    """Licences as the Hub writes them: lower case, one or a list."""
    names = [licence.lower() for licence in licences]
    return names[0] if len(names) == 1 else names
