"""Checkpoints of the Hugging Face Hub: one commit, the wanted files alone, kept in the cache. Tokens come from HF_TOKEN alone."""

from __future__ import annotations

import os
import re
from pathlib import Path

from foundation.sources.downloads import Downloads, NotStaged
from training.checkpoints import WANTED
from training.errors import CheckpointError

COMMIT = re.compile(r"[0-9a-f]{40}")


def hub_checkpoint(repository: str, commit: str, downloads: Downloads) -> Path:
    """The folder of a repository at a commit.

    Raises:
        NotStaged: it is not in the cache, and there is no network.
        CheckpointError: the Hub does not give it.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    name = f"{repository}@{commit}"
    try:
        return Path(
            snapshot_download(
                repository,
                revision=commit,
                allow_patterns=list(WANTED),
                cache_dir=downloads.cache / "hub",
                local_files_only=downloads.offline,
                token=_token(),
            )
        )
    except LocalEntryNotFoundError as error:
        raise NotStaged(f"{name} is not in {downloads.cache}; run `transumanza fetch` where there is a network") from error
    except (HfHubHTTPError, OSError) as error:
        raise CheckpointError(f"{name} cannot be had ({_first_line(error)}); look at the name, the network, HF_TOKEN, and whether the licence was accepted") from error


def commit_of(repository: str, revision: str) -> str:
    """The commit that a branch or tag of a repository names now; a commit names itself.

    Raises:
        CheckpointError: the Hub does not say.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    if COMMIT.fullmatch(revision):
        return revision
    try:
        commit = HfApi(token=_token()).model_info(repository, revision=revision).sha
    except OfflineModeIsEnabled as error:
        raise CheckpointError(f"{repository}@{revision} is a branch or tag, and HF_HUB_OFFLINE forbids asking what it names; give the commit (40 hex digits)") from error
    except (HfHubHTTPError, OSError) as error:
        raise CheckpointError(f"{repository}@{revision} cannot be found ({_first_line(error)}); look at the name, the network, and HF_TOKEN") from error
    if commit is None:
        raise CheckpointError(f"the Hub does not say which commit {repository}@{revision} is; give the commit (40 hex digits)")
    return commit


def _token() -> str | bool:
    """The environment's token, or none at all: what a machine was logged in with must not decide what can be read."""
    return os.environ.get("HF_TOKEN") or False


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
