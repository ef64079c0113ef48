"""Upload of a finished repository: only when a person asks, with their token; a dry run unless told otherwise.

``huggingface_hub`` uploads in parts and finds what is there already, so that an upload that broke off goes on when it is called again.
What an earlier release left in the repository and this one does not hold is deleted there: readers take all shards that match a name.
The tag comes last and names a whole release.
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from foundation.release.repository import NOT_FOR_RELEASE, changed_files
from foundation.release.settings import ReleaseError

TOKEN = "HF_TOKEN"


@dataclass(frozen=True)
class PushPlan:
    """What an upload sends, the tag it is given, and where it went (``None`` after a dry run)."""

    repository: str
    kind: str
    files: tuple[str, ...]
    bytes: int
    tag: str | None = None
    url: str | None = None


def push(
    folder: Path,
    repository: str,
    kind: Literal["dataset", "model"],
    *,
    dry_run: bool = True,
    private: bool = True,
    revision: str | None = None,
    tag: str | None = None,
    message: str = "Release made by Transumanza",
) -> PushPlan:
    """Upload a repository folder to the Hugging Face Hub with ``huggingface_hub.upload_folder``; calling it again goes on where it broke off.

    Args:
        folder: as a release stage published it.
        repository: ``owner/name``.
        kind: dataset or model.
        dry_run: check everything and send nothing.
        private: visibility of a repository that is made by this call.
        revision: branch to upload to; the main one by default.
        tag: names what was uploaded, once all of it is there.
        message: of the commit.

    Raises:
        ReleaseError: the folder is marked not for release or was changed, the name has no owner, no token is set, or
            the Hub refuses.
    """
    if (folder / NOT_FOR_RELEASE).is_file():
        raise ReleaseError(f"{folder} is marked not for release; read {NOT_FOR_RELEASE} in it")
    changed = changed_files(folder)
    if changed:
        raise ReleaseError(f"{folder / changed[0]} was changed since the release was made ({len(changed)} in all); materialize it again")
    if repository.count("/") != 1 or not all(repository.split("/")):
        raise ReleaseError(f"repository {repository!r} needs the form owner/name")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = tuple(path.relative_to(folder).as_posix() for path in files)
    plan = PushPlan(repository, kind, names, sum(path.stat().st_size for path in files), tag)
    if dry_run:
        return plan
    token = os.environ.get(TOKEN)
    if not token:
        raise ReleaseError(f"an upload needs a write token in the environment variable {TOKEN}")
    return dataclasses.replace(plan, url=_upload(folder, plan, token, private, revision, message))


def _upload(folder: Path, plan: PushPlan, token: str, private: bool, revision: str | None, message: str) -> str:
    import httpx2  # the client that huggingface_hub speaks through
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        huggingface_hub.create_repo(plan.repository, repo_type=plan.kind, token=token, private=private, exist_ok=True)
        result = huggingface_hub.upload_folder(
            repo_id=plan.repository, folder_path=folder, repo_type=plan.kind, token=token, revision=revision, commit_message=message, delete_patterns="*"
        )
        if plan.tag is not None:
            huggingface_hub.create_tag(plan.repository, tag=plan.tag, revision=result.oid, repo_type=plan.kind, token=token, exist_ok=True)
    except (HfHubHTTPError, OfflineModeIsEnabled, OSError, ValueError, RuntimeError, httpx2.HTTPError) as error:
        reason = str(error).replace(token, "***")
        raise ReleaseError(f"the Hub did not take {plan.repository}: {reason}; the same call goes on where this one broke off") from None
    return result.commit_url
