"""Releases: local Hub repositories out of published versions, their cards, and the upload that only a person starts."""

from foundation.release.hub import PushPlan, push
from foundation.release.repository import ReleasedConfig, ReleasedTable, finish_repository, write_dataset_repository
from foundation.release.settings import ReleaseError, ReleaseSettings, RepositorySettings

__all__ = [
    "PushPlan",
    "ReleaseError",
    "ReleaseSettings",
    "ReleasedConfig",
    "ReleasedTable",
    "RepositorySettings",
    "finish_repository",
    "push",
    "write_dataset_repository",
]
