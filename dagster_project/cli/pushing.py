"""The command ``transumanza store push``: repositories of a release to the Hugging Face Hub, when a person asks."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from dagster_project.cli.versions import held_versions
from dagster_project.profile import load_profile
from dagster_project.tables import human_bytes
from foundation.errors import TransumanzaError
from foundation.release import push
from foundation.release.repository import CHECKSUMS, NOT_FOR_RELEASE

MODELS = "model_release"


def push_release(
    asset: Annotated[str, typer.Argument(help="corpus_release, dataset_release or model_release.")],
    version: Annotated[str | None, typer.Option(help="A profile's name, a tag, or the beginning of a version.", show_default="the profile")] = None,
    repository: Annotated[list[str] | None, typer.Option(help="Only this one, by the name of its folder; repeatable.", show_default="all")] = None,
    public: Annotated[bool, typer.Option("--public", help="A repository that is not there yet is made public, not private.")] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Upload; without this nothing is sent. Needs HF_TOKEN, and `release.push: on-request`.")] = False,
) -> None:
    """Check the repositories of a release and upload them, each tagged with its version; what is marked not for release stays here."""
    profile = load_profile().profile
    if apply and profile.release.push == "never":
        raise TransumanzaError(f"profile {profile.name}: release.push is never; write `release: {{push: on-request}}` to upload")
    known = profile.release.repositories
    with held_versions(asset, None, [version or profile.name], "store push", allow_failed_gates=profile.allow_failed_gates) as (published,):
        folders = {path.parent.name: path.parent for path in sorted(published.files.glob(f"*/{CHECKSUMS}"))}
        if not folders:
            raise TransumanzaError(f"{published} holds no repository; name corpus_release, dataset_release or {MODELS}")
        for name in repository or folders:
            if name not in folders:
                raise TransumanzaError(f"{published} has no repository {name!r}; it has {', '.join(folders)}")
            if name not in known:
                raise TransumanzaError(f"{published}: profile {profile.name} names no repository {name!r} any more; materialize {asset} again")
            if (folders[name] / NOT_FOR_RELEASE).is_file():
                typer.echo(f"{name}: not for release, stays here; {folders[name] / NOT_FOR_RELEASE} says why")
                continue
            kind: Literal["model", "dataset"] = "model" if asset == MODELS else "dataset"
            target = known[name].name
            if not apply and "/" not in target:
                typer.echo(f"{name}: has no owner; write `owner/{target}` into the profile's section release to upload it")
                continue
            plan = push(folders[name], target, kind, dry_run=not apply, private=not public, tag=published.version)
            typer.echo(f"{name}: {len(plan.files):,} files, {human_bytes(plan.bytes)}, to {kind} {plan.repository}, tag {plan.tag}{f', at {plan.url}' if plan.url else ''}")
    if not apply:
        typer.echo("nothing was sent; --apply uploads")
