"""The build of the language report, its candidates and text sets, and the look back at the last version that passed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from foundation.language.identification import load_identifier, model_path
from foundation.language.settings import LanguageSettings
from foundation.language.words import load_tokenizer as load_words
from foundation.stages import StageContext, StageReport, StageSetup
from foundation.store import GateResult, PublishedVersion
from foundation.store.history import PastBuild
from training.bits_per_byte import TextSet, measure, passage_key, passages
from training.builds.inputs import text_frame
from training.builds.merges import merged_weights
from training.checkpoints import device_of, load_model, load_tokenizer, torch_threads
from training.evaluation.answer_measures import AnswerJudge
from training.evaluation.bootstrap import DocumentScore
from training.evaluation.candidates import (
    ADAPTED,
    ADAPTED_CHAT,
    ADAPTER_ON_NF4,
    BASE,
    BASE_MODEL,
    CHAT_BASE,
    EXPORT,
    NF4_BASE,
    TUNED,
    Candidate,
)
from training.evaluation.gates import (
    EarlierScores,
    TextScores,
    adapter_improves,
    improves,
    not_worse,
    source_language_kept,
)
from training.evaluation.showing import answer_table, change_table, measure_table, score_table
from training.language_report import (
    ANSWER_MEASURES,
    BITS_PER_BYTE,
    CHANGES,
    GENERATIONS,
    IN_DOMAIN,
    OUT_OF_SOURCE,
    PASSAGES,
    SOURCE_LANGUAGE,
    LanguageReport,
    report,
)
from training.plots import bits_per_byte_bars
from training.settings import EvaluationSettings


def fetch_identifier(setup: StageSetup) -> object:
    """Bring the model that identifies languages into the cache."""
    return model_path(cast(LanguageSettings, setup.settings["language"]).identification, setup.downloads)


def judge_of(setup: StageSetup) -> AnswerJudge:
    """What answers in the profile's language are measured with."""
    language = cast(LanguageSettings, setup.settings["language"])
    identifier = load_identifier(model_path(language.identification, setup.downloads))
    return AnswerJudge(identifier, language.identification.label, load_words(language.words.tokenizer))


def build_language_report(context: StageContext) -> StageReport:
    """``language_report``."""
    settings = cast(EvaluationSettings, context.settings["training.evaluation"])
    language = cast(LanguageSettings, context.settings["language"])
    judge = judge_of(context)
    started = time.monotonic()
    versions = {name: context.input(name) for name in (*_bases(context), *_adapted(context), *TUNED)}
    texts = text_sets(context.input("clean_corpus"), context.input("evaluation_text"), settings, language, context.seed)
    with torch_threads(settings.threads):
        found = report(
            list(_candidates(versions, settings)), texts, language.prompts, settings, context.progress, judge=judge, seed=context.seed
        )
        compared = list(_compared(context, found, texts, settings, [*_adapted(context), *TUNED]))
    scores, changes = found.bits_per_byte_rows(), found.change_rows()
    generations, measures = found.generation_rows(), found.measure_rows(judge)
    tables = ((BITS_PER_BYTE, scores), (PASSAGES, found.passage_rows()), (CHANGES, changes), (GENERATIONS, generations), (ANSWER_MEASURES, measures))
    for spec, rows in tables:
        with context.staging.table(spec) as table:
            table.write(rows)
    context.staging.card(
        f"# {context.asset}\n\nBits per byte on held-out text and answers to fixed prompts, measured on the exported files.\n\n{change_table(changes)}"
    )
    return StageReport(
        statistics={"change_percent": _nested(changes)},
        gates=[
            improves(found, settings.min_improvement_percent),
            adapter_improves(found, settings.min_adapter_improvement_percent),
            source_language_kept(found, settings.max_forgetting_percent),
            *compared,
        ],
        observations={"seconds": round(time.monotonic() - started, 1)},
        previews={
            "Bits per byte": score_table(scores),
            "Gain and forgetting": change_table(changes),
            "Answers measured": measure_table(measures),
            "Answers": answer_table(generations),
        },
        plots={"Bits per byte": bits_per_byte_bars(scores)},
    )


def _bases(context: StageContext) -> tuple[str, ...]:
    return (BASE_MODEL, *((CHAT_BASE,) if CHAT_BASE in context.inputs else ()))


def _adapted(context: StageContext) -> tuple[str, ...]:
    return (ADAPTED, *((ADAPTED_CHAT,) if ADAPTED_CHAT in context.inputs else ()))


def _candidates(versions: Mapping[str, PublishedVersion], settings: EvaluationSettings) -> Iterator[Candidate]:
    """Every base, every export, and with ``compare_quantized`` the adapters on NF4 beside the untuned NF4 bases."""
    for name, version in versions.items():
        chat_line = CHAT_BASE in versions and name in (CHAT_BASE, ADAPTED_CHAT, "chat_model")
        base = CHAT_BASE if chat_line else BASE_MODEL
        is_base = name == base
        folder = version.files if is_base else merged_weights(version)
        yield Candidate(name, BASE if is_base else EXPORT, folder, (base, BASE), answers=name != "evalita_model")
        if settings.compare_quantized and is_base:
            yield Candidate(name, NF4_BASE, folder, (base, NF4_BASE))
        if settings.compare_quantized and name in (ADAPTED, ADAPTED_CHAT) and trained_on_nf4(version):
            yield Candidate(name, ADAPTER_ON_NF4, versions[base].files, (base, NF4_BASE), adapter=version.files / "adapter")


def trained_on_nf4(version: PublishedVersion) -> bool:
    """Whether a model is an adapter that was trained over NF4 weights; others have no such form to measure."""
    return str(version.statistics.get("method", "")).lower() == "qlora" and (version.files / "adapter").is_dir()


def text_sets(
    corpus: PublishedVersion | None, foreign: PublishedVersion | None, settings: EvaluationSettings, language: LanguageSettings, seed: int
) -> list[TextSet]:
    """The held-out text sets of the assets that are there."""
    target, source = language.short_code, language.identification.source_label
    sets = [(IN_DOMAIN, target, text_frame(corpus, "text", "validation"))] if corpus is not None else []
    if foreign is not None:
        sets += [(OUT_OF_SOURCE, target, text_frame(foreign, "text", "target")), (SOURCE_LANGUAGE, source, text_frame(foreign, "text", "source"))]
    return [TextSet(name, code, passages(frame, settings.passages, settings.passage_characters, seed)) for name, code, frame in sets]


def _compared(
    context: StageContext, found: LanguageReport, texts: Sequence[TextSet], settings: EvaluationSettings, models: Sequence[str]
) -> Iterator[GateResult]:
    """Each model against its version in the last report that passed all its gates."""
    target = [text for text in texts if text.name != SOURCE_LANGUAGE]
    last = context.history.last_passed(context.asset)
    for model in models:
        present = {text.name: found.scores[model, EXPORT, text.name].scores for text in target}
        wanted = settings.max_regression_percent is not None
        earlier = _earlier_scores(context, last, model, target, settings) if wanted and last is not None else None
        yield not_worse(model, present, earlier, settings.max_regression_percent, settings.resamples, context.seed)


def _earlier_scores(
    context: StageContext, last: PastBuild, model: str, texts: Sequence[TextSet], settings: EvaluationSettings
) -> EarlierScores | None:
    """An earlier version's scores on the present texts: as its report has them, or measured again where that scored other text."""
    version = context.history.versions_behind(last.record, {model}).get(model)
    if version is None:
        return None
    name = f"{model}@{version[:8]}"
    recorded = _recorded(last, model, texts, settings)
    if recorded is not None:
        return EarlierScores(name, recorded)
    files = context.history.upstream(last, model)
    if files is None:
        return EarlierScores(name, None, "its report scored other text, and its files are gone, so that it cannot be measured again")
    return EarlierScores(name, _measured(merged_weights(files), texts, settings, context))


def _recorded(last: PastBuild, model: str, texts: Sequence[TextSet], settings: EvaluationSettings) -> TextScores | None:
    """The scores in a report's table; ``None`` where any passage, the window or the way of scoring was another one."""
    config = last.record.inputs["config"]["training.evaluation"]
    if PASSAGES.name not in last.published.tables or config["window_tokens"] != settings.window_tokens:
        return None
    scores: dict[str, dict[str, DocumentScore]] = {text.name: {} for text in texts}
    for row in last.published.read(PASSAGES.name).iter_rows(named=True):
        if (row["model"], row["form"]) == (model, EXPORT) and row["text"] in scores:
            scores[row["text"]][row["passage"]] = DocumentScore(row["nats"], row["bytes"])
    same = all(scores[text.name].keys() == {passage_key(passage) for passage in text.passages} for text in texts)
    return scores if same else None


def _measured(folder: Path, texts: Sequence[TextSet], settings: EvaluationSettings, context: StageContext) -> TextScores:
    model, tokenizer = load_model(folder, device_of(settings.device)), load_tokenizer(folder)
    with context.progress(sum(len(text.passages) for text in texts), "the last version that passed, on the present texts", "text") as bar:
        return {text.name: measure(model, tokenizer, text.passages, settings.window_tokens, bar).scores for text in texts}


def _nested(changes: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    nested: dict[str, dict[str, float]] = {}
    for row in changes:
        name = row["model"] if row["form"] == EXPORT else f"{row['model']}_{row['form']}"
        nested.setdefault(name, {})[row["text"]] = round(row["change_percent"], 2)
    return nested
