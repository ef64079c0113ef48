"""The stages of the training workshop: base models, tokens, trained models, and what is measured on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from foundation.stages import Stage
from training.adapters.choice import GATES as MERGE_GATES
from training.answers import ANSWERS
from training.builds.bases import base_downloads, base_files, build_base, build_tokens, link_base
from training.builds.comparison import build_comparison
from training.builds.evaluation import build_evalita_answers
from training.builds.language_report import build_language_report, fetch_identifier
from training.builds.models import LOG, build_adapted, build_chat, build_evalita, build_instruction, link_adapted
from training.comparison import COMPARISON
from training.evaluation.candidates import TUNED
from training.evaluation.gates import BASE_GATES, not_worse_gates
from training.language_report import ANSWER_MEASURES, BITS_PER_BYTE, CHANGES, GENERATIONS, PASSAGES
from training.settings import FitSettings, TrainingSettings
from training.tokens import DOCUMENTS, tokens_table

MODEL_KINDS = ("pytorch", "huggingface")


def stages(settings: TrainingSettings) -> tuple[Stage, ...]:
    """The declarations; where both lines resolve to one recipe, the chat line links instead of training again."""
    return (
        *_bases(settings),
        _tokens(settings),
        *_adapted(settings),
        _instruction(_merges(settings.instruction)),
        _chat(_merges(settings.chat)),
        _evalita(_merges(settings.evalita)),
        _language_report(settings),
        _evalita_answers(),
        _comparison(),
    )


class _Merges(NamedTuple):
    """What a model's stage declares besides where an adapter is merged: how merges are judged, and on which text."""

    sections: tuple[str, ...]
    upstream: tuple[str, ...]
    gates: Mapping[str, str]


def _merges(settings: FitSettings) -> _Merges:
    """Nothing where all weights are trained: there is nothing to merge."""
    return _Merges((), (), {}) if settings.method == "full" else _Merges(("training.merging",), ("evaluation_text",), MERGE_GATES)


def _bases(settings: TrainingSettings) -> tuple[Stage, Stage]:
    base = Stage(
        asset="base_model",
        version="2",
        group="sources",
        build=build_base,
        sections=("training.base",),
        kinds=MODEL_KINDS,
        description="The base model as a safetensors checkpoint that stands on its own, with its origin and licence. "
        "Pickled weights, remote code and quantized checkpoints are refused.",
        user_files=base_files("training.base"),
        fetch=base_downloads("training.base"),
    )
    if settings.one_base:
        chat = Stage(
            asset="chat_base_model",
            version="2",
            group="sources",
            build=link_base,
            upstream=("base_model",),
            kinds=MODEL_KINDS,
            description="The model that the chat line starts from; in this profile the base model itself, so its files are linked.",
        )
    else:
        chat = Stage(
            asset="chat_base_model",
            version="2",
            group="sources",
            build=build_base,
            sections=("training.chat_base",),
            kinds=MODEL_KINDS,
            description="The model that the chat line starts from (LLaMAntino: LLaMA 2 chat), in the form of base_model.",
            user_files=base_files("training.chat_base"),
            fetch=base_downloads("training.chat_base"),
        )
    return base, chat


def _tokens(settings: TrainingSettings) -> Stage:
    return Stage(
        asset="adaptation_tokens",
        version="2",
        group="training",
        build=build_tokens,
        sections=("training.tokens",),
        upstream=("base_model", "clean_corpus", "replay_text", *(() if settings.one_base else ("chat_base_model",))),
        tables=(tokens_table("tokens"), DOCUMENTS),
        kinds=("parquet", "huggingface"),
        description="The clean corpus and a share of English replay, tokenized and packed into rows of one length. A document "
        "that does not fit goes on in the next row; no token is dropped. Which documents, and how many tokens per word, is in "
        "the second table.",
    )


def _adapted(settings: TrainingSettings) -> tuple[Stage, Stage]:
    merges = _merges(settings.adaptation)
    adapted = Stage(
        asset="adapted_model",
        version="1",
        group="training",
        build=build_adapted,
        sections=("training.adaptation", *merges.sections),
        upstream=("base_model", "adaptation_tokens", *merges.upstream),
        reads=("training.running",),
        tables=(LOG,),
        gates=merges.gates,
        reproducible=False,
        kinds=MODEL_KINDS,
        description="The base model adapted to the target language with QLoRA (arXiv 2312.09993, section 3): an fp32 adapter "
        "over NF4 weights, published as adapter and merged into full 16-bit weights.",
    )
    if settings.one_line:
        chat = Stage(
            asset="adapted_chat_model",
            version="1",
            group="training",
            build=link_adapted,
            upstream=("adapted_model",),
            tables=(LOG,),
            reproducible=False,
            kinds=MODEL_KINDS,
            description="The adapted chat base; in this profile both lines are one recipe, so the files of adapted_model are linked.",
        )
    else:
        section = "training.adaptation" if settings.chat_adaptation is None else "training.chat_adaptation"
        merges = _merges(settings.chat_adaptation or settings.adaptation)
        chat = Stage(
            asset="adapted_chat_model",
            version="1",
            group="training",
            build=build_adapted,
            sections=(section, *merges.sections),
            upstream=("chat_base_model", "adaptation_tokens", *merges.upstream),
            reads=("training.running",),
            tables=(LOG,),
            gates=merges.gates,
            reproducible=False,
            kinds=MODEL_KINDS,
            description="The chat base adapted to the target language with QLoRA on the same corpus (arXiv 2312.09993, section 3).",
        )
    return adapted, chat


def _instruction(merges: _Merges) -> Stage:
    return Stage(
        asset="instruction_model",
        version="1",
        group="training",
        build=build_instruction,
        sections=("training.instruction", "language.templates", *merges.sections),
        reads=("training.running",),
        upstream=("adapted_model", "translated_instructions", *merges.upstream),
        tables=(LOG,),
        gates=merges.gates,
        reproducible=False,
        kinds=MODEL_KINDS,
        description="The adapted model tuned on translated instructions with QLoRA, in the Italian Alpaca form of LLaMAntino-2. "
        "Only answers and their end token are trained.",
    )


def _chat(merges: _Merges) -> Stage:
    return Stage(
        asset="chat_model",
        version="1",
        group="training",
        build=build_chat,
        sections=("training.chat", "language.templates", *merges.sections),
        reads=("training.running",),
        upstream=("adapted_chat_model", "translated_chats", *merges.upstream),
        tables=(LOG,),
        gates=merges.gates,
        reproducible=False,
        kinds=MODEL_KINDS,
        description="The adapted chat model tuned on translated conversations with QLoRA (arXiv 2312.09993, section 3). Every "
        "assistant turn and its end token is trained; the chat template travels in the tokenizer.",
    )


def _evalita(merges: _Merges) -> Stage:
    return Stage(
        asset="evalita_model",
        version="1",
        group="training",
        build=build_evalita,
        sections=("training.evalita", "language.templates", *merges.sections),
        reads=("training.running",),
        upstream=("adapted_model", "evalita_instructions", *merges.upstream),
        tables=(LOG,),
        gates=merges.gates,
        reproducible=False,
        kinds=MODEL_KINDS,
        description="The adapted model tuned on EVALITA tasks as instructions, all weights moving (arXiv 2312.09993). Tasks "
        "take turns; the official test items are never trained on.",
    )


def _language_report(settings: TrainingSettings) -> Stage:
    bases = ("base_model", *(() if settings.one_base else ("chat_base_model",)))
    adapted = ("adapted_model", *(() if settings.one_line else ("adapted_chat_model",)))
    return Stage(
        asset="language_report",
        version="2",
        group="evaluation",
        build=build_language_report,
        sections=("training.evaluation", "language"),
        upstream=(*bases, *adapted, *TUNED, "clean_corpus", "evaluation_text"),
        tables=(BITS_PER_BYTE, PASSAGES, CHANGES, GENERATIONS, ANSWER_MEASURES),
        reproducible=False,
        kinds=("parquet", "huggingface"),
        description="Bits per byte of every exported model, read back from its files, on held-out pages of the corpus, on native "
        "text of sources never trained on, and on the source language (forgetting), with intervals; the adapter on NF4 beside the untuned NF4 "
        "base. Also greedy answers to the language file's prompts: their language, whether they end, how much they repeat.",
        gates={**BASE_GATES, **not_worse_gates((*adapted, *TUNED))},
        fetch=fetch_identifier,
    )


def _evalita_answers() -> Stage:
    return Stage(
        asset="evalita_answers",
        version="2",
        group="evaluation",
        build=build_evalita_answers,
        sections=("training.evaluation", "language.templates"),
        upstream=("evalita_model", "evalita_instructions"),
        tables=(ANSWERS,),
        carried={"evalita_instructions": ("task", "id")},
        derived={"gold": ("evalita_instructions.output",)},
        reproducible=False,
        kinds=("parquet", "huggingface"),
        description="Greedy answers of the EVALITA model to test items, at most so many per task. Decoding and scoring them is "
        "the EVALITA workshop's.",
    )


def _comparison() -> Stage:
    return Stage(
        asset="model_comparison",
        version="2",
        group="evaluation",
        build=build_comparison,
        sections=("training.evaluation",),
        upstream=("language_report", "evalita_report"),
        tables=(COMPARISON,),
        reproducible=False,  # it looks back at what else this store holds
        kinds=("parquet",),
        description="Every measure of every model and of its last versions before in one table, with intervals: bits per byte against the 16-bit "
        "base, answers to fixed prompts, EVALITA scores against each task's baseline.",
    )
