"""The warehouse: immutable versions of tables and files, named by their content, with build records and references."""

from foundation.store.builds import BuildRecord, Fingerprint, GateResult
from foundation.store.errors import GateFailed, NotPublished, StoreError
from foundation.store.published import PublishedVersion
from foundation.store.staging import Staging
from foundation.store.store import Store
from foundation.store.tables import TableSpec
from foundation.store.writing import TableWriter

__all__ = [
    "BuildRecord",
    "Fingerprint",
    "GateFailed",
    "GateResult",
    "NotPublished",
    "PublishedVersion",
    "Staging",
    "Store",
    "StoreError",
    "TableSpec",
    "TableWriter",
]
