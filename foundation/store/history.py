"""The history of an asset under a reference: the last build that passed its gates, which new ones are compared with."""

from __future__ import annotations

import contextlib

from foundation.store.builds import BuildRecord
from foundation.store.errors import NotPublished
from foundation.store.store import Store


def last_passed(store: Store, profile: str, asset: str, partition: str | None) -> BuildRecord | None:
    """The build that the profile's reference names where it passed its gates, else the newest of the profile's that did."""
    with contextlib.suppress(NotPublished):
        record = store.record(asset, partition, ref=profile)
        if record.passed:
            return record
    earlier = [record for record in store.builds(asset, partition) if record.passed and record.profile == profile]
    return earlier[-1] if earlier else None
