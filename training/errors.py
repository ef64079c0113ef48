"""Errors of the training workshop."""

from __future__ import annotations

from foundation.errors import TransumanzaError


class TrainingError(TransumanzaError):
    """Data or settings with which no model can be trained."""


class CheckpointError(TrainingError):
    """A model folder that cannot be used, or is not safe to load."""


class TemplateError(TrainingError):
    """A prompt template, or a text that does not fit it."""


class MergeError(TrainingError):
    """An adapter that must not or cannot be merged into these weights."""


class ExportError(TrainingError):
    """A model that cannot be written in this form, or was not written as it is."""


class LossDiverged(TrainingError):
    """A loss that is not finite, or far above those before; the state before it is saved."""


class Stopped(TrainingError):
    """A run that was asked to end early, and saved its state."""
