"""Settings of all releases; the profile section ``release``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from foundation.errors import TransumanzaError
from foundation.settings import Settings, run_key
from foundation.sources.licences import licence_of, reason_to_keep_back


class ReleaseError(TransumanzaError):
    """A repository cannot be written or uploaded."""


class RepositorySettings(Settings):
    """One repository."""

    name: str = Field(description="`name` or `owner/name`; the owner matters to an upload only.", pattern=r"^([\w.-]+/)?[\w.-]+$")
    pretty_name: str = Field("", description="Title of the card; empty: the repository's name.")
    licence: str = Field(
        "other", description="Licence asked for; rows that cannot be under it are left out. other: a collection whose rows keep their own licences."
    )
    permissions: tuple[str, ...] = Field(
        (), description="Licences (or 'none stated') that the releaser may pass on by other right, for instance a written permission; named in the card."
    )

    @field_validator("licence")
    @classmethod
    def _known_licence(cls, value: str) -> str:
        if value != "other" and licence_of(value).family == "none":
            raise ValueError(f"release licence {value!r} is not known; name an SPDX identifier, or 'other'")
        return value

    @property
    def folder(self) -> str:
        """The folder of the repository inside a version."""
        return self.name.rsplit("/", 1)[-1]

    def permits(self, licence: str | None) -> bool:
        """Whether the releaser holds a permission for rows of this licence."""
        return licence_of(licence).name in {licence_of(name).name for name in self.permissions}

    def reason_to_keep_back(self, licence: str | None) -> str | None:
        """Why a row of this licence stays out; ``None`` when it may go in."""
        return reason_to_keep_back(licence, self.licence, self.permissions)


class DatasetReleases(Settings):
    """Repositories of the instruction sets."""

    chats: RepositorySettings = RepositorySettings(name="transumanza-chats-ita", pretty_name="Chats in Italian")
    instructions: RepositorySettings = RepositorySettings(name="transumanza-instructions-ita", pretty_name="Instructions in Italian")
    evalita: RepositorySettings = RepositorySettings(name="transumanza-evalita-instructions", pretty_name="EVALITA as instructions")


class ModelReleases(Settings):
    """Repositories of the models. Bases under Meta's Llama 3 licences want names that begin with «Llama»; others may not be given on."""

    adapted: RepositorySettings = RepositorySettings(name="transumanza-adapted-ita", pretty_name="Adapted to Italian")
    instruction: RepositorySettings = RepositorySettings(name="transumanza-instruction-ita", pretty_name="Italian instruction model")
    chat: RepositorySettings = RepositorySettings(name="transumanza-chat-ita", pretty_name="Italian chat model")
    evalita: RepositorySettings = RepositorySettings(name="transumanza-evalita-ita", pretty_name="EVALITA model")
    power_watts: float | None = Field(
        None, gt=0, description="Mean power of the training machine, as whoever ran it measured it; the cards multiply it by the hours. null: energy is not measured, and they say so."
    )


class ReleaseSettings(Settings):
    """The whole section."""

    corpus: RepositorySettings = RepositorySettings(name="transumanza-corpus-ita", pretty_name="Clean Italian web corpus")
    datasets: DatasetReleases = DatasetReleases()
    models: ModelReleases = ModelReleases()
    push: Literal["never", "on-request"] = run_key(
        "never", description="never: no upload at all. on-request: `transumanza store push ASSET --apply` uploads. No stage ever uploads."
    )

    @property
    def repositories(self) -> dict[str, RepositorySettings]:
        """All repositories, by the name of their folder in a version."""
        models = [value for _, value in self.models if isinstance(value, RepositorySettings)]
        found = [self.corpus, self.datasets.chats, self.datasets.instructions, self.datasets.evalita, *models]
        return {repository.folder: repository for repository in found}
