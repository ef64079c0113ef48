"""Errors of the warehouse."""

from foundation.errors import TransumanzaError


class StoreError(TransumanzaError):
    """Rows or files cannot be published, or a published version cannot be read."""


class NotPublished(StoreError):
    """Nothing is published yet under the asset, partition and reference asked for."""


class GateFailed(StoreError):
    """The version that a reference names did not pass its gates, and was not allowed by name."""


class Pruned(StoreError):
    """The rows of a table were removed to save space, by ``store gc --prune``; what they were and how to get them again is known."""
