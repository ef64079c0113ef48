"""What a training line did to a model's target and source language: bits per byte with intervals, gain and forgetting, answers to fixed
prompts and what is measured on them; from the exported files as a user would load them."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from foundation.store import TableSpec
from training.bits_per_byte import BitsPerByte, TextSet, measure
from training.checkpoints import device_of, load_tokenizer
from training.conversations import encode_prompt
from training.evaluation import bootstrap
from training.evaluation.answer_measures import AnswerJudge, MeasuredAnswer
from training.evaluation.candidates import Candidate
from training.fitting import Progress
from training.generation import end_tokens, generate
from training.settings import EvaluationSettings
from training.templates import render_chat

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IN_DOMAIN, OUT_OF_SOURCE, SOURCE_LANGUAGE = "in_domain", "out_of_source", "source_language"
"""Text sets: held-out pages of the corpus, native text of sources never trained on, and the language the base knows best."""


def _column(name: str, kind: pa.DataType, *, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable)


_WHAT = [_column(name, pa.string()) for name in ("model", "form", "text")]
BITS_PER_BYTE = TableSpec(
    name="bits_per_byte",
    schema=pa.schema(
        [
            *_WHAT,
            _column("language", pa.string()),
            *(_column(name, pa.float64()) for name in ("bits_per_byte", "low", "high")),
            *(_column(name, pa.int64()) for name in ("bytes", "tokens", "documents")),
        ]
    ),
    key=("model", "form", "text"),
    decimals={"bits_per_byte": 4, "low": 4, "high": 4},
    description="Bits per byte of each model, in the forms base, export, nf4_base and adapter_on_nf4, on each held-out text set, with 95 % "
    "intervals by resampling documents; lower is better.",
)
PASSAGES = TableSpec(
    name="passages",
    schema=pa.schema([*_WHAT, _column("passage", pa.string()), _column("nats", pa.float64()), _column("bytes", pa.int64())]),
    key=("model", "form", "text", "passage"),
    decimals={"nats": 4},
    description="Negative log-likelihood in nats and UTF-8 bytes of each held-out passage, by the first 16 hex digits of its sha256. Later "
    "versions are compared with this one passage by passage.",
)
CHANGES = TableSpec(
    name="changes",
    schema=pa.schema(
        [
            *_WHAT,
            *(_column(name, pa.string()) for name in ("language", "against", "against_form")),
            *(_column(name, pa.float64()) for name in ("change_percent", "low", "high")),
        ]
    ),
    key=("model", "form", "text"),
    decimals={"change_percent": 2, "low": 2, "high": 2},
    description="Change of bits per byte in percent against the form of the base that is fair: exports against the 16-bit base, the adapter "
    "on NF4 against the untuned NF4 base. Paired 95 % intervals. Negative is gain; in the source language, positive is forgetting.",
)
GENERATIONS = TableSpec(
    name="generations",
    schema=pa.schema(
        [
            *(_column(name, pa.string()) for name in ("model", "prompt", "answer")),
            _column("tokens", pa.int64(), nullable=True),
            _column("words", pa.int64()),
            _column("ended", pa.bool_()),
            _column("language", pa.string()),
            _column("repetition", pa.float64(), nullable=True),
        ]
    ),
    key=("model", "prompt"),
    decimals={"repetition": 4},
    description="Greedy answers to the language file's fixed prompts, each model in its own chat template: whether it ended before the limit, "
    "the language as identified, and the share of repeated 4-grams of words (seq-rep-4, Welleck et al. 2020).",
)
_SHARES = ("target_language", "ended")
ANSWER_MEASURES = TableSpec(
    name="answer_measures",
    schema=pa.schema(
        [
            _column("model", pa.string()),
            _column("prompts", pa.int64()),
            *(_column(f"{share}_{part}", pa.float64()) for share in _SHARES for part in ("share", "low", "high")),
            *(_column(name, pa.float64(), nullable=True) for name in ("repetition", "mean_words", "mean_tokens")),
        ]
    ),
    key=("model",),
    decimals={
        **{f"{share}_{part}": 4 for share in _SHARES for part in ("share", "low", "high")}, "repetition": 4, "mean_words": 2, "mean_tokens": 2,
    },
    description="Over the fixed prompts: share of answers in the target language and of answers that ended before the limit (95 % intervals of "
    "Wilson), mean repetition (seq-rep-4) of the answers with four words or more, mean length.",
)  # fmt: skip

Key = tuple[str, str, str]
"""Model, form, text set."""


@dataclass(frozen=True)
class LanguageReport:
    """What was measured, by model, form and text set, and by model and prompt; and what each model and form is compared with."""

    scores: Mapping[Key, BitsPerByte]
    languages: Mapping[str, str]
    bases: Mapping[tuple[str, str], tuple[str, str]]
    answers: Mapping[str, Mapping[str, MeasuredAnswer]]
    resamples: int
    seed: int

    def bits_per_byte_rows(self) -> list[dict[str, Any]]:
        """Rows of ``BITS_PER_BYTE``."""
        return list(self._bits_per_byte())

    def _bits_per_byte(self) -> Iterator[dict[str, Any]]:
        for (model, form, text), score in sorted(self.scores.items()):
            interval = bootstrap.bits_per_byte(score.scores, self.resamples, self.seed)
            yield {
                "model": model, "form": form, "text": text, "language": self.languages[text],
                "bits_per_byte": score.bits_per_byte, "low": interval.low, "high": interval.high,
                "bytes": score.bytes, "tokens": score.tokens, "documents": score.documents,
            }  # fmt: skip

    def passage_rows(self) -> list[dict[str, Any]]:
        """Rows of ``PASSAGES``."""
        return [
            {"model": model, "form": form, "text": text, "passage": passage, "nats": score.nats, "bytes": score.bytes}
            for (model, form, text), measured in sorted(self.scores.items())
            for passage, score in sorted(measured.scores.items())
        ]

    def change_rows(self) -> list[dict[str, Any]]:
        """Rows of ``CHANGES``; a base has none."""
        return [
            {
                "model": model, "form": form, "text": text, "language": self.languages[text],
                "against": self.bases[model, form][0], "against_form": self.bases[model, form][1],
                "change_percent": 100 * found.value, "low": 100 * found.low, "high": 100 * found.high,
            }
            for model, form, text in sorted(self.scores)
            if self.bases[model, form] != (model, form)
            for found in [self.change((model, form), text)]
        ]  # fmt: skip

    def change(self, candidate: tuple[str, str], text: str) -> bootstrap.Estimate:
        """Relative change of bits per byte of a model in a form against its base; -0.05 is five percent better."""
        scored, base = self.scores[*candidate, text], self.scores[*self.bases[candidate], text]
        return bootstrap.change(scored.scores, base.scores, self.resamples, self.seed)

    def generation_rows(self) -> list[dict[str, Any]]:
        """Rows of ``GENERATIONS``."""
        return [generation_row(model, prompt, answer) for model, answers in sorted(self.answers.items()) for prompt, answer in sorted(answers.items())]

    def measure_rows(self, judge: AnswerJudge) -> list[dict[str, Any]]:
        """Rows of ``ANSWER_MEASURES``."""
        return [{"model": model, **measures_of(list(answers.values()), judge)} for model, answers in sorted(self.answers.items()) if answers]


def report(
    candidates: Sequence[Candidate],
    texts: Sequence[TextSet],
    prompts: Sequence[str],
    settings: EvaluationSettings,
    progress: Progress,
    *,
    judge: AnswerJudge,
    seed: int,
) -> LanguageReport:
    """Score every candidate on every text set, and let those that answer answer the prompts; one model in memory at a time."""
    scores: dict[Key, BitsPerByte] = {}
    answers: dict[str, dict[str, MeasuredAnswer]] = {}
    device = device_of(settings.device)
    total = len(candidates) * sum(len(text.passages) for text in texts) + len(prompts) * sum(item.answers for item in candidates)
    with progress(total, "held-out text and prompts", "text") as bar:
        for candidate in candidates:
            bar.set_postfix_str(candidate.name, refresh=False)
            model, tokenizer = candidate.load(device), load_tokenizer(candidate.folder)
            for text in texts:
                scores[*candidate.key, text.name] = measure(model, tokenizer, text.passages, settings.window_tokens, bar)
            if candidate.answers and prompts:
                ids = [prompt_ids(tokenizer, prompt) for prompt in prompts]
                ends = end_tokens(model, tokenizer)
                found = judge.measured(generate(model, tokenizer, ids, max_tokens=settings.answer_tokens, batch=settings.batch, bar=bar, ends=ends))
                answers[candidate.name] = dict(zip(prompts, found, strict=True))
            del model
            gc.collect()
    bases = {candidate.key: candidate.base for candidate in candidates}
    return LanguageReport(scores, {text.name: text.language for text in texts}, bases, answers, settings.resamples, seed)


def prompt_ids(tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[int]:
    """A question in the model's own chat template; as it stands where the model has none."""
    if not tokenizer.chat_template:
        return encode_prompt(tokenizer, prompt)
    return encode_prompt(tokenizer, render_chat(tokenizer, [{"role": "user", "content": prompt}], prompt=True))


def generation_row(model: str, prompt: str, answer: MeasuredAnswer) -> dict[str, Any]:
    """A row of ``GENERATIONS``."""
    return {
        "model": model, "prompt": prompt, "answer": answer.text, "tokens": answer.tokens, "words": answer.words, "ended": answer.ended,
        "language": answer.language, "repetition": answer.repetition,
    }  # fmt: skip


def measures_of(answers: Sequence[MeasuredAnswer], judge: AnswerJudge) -> dict[str, Any]:
    """A row of ``ANSWER_MEASURES`` but its model; for one answer or more."""
    found = judge.summary(answers)
    shares = {"target_language": found.target_language, "ended": found.ended}
    row: dict[str, Any] = {"prompts": found.prompts}
    for name, share in shares.items():
        assert share is not None  # there are answers
        row |= {f"{name}_share": share.share, f"{name}_low": share.low, f"{name}_high": share.high}
    return row | {"repetition": found.repetition, "mean_words": found.mean_words, "mean_tokens": found.mean_tokens}
