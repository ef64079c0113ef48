"""Which merge is published: every one is written, read back from disk and measured on held-out text, then judged.

The yardstick is what was trained, the adapter on its base (in NF4 with QLoRA). A merge may need at most so many percent
more bits per byte. Of those that pass the profile's is taken, else the best; where none passes, none is published.
"""

from __future__ import annotations

import gc
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.store import GateResult
from training.adapters.lora import on_base_with_saved_adapter, quantized_with_saved_adapter
from training.adapters.merging import MergeTarget, merge_adapter
from training.bits_per_byte import measure
from training.checkpoints import load_model, load_tokenizer
from training.settings import MergingSettings

if TYPE_CHECKING:
    import torch
    from tqdm import tqdm

logger = logging.getLogger(__name__)
GATE = "merge_keeps_quality"
GATES = {GATE: "Merged weights, read back, need at most training.merging.max_worse_percent more bits per byte than the adapter on the base it was trained over."}
WORDS: Mapping[MergeTarget, str] = {"base16": "merged into the 16-bit base", "dequantized": "merged into the dequantized NF4 base"}


@dataclass(frozen=True)
class MergeChoice:
    """Bits per byte of what was trained and of each merge, read back; ``chosen`` is ``None`` where none passes."""

    trained: float
    merges: Mapping[MergeTarget, float]
    preferred: MergeTarget
    max_worse_percent: float

    def worse_percent(self, target: MergeTarget) -> float:
        """How many percent more bits a merge needs than what was trained; negative is better."""
        return 100 * (self.merges[target] / self.trained - 1)

    @property
    def best(self) -> MergeTarget:
        """The merge with the fewest bits; the profile's among equals."""
        return min(self.merges, key=lambda target: (self.merges[target], target != self.preferred))

    @property
    def chosen(self) -> MergeTarget | None:
        """What is published."""
        return next((target for target in (self.preferred, self.best) if self.worse_percent(target) <= self.max_worse_percent), None)

    @property
    def verdict(self) -> str:
        """One sentence for people: what is published, and why."""
        found = "; ".join(f"{WORDS[target]} {value:.4f} ({self.worse_percent(target):+.2f} %)" for target, value in sorted(self.merges.items()))
        figures = f"bits per byte read back: as trained {self.trained:.4f}; {found}; allowed +{self.max_worse_percent:g} %"
        if self.chosen is None:
            return (
                f"No merged weights: every merge is too much worse than the trained adapter on its base ({figures}). Publish the adapter alone, "
                "train longer or at a higher rank, or raise training.merging.max_worse_percent"
            )
        if self.chosen != self.preferred:
            return f"Not the profile's merge ({self.preferred}) but the best one that passes is published: {WORDS[self.chosen]} ({figures})"
        return f"Published as the profile asks: {WORDS[self.chosen]} ({figures})"

    def say(self) -> None:
        """Log the verdict, as a warning where it is not what the profile asks for."""
        (logger.info if self.chosen == self.preferred else logger.warning)("%s", self.verdict)

    def gate(self) -> GateResult:
        """The gate; its value is the change in percent of what is published, or of the best where nothing is."""
        worse = self.worse_percent(self.chosen or self.best)
        return GateResult(GATE, self.chosen is not None, round(worse, 3), self.max_worse_percent, self.verdict)

    def statistics(self) -> dict[str, Any]:
        """For the manifest and Dagster."""
        return {
            "published": self.chosen,
            "preferred": self.preferred,
            "bits_per_byte": {"as_trained": round(self.trained, 4), **{target: round(value, 4) for target, value in sorted(self.merges.items())}},
            "worse_percent": {target: round(self.worse_percent(target), 2) for target in sorted(self.merges)},
        }

    def table(self) -> str:
        """A Markdown table and the verdict."""
        lines = ["| weights | bits per byte | against trained | published |", "|---|---|---|---|", f"| adapter on its base, as trained | {self.trained:.4f} | | |"]
        for target, value in sorted(self.merges.items()):
            lines.append(f"| {WORDS[target]} | {value:.4f} | {self.worse_percent(target):+.2f} % | {'yes' if target == self.chosen else ''} |")
        return "\n".join([*lines, "", f"{self.verdict}."])


@dataclass(frozen=True)
class Merging:
    """What is merged: a base checkpoint, an adapter, how it was trained, and the chat template of the result (``None``: the base's)."""

    base: Path
    adapter: Path
    quantized: bool
    template: str | None = None

    @property
    def targets(self) -> tuple[MergeTarget, ...]:
        """What the adapter can be merged into: the dequantized base only where it was trained over it."""
        return ("base16", "dequantized") if self.quantized else ("base16",)


def publish_merge(
    merging: Merging, merged: Path, work: Path, texts: Sequence[str], settings: MergingSettings, preferred: MergeTarget, device: torch.device | str, bar: tqdm
) -> MergeChoice:
    """Measure what was trained and every merge of it, and leave the one to publish in ``merged``, or nothing.

    Args:
        merging: base and adapter.
        merged: the checkpoint to publish; what is there is replaced.
        work: a folder for the other merges.
        texts: held-out passages in the target language.
        settings: how much worse is allowed, and the window.
        preferred: the profile's merge.
        device: where to measure.
        bar: moves on by one for each passage and model.

    Raises:
        MergeError: merged weights are not finite, or not written as they were merged.
    """
    folders: dict[MergeTarget, Path] = {target: merged if target == preferred else work / f"merged-{target}" for target in merging.targets}
    measured: dict[MergeTarget, float] = {}
    trained = _bits_per_byte(_as_trained(merging, device), merging.base, texts, settings, bar)
    for target, folder in folders.items():
        shutil.rmtree(folder, ignore_errors=True)
        merge_adapter(merging.base, merging.adapter, folder, target, template=merging.template)
        gc.collect()
        measured[target] = _bits_per_byte(load_model(folder, device), folder, texts, settings, bar)
    choice = MergeChoice(trained, measured, preferred, settings.max_worse_percent)
    for target, folder in folders.items():
        if target != choice.chosen:
            shutil.rmtree(folder)
    if choice.chosen is not None and choice.chosen != preferred:
        shutil.move(folders[choice.chosen], merged)
    return choice


def _as_trained(merging: Merging, device: torch.device | str) -> Any:
    if merging.quantized:
        return quantized_with_saved_adapter(merging.base, merging.adapter, device)
    return on_base_with_saved_adapter(merging.base, merging.adapter, device)


def _bits_per_byte(model: Any, folder: Path, texts: Sequence[str], settings: MergingSettings, bar: tqdm) -> float:
    found = measure(model, load_tokenizer(folder), texts, settings.window_tokens, bar).bits_per_byte
    del model
    gc.collect()
    return found
