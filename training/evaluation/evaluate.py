"""Evaluating any one model: bits per byte on held-out text, answers to fixed prompts and what is measured on them, lm-eval presets.

What cannot be measured on a model is named with the reason, and never made up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from training.bits_per_byte import TextSet
from training.checkpoints import torch_threads
from training.errors import TrainingError
from training.evaluation.answer_measures import AnswerJudge
from training.evaluation.candidates import ADAPTER_ON_NF4, BASE, EXPORT, NF4_BASE, Candidate
from training.evaluation.subjects import NOT_OF_A_SERVER, LocalModel, ServedModel
from training.fitting import Progress
from training.language_report import generation_row, measures_of, report
from training.settings import EvaluationSettings

BITS_PER_BYTE, ANSWERS, HARNESS = "bits_per_byte", "answers", "lm_eval"


@dataclass(frozen=True)
class Evaluation:
    """What was measured on a model, as rows of the language report's tables; ``not_measured`` names the rest, with the reason."""

    model: str
    source: str
    bits_per_byte: list[dict[str, Any]] = field(default_factory=list)
    changes: list[dict[str, Any]] = field(default_factory=list)
    answer_measures: dict[str, Any] = field(default_factory=dict)
    generations: list[dict[str, Any]] = field(default_factory=list)
    lm_eval: list[dict[str, Any]] = field(default_factory=list)
    not_measured: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)


@dataclass(frozen=True)
class Measuring:
    """With what a model is measured."""

    texts: Sequence[TextSet]
    prompts: Sequence[str]
    settings: EvaluationSettings
    judge: AnswerJudge
    seed: int
    progress: Progress
    missing: Mapping[str, str] = field(default_factory=dict)
    """What cannot be measured for want of text, with the reason."""


def evaluate_served(model: ServedModel, measuring: Measuring) -> Evaluation:
    """Answers of a served model; bits per byte need logits, which chat completions do not give."""
    missing = {**measuring.missing, BITS_PER_BYTE: NOT_OF_A_SERVER, HARNESS: NOT_OF_A_SERVER}
    if not measuring.prompts:
        return Evaluation(model.name, model.source, not_measured={**missing, ANSWERS: "the language file has no prompts"})
    with measuring.progress(len(measuring.prompts), "fixed prompts", "prompt") as bar:
        answers = measuring.judge.measured(model.answers(measuring.prompts, measuring.settings.answer_tokens, bar.update))
    rows = [generation_row(model.name, prompt, answer) for prompt, answer in zip(measuring.prompts, answers, strict=True)]
    return Evaluation(model.name, model.source, answer_measures=measures_of(answers, measuring.judge), generations=rows, not_measured=missing)


def evaluate_local(
    model: LocalModel, measuring: Measuring, *, against: LocalModel | None = None, nf4: bool = False, adapter: Path | None = None
) -> Evaluation:
    """A checkpoint, as it is or in NF4, there with an adapter or bare; with ``against`` also the change against another model.

    Args:
        model: what is measured.
        measuring: with what.
        against: in the same form (16-bit or NF4), on the same text.
        nf4: quantize both while reading.
        adapter: a PEFT adapter folder on ``model``; it wants ``nf4``. Merge it otherwise.

    Raises:
        TrainingError: an adapter without ``nf4``, or two models of one name.
    """
    if adapter is not None and not nf4:
        raise TrainingError("an adapter is measured on the NF4 base that it was trained on: give --nf4 too, or evaluate the merged export")
    if against is not None and against.name == model.name:
        raise TrainingError(f"both models are called {model.name!r}; give this one another name by --name")
    form = (ADAPTER_ON_NF4 if adapter is not None else NF4_BASE) if nf4 else EXPORT
    base_key = (model.name, form) if against is None else (against.name, NF4_BASE if nf4 else BASE)
    candidates = [Candidate(model.name, form, model.folder, base_key, adapter=adapter, answers=True)]
    if against is not None:
        candidates.append(Candidate(*base_key, against.folder, base_key))
    with torch_threads(measuring.settings.threads):
        found = report(
            candidates, measuring.texts, measuring.prompts, measuring.settings, measuring.progress, judge=measuring.judge, seed=measuring.seed
        )
    measures = next(iter(found.measure_rows(measuring.judge)), {})
    missing = dict(measuring.missing)
    if not measuring.prompts:
        missing[ANSWERS] = "the language file has no prompts"
    return Evaluation(
        model.name, model.source, found.bits_per_byte_rows(), found.change_rows(), measures, found.generation_rows(), not_measured=missing
    )
