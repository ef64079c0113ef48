"""Small builds put into a store directly, without stages: many of them in little time."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from foundation.store import BuildRecord, PublishedVersion, Store
from foundation.store.lineage import upstream_document

OLD_S = 10 * 86_400


def published(
    store: Store,
    asset: str,
    content: str,
    reads: Sequence[PublishedVersion] = (),
    *,
    partition: str | None = None,
    fingerprint: str,
    reproducible: bool = True,
    ref: str | None = None,
    parts: int = 2,
) -> PublishedVersion:
    """Publish files that hold ``content``, made of other versions; without ``ref`` no reference names the build."""
    inputs: dict[str, PublishedVersion | dict[str, PublishedVersion]] = {}
    for version in reads:
        if version.partition is None or version.partition == partition:
            inputs[version.asset] = version
        else:
            known = inputs.setdefault(version.asset, {})
            assert isinstance(known, dict)
            known[version.partition] = version
    with store.stage(asset, partition) as staging:
        for index in range(parts):
            (staging.files / f"{index}.txt").write_text(f"{content} {index}\n", encoding="utf-8")
        version_name = staging.complete({"content": content})
        record = BuildRecord(
            fingerprint=fingerprint,
            asset=asset,
            partition=partition,
            version=version_name,
            data_version=version_name if reproducible else fingerprint,
            inputs={"code_version": "1", "config": {}, "seed": 1, "upstream": upstream_document(inputs), "user_files": {}, "facts": {}, "secrets": {}},
            gates=(),
            statistics={},
            observations={},
            profile="demo",
            run="test",
            started_at=f"2026-01-01T00:00:{int(fingerprint, 16) % 60:02d}+00:00",
            seconds=0.0,
            environment={},
        )
        store.publish(staging, record, ref=ref or "none", previews={"text": content})
    if ref is None:
        (store.folder(asset, partition) / "refs" / "none").unlink()
    return store.published(record)


def made_old(*paths: Path, age_s: float = OLD_S) -> None:
    """Set back the time of files."""
    moment = time.time() - age_s
    for path in paths:
        os.utime(path, (moment, moment))


def record_path(version: PublishedVersion, fingerprint: str) -> Path:
    return version.path.parent.parent / "builds" / f"{fingerprint}.json"


def everything_old(store: Store) -> None:
    """Set back the time of all manifests and build records."""
    made_old(*store.root.rglob("manifest.json"), *store.root.glob("**/builds/*.json"))


def held(store: Store) -> tuple[set[str], set[str]]:
    """Versions and build records, as paths below the store."""
    versions = {path.relative_to(store.root).as_posix() for path in store.root.glob("**/v/*") if not path.name.startswith(".")}
    return versions, {path.relative_to(store.root).as_posix() for path in store.root.glob("**/builds/*.json")}
