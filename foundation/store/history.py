"""Earlier builds under one profile: what gates and comparisons look back at."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from foundation.store.builds import BuildRecord
from foundation.store.layout import VersionKey
from foundation.store.published import PublishedVersion
from foundation.store.store import Store


@dataclass(frozen=True)
class PastBuild:
    """A build that is over, and the version it made."""

    record: BuildRecord
    published: PublishedVersion


@dataclass(frozen=True)
class History:
    """The builds of one profile in a store. Builds of other profiles are other lines of work, and no measure for this one.

    Gates judge a build against these; what enters rows must not change later (``builds`` with ``before``).
    """

    store: Store
    profile: str

    def builds(self, asset: str, partition: str | None = None, *, before: PublishedVersion | None = None) -> list[PastBuild]:
        """Builds whose versions are whole, newest first, each data version once.

        Args:
            asset: whose builds.
            partition: its snapshot, where it has one.
            before: only builds older than the first that made this version. What is found is then the same whenever it is asked, for
                records are never changed, unless `store gc` has removed some.
        """
        records = [record for record in self.store.builds(asset, partition) if record.profile == self.profile]
        if before is not None:
            own = [index for index, record in enumerate(records) if record.data_version == before.data_version]
            records = records[: own[0]] if own else records
        found: dict[str, PastBuild] = {}
        for record in reversed(records):
            published = self.store.published(record)
            if record.data_version not in found and not published.damage():
                found[record.data_version] = PastBuild(record, published)
        return list(found.values())

    def last_passed(self, asset: str, partition: str | None = None) -> PastBuild | None:
        """The build that the profile's reference names where it passed its gates, else the newest of the profile's that did.

        A reference may name a build of another profile, which was reused.
        """
        named = self.store.refs(asset, partition).get(self.profile, ("", ""))[1]
        for record in self.store.builds(asset, partition):
            if record.fingerprint == named and record.passed and not self.store.published(record).damage():
                return PastBuild(record, self.store.published(record))
        return next((build for build in self.builds(asset, partition) if build.record.passed), None)

    def upstream(self, build: PastBuild, asset: str) -> PublishedVersion | None:
        """The version of an unpartitioned asset that a build read; ``None`` where it read none, or files of it are gone."""
        named = _named(build.record, asset)
        if named is None:
            return None
        published = self.store.version(VersionKey(asset, None, named["version"]), named["data_version"])
        return None if published.damage() else published

    def versions_behind(self, record: BuildRecord, assets: Collection[str]) -> dict[str, str]:
        """Which versions of unpartitioned assets stand behind a build, directly or through others; the nearest where several do."""
        found: dict[str, str] = {}
        waiting, seen = [record], {record.fingerprint}
        while waiting:
            current = waiting.pop(0)
            for asset in current.inputs["upstream"]:
                named = _named(current, asset)
                if named is None:
                    continue
                if asset in assets:
                    found.setdefault(asset, named["version"])
                for parent in self.store.builds(asset):
                    if (parent.version, parent.data_version) == (named["version"], named["data_version"]) and parent.fingerprint not in seen:
                        seen.add(parent.fingerprint)
                        waiting.append(parent)
        return found

    def record_of(self, version: PublishedVersion) -> BuildRecord | None:
        """The first build that made exactly this version; ``None`` where its record is gone."""
        made = (record for record in self.store.builds(version.asset, version.partition) if record.version == version.version)
        return next((record for record in made if record.data_version == version.data_version), None)


def _named(record: BuildRecord, asset: str) -> Mapping[str, str] | None:
    """The one version of an asset that a build read; ``None`` where it read none, or several partitions."""
    named: Mapping[str, str] = record.inputs["upstream"].get(asset, {})
    return named if "version" in named else None
