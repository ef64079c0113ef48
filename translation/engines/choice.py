"""The choice of an engine: made before a build, recorded with it, and the same in every worker.

Belongs here: which engine a profile gets. How one works is in the engine's own module.
"""

from __future__ import annotations

import dataclasses
import logging
from functools import lru_cache
from typing import TYPE_CHECKING

from foundation.sources.downloads import DownloadError
from translation.engines import apertium, argos, argos_package, converted_model, openai_server
from translation.engines.engine import Engine, EngineChoice
from translation.engines.identity import IDENTITY, IdentityEngine
from translation.errors import EngineError
from translation.settings import EngineSettings

if TYPE_CHECKING:
    from foundation.sources.data import DataFolder
    from foundation.sources.debian import DebianPackages
    from foundation.sources.downloads import Downloads

logger = logging.getLogger(__name__)


def choose(settings: EngineSettings, data: DataFolder, downloads: Downloads, debian: DebianPackages) -> EngineChoice:
    """The engine of a profile, with its files in the cache.

    ``auto`` takes the Argos package of ``argos.package``, of the data folder, of ``argos.url`` or ``argos.index``; where there is
    none, Apertium.

    Raises:
        EngineError: no package where ``argos`` is asked for, several where one is expected, or unusable files.
        DownloadError: what is needed cannot be fetched.
    """
    if settings.engine == "identity":
        return IDENTITY
    if settings.engine == "ctranslate2":
        return converted_model.choice_of(settings.ctranslate2)
    if settings.engine == "openai":
        return openai_server.choice_of(settings.openai)
    if settings.engine in ("auto", "argos"):
        choice = _argos(settings, data, downloads)
        if choice is not None:
            return choice
        if settings.engine == "argos":
            raise EngineError(
                "translation.engine.engine is argos and there is no package: set argos.package, or argos.url with argos.sha256, "
                "or put one .argosmodel file into the folder argos/ of TRANSUMANZA_DATA"
            )
    try:
        return apertium.stage(debian, downloads.cache, settings.apertium.pairs)
    except DownloadError as error:
        if settings.fallback != "identity":
            raise
        note = f"NOT TRANSLATED: Apertium cannot be had ({error}), and translation.engine.fallback is identity"
        logger.warning(note)
        return dataclasses.replace(IDENTITY, note=note)


def _argos(settings: EngineSettings, data: DataFolder, downloads: Downloads) -> EngineChoice | None:
    wanted = settings.argos
    archive = wanted.package
    if archive is not None and not archive.is_file():
        raise EngineError(f"translation.engine.argos.package: no such file {archive}; name an .argosmodel file")
    if archive is None:
        found = data.find("argos/*.argosmodel")
        if len(found) > 1:
            raise EngineError(f"several Argos packages: {[path.name for path in found]}; name one with translation.engine.argos.package")
        archive = found[0] if found else None
    if archive is None and wanted.sha256 is not None and (wanted.url is not None or wanted.index is not None):
        archive = argos_package.fetched(wanted.sha256, wanted.url, wanted.index, (settings.source_code, settings.target_code), downloads)
    if archive is None:
        return None
    package = argos_package.unpack(archive, downloads.cache, settings.source_code, settings.target_code, wanted.sha256)
    return argos.choice_of(package, wanted)


@lru_cache(maxsize=2)
def open_engine(choice: EngineChoice) -> Engine:
    """The engine of a choice, once per process (a memo of immutable files; it never changes a result).

    Raises:
        EngineError: its files cannot be used.
    """
    if choice.kind == "argos":
        return argos.open_package(choice)
    if choice.kind == "ctranslate2":
        return converted_model.open_model(choice)
    if choice.kind == "openai":
        return openai_server.OpenAIEngine(choice)
    if choice.kind == "apertium":
        return apertium.ApertiumEngine(choice)
    return IdentityEngine()
