"""Opening a store by where it lies: a folder, or an fsspec URL with a mirror on a local disk."""

from __future__ import annotations

import hashlib
from pathlib import Path

from foundation.store.store import Store


def open_store(place: str | Path, mirrors: Path) -> Store:
    """The store of a folder or URL.

    Args:
        place: a folder, or a URL such as ``s3://bucket/prefix``. Credentials and endpoint come from the environment.
        mirrors: the folder in which the mirrors of remote stores lie.

    Raises:
        StoreError: the URL cannot be used.
    """
    text = str(place)
    if "://" not in text or text.startswith("file://"):
        return Store(text.removeprefix("file://"))
    from foundation.store.mirrored import MirroredStore

    return MirroredStore(text, mirrors / hashlib.sha256(text.rstrip("/").encode()).hexdigest()[:16])
