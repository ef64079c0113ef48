"""Merged weights of the trained models: how they are judged, and where they are."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from foundation.stages import StageContext
from foundation.store import PublishedVersion
from training.base import BASE_ASSETS
from training.bits_per_byte import passages
from training.builds.inputs import text_frame
from training.errors import MergeError
from training.recipes import Judging
from training.settings import FitSettings, MergingSettings


def judging_of(context: StageContext, settings: FitSettings) -> Judging | None:
    """How a trained adapter's merges are judged: on ``evaluation_text``. ``None`` where all weights are trained: there is nothing to merge then."""
    if settings.method == "full":
        return None
    limits = cast(MergingSettings, context.settings["training.merging"])
    texts = passages(text_frame(context.input("evaluation_text"), "text", "target"), limits.passages, limits.passage_characters, context.seed)
    return Judging(texts, limits)


def merged_weights(version: PublishedVersion) -> Path:
    """The merged checkpoint of a published model.

    Raises:
        MergeError: no merge passed, so that there is none.
    """
    folder = version.files / "merged"
    if not folder.is_dir():
        said = version.statistics.get("merging", {})
        raise MergeError(f"{version} has no merged weights: no merge of its adapter passed ({said}); see the gate of its build, and training.merging.max_worse_percent")
    return folder


def checkpoint_of(version: PublishedVersion) -> Path:
    """The checkpoint folder of a base, or of a model made of it: the origin of the base is beside the weights of both.

    Raises:
        MergeError: no merge of the model's adapter passed.
    """
    return version.files if version.asset in BASE_ASSETS else merged_weights(version)
