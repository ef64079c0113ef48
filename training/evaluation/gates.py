"""The gates of the language report. Each judges changes of bits per byte in percent; negative is better."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from foundation.store import GateResult
from training.evaluation import bootstrap
from training.evaluation.bootstrap import DocumentScore, Estimate
from training.evaluation.candidates import ADAPTED, ADAPTER_ON_NF4, EXPORT
from training.language_report import IN_DOMAIN, SOURCE_LANGUAGE, LanguageReport

ITALIAN_IMPROVES, ADAPTER_IMPROVES, SOURCE_KEPT = "italian_improves", "adapter_improves", "source_language_kept"
BASE_GATES = {
    ITALIAN_IMPROVES: "On in-domain text the adapted export needs fewer bits per byte than the 16-bit base, by training.evaluation.min_improvement_percent.",
    ADAPTER_IMPROVES: "On in-domain text the adapter on NF4 needs fewer bits per byte than the untuned NF4 base, by "
    "training.evaluation.min_adapter_improvement_percent.",
    SOURCE_KEPT: "On source-language text adapting costs at most training.evaluation.max_forgetting_percent more bits per byte.",
}
"""Gates on the adapted model, with what each holds it to; where the profile gives no number, they pass."""

TextScores = Mapping[str, Mapping[str, DocumentScore]]
"""By text set and passage."""


def not_worse_gate(model: str) -> str:
    """The name of the gate that compares a model with its last version that passed."""
    return f"{model}_not_worse"


def not_worse_gates(models: Iterable[str]) -> dict[str, str]:
    """The gates that compare models with their last versions that passed, with what each holds its model to."""
    told = "On no text in the target language is {} worse than its last version that passed, beyond its interval and training.evaluation.max_regression_percent."
    return {not_worse_gate(model): told.format(model) for model in models}


def improves(report: LanguageReport, min_percent: float | None) -> GateResult:
    """The exported adapted model needs fewer bits than the 16-bit base on held-out text of its corpus."""
    change = _percent(report, EXPORT, IN_DOMAIN)
    return GateResult(
        name=ITALIAN_IMPROVES,
        passed=min_percent is None or (change is not None and change <= -min_percent),
        value=change,
        threshold=None if min_percent is None else -min_percent,
        description="Change of bits per byte in percent on in-domain text, adapted export against 16-bit base; negative is better.",
    )


def adapter_improves(report: LanguageReport, min_percent: float | None) -> GateResult:
    """The adapter on the NF4 base, which is what was trained, needs fewer bits than the untuned NF4 base."""
    change = _percent(report, ADAPTER_ON_NF4, IN_DOMAIN)
    return GateResult(
        name=ADAPTER_IMPROVES,
        passed=min_percent is None or (change is not None and change <= -min_percent),
        value="not measured" if change is None else change,
        threshold=None if min_percent is None else -min_percent,
        description="Change of bits per byte in percent on in-domain text, adapter on NF4 against the untuned NF4 base; negative is better. "
        "Measured with training.evaluation.compare_quantized where the adapter was trained by QLoRA.",
    )


def source_language_kept(report: LanguageReport, max_percent: float | None) -> GateResult:
    """Adapting may cost the source language only so much: the adapter on NF4 where it was measured, and the export."""
    forms = {form: change for form in (EXPORT, ADAPTER_ON_NF4) if (change := _percent(report, form, SOURCE_LANGUAGE)) is not None}
    form, change = max(forms.items(), key=lambda item: item[1])
    return GateResult(
        name=SOURCE_KEPT,
        passed=max_percent is None or change <= max_percent,
        value=change,
        threshold=max_percent,
        description=f"Change of bits per byte in percent on source-language text, the larger of the forms that were measured ({form}); positive is forgetting.",
    )


def _percent(report: LanguageReport, form: str, text: str) -> float | None:
    if (ADAPTED, form, text) not in report.scores:
        return None
    return round(100 * report.change((ADAPTED, form), text).value, 2)


@dataclass(frozen=True)
class EarlierScores:
    """An earlier version of a model and its scores on the present texts; ``scores`` is None where they cannot be had, and ``why`` says why."""

    name: str
    scores: TextScores | None
    why: str = ""


def not_worse(model: str, present: TextScores, earlier: EarlierScores | None, tolerance_percent: float | None, resamples: int, seed: int) -> GateResult:
    """A model is no worse than its last version that passed, beyond its interval and a tolerance, on any of the text sets.

    Worse beyond the interval: the whole paired 95 % interval of the change lies above the tolerance.

    Args:
        model: the asset.
        present: its scores on text in the target language.
        earlier: its version in the last report that passed all gates; None where no report did.
        tolerance_percent: how much worse is no matter; None switches the gate off.
        resamples: bootstrap samples.
        seed: of the resampling.
    """
    name = not_worse_gate(model)
    if tolerance_percent is None or earlier is None or earlier.scores is None:
        why = "switched off" if tolerance_percent is None else "no earlier version passed" if earlier is None else f"{earlier.name}: {earlier.why}"
        return GateResult(name, True, "not compared", tolerance_percent, f"There is nothing to compare with: {why}.")
    changes = {text: bootstrap.change(scores, earlier.scores[text], resamples, seed) for text, scores in present.items()}
    text, worst = max(changes.items(), key=lambda item: item[1].low)
    return GateResult(
        name=name,
        passed=round(100 * worst.low, 2) <= tolerance_percent,  # recorded scores are rounded; equal models must be equal
        value=round(100 * worst.value, 2),
        threshold=tolerance_percent,
        description=f"Change of bits per byte in percent on {text} text against {earlier.name}, the last version that passed; "
        f"95 % interval {_interval(worst)}. It fails where all of the interval is above the threshold.",
    )


def _interval(change: Estimate) -> str:
    return f"{100 * change.low:+.2f} to {100 * change.high:+.2f}"
