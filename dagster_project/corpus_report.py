"""What of a profile and its store the report of the web corpus reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from dagster_project.factory import Factory
from dagster_project.profile import Profile
from foundation.store import NotPublished, PublishedVersion

if TYPE_CHECKING:
    from corpus.web.report import CorpusVersions, ReportSettings


def corpus_versions(factory: Factory) -> CorpusVersions:
    """The published versions under the profile, whatever their gates said: a report is how one finds out why they failed.

    Raises:
        StoreError: files of a version are missing or damaged.
    """
    from corpus.web.report import CorpusVersions

    snapshots = factory.loaded.profile.snapshots
    documents, signals, decisions = (_by_snapshot(factory, asset) for asset in ("documents", "signals", "decisions"))
    return CorpusVersions(snapshots, documents, signals, decisions, _published(factory, "clean_corpus", None))


def report_settings(profile: Profile, *, examples: int, sample: int) -> ReportSettings:
    """The profile's sections that the report reads; see ``ReportSettings`` for what is drawn."""
    from corpus.web.report import ReportSettings

    web, language = profile.corpus.web, profile.language
    return ReportSettings(
        profile=profile.name,
        language=language.name,
        decisions=web.decisions,
        identification=language.identification,
        personal_data=web.clean.personal_data,
        mentions=language.mentions,
        seed=profile.seed,
        examples=examples,
        sample=sample,
    )


def _by_snapshot(factory: Factory, asset: str) -> Mapping[str, PublishedVersion]:
    found = {name: _published(factory, asset, name) for name in factory.loaded.profile.snapshots}
    return {name: version for name, version in found.items() if version is not None}


def _published(factory: Factory, asset: str, partition: str | None) -> PublishedVersion | None:
    workplace = factory.workplace
    try:
        return workplace.store.resolve(asset, partition, ref=workplace.profile, allow_failed_gates=[asset])
    except NotPublished:
        return None
