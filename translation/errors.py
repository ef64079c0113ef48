"""Errors of the translation workshop that a user can cause or mend."""

from __future__ import annotations

from foundation.errors import TransumanzaError


class SourceError(TransumanzaError):
    """A source file is not in the form it should have; the message names file and row."""


class EngineError(TransumanzaError):
    """An engine or its package cannot be used."""
