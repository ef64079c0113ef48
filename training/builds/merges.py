"""Merged weights of the trained models: which are published, and where they are."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from foundation.stages import StageContext
from foundation.store import PublishedVersion
from training.adapters.choice import MergeChoice, Merging, publish_merge
from training.bits_per_byte import passages
from training.builds.inputs import text_frame
from training.checkpoints import device_of, torch_threads
from training.errors import MergeError
from training.recipes import Job
from training.settings import FitSettings, MergingSettings


def published_merge(context: StageContext, job: Job, settings: FitSettings) -> MergeChoice | None:
    """Measure the merges of a trained adapter on ``evaluation_text``, and leave the one to publish in ``job.output``.

    ``None`` where all weights were trained: there is nothing to merge then.
    """
    if settings.method == "full":
        return None
    limits = cast(MergingSettings, context.settings["training.merging"])
    texts = passages(text_frame(context.input("evaluation_text"), "text", "target"), limits.passages, limits.passage_characters, context.seed)
    merging = Merging(job.base, job.output / "adapter", quantized=settings.method == "qlora", template=job.template)
    with torch_threads(settings.threads), context.progress((1 + len(merging.targets)) * len(texts), "measuring merges", "text") as bar:
        return publish_merge(merging, job.output / "merged", job.work, texts, limits, settings.merge, device_of(settings.device), bar)


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
