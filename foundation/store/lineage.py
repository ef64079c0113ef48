"""Lineage: the versions that a build read, and how its record names them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from foundation.store.builds import BuildRecord
from foundation.store.layout import VersionKey
from foundation.store.published import PublishedVersion

Inputs = Mapping[str, PublishedVersion | Mapping[str, PublishedVersion]]
"""The pinned versions that a build reads, by asset; those of several partitions by partition."""


class UpstreamVersion(NamedTuple):
    """One version that a build read, with the data version it had for lineage."""

    key: VersionKey
    data_version: str


def versions_of(inputs: Inputs) -> Iterator[PublishedVersion]:
    """All versions among inputs."""
    for value in inputs.values():
        if isinstance(value, PublishedVersion):
            yield value
        else:
            yield from value.values()


def upstream_document(inputs: Inputs) -> dict[str, Any]:
    """Inputs as the ``upstream`` of a build record; ``upstream_of`` reads it."""
    return {
        asset: _named(value) if isinstance(value, PublishedVersion) else {partition: _named(version) for partition, version in value.items()}
        for asset, value in inputs.items()
    }


def upstream_of(record: BuildRecord, is_partitioned: Callable[[str], bool]) -> Iterator[UpstreamVersion]:
    """The versions that a build read, in the record's order.

    Args:
        record: of the build.
        is_partitioned: whether an asset is made per partition. A record names the partitions of what it read only where
            there may be several: a partitioned asset reads the same partition of a partitioned one.
    """
    for asset, entry in record.inputs["upstream"].items():
        same = record.partition if is_partitioned(asset) else None
        for partition, known in [(same, entry)] if "version" in entry else entry.items():
            yield UpstreamVersion(VersionKey(asset, partition, known["version"]), known["data_version"])


def _named(version: PublishedVersion) -> dict[str, str]:
    return {"version": version.version, "data_version": version.data_version}
