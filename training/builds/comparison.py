"""The build of the model comparison: the reports of today beside those of the profile's last builds."""

from __future__ import annotations

from typing import Any, cast

from foundation.stages import StageContext, StageReport
from foundation.store import PublishedVersion
from training.builds.inputs import columns_of
from training.comparison import COMPARISON, Reported, Scored, compare
from training.evaluation.candidates import ADAPTED, ADAPTED_CHAT, BASE_MODEL, CHAT_BASE, TUNED, label_of
from training.evaluation.showing import markdown
from training.language_report import ANSWER_MEASURES, BITS_PER_BYTE, CHANGES, PASSAGES
from training.plots import comparison_plot
from training.settings import EvaluationSettings

MODELS = (BASE_MODEL, CHAT_BASE, ADAPTED, ADAPTED_CHAT, *TUNED)


def build_comparison(context: StageContext) -> StageReport:
    """``model_comparison``.

    Earlier reports are those that were built before the present one under the same profile: records never change, so that they are
    the same ones whenever this is built.
    """
    settings = cast(EvaluationSettings, context.settings["training.evaluation"])
    language, evalita = context.input("language_report"), context.input("evalita_report")
    earlier = [build.published for build in context.history.builds("language_report", before=language) if _readable(build.published)]
    earlier_scores = [build.published for build in context.history.builds("evalita_report", before=evalita) if not build.published.pruned]
    rows = compare(
        _reported(context, language),
        _scored(context, evalita),
        [_reported(context, version) for version in earlier[: settings.earlier_versions]],
        [_scored(context, version) for version in earlier_scores[: settings.earlier_versions]],
    )
    with context.staging.table(COMPARISON) as table:
        table.write(rows)
    context.staging.card(f"# {context.asset}\n\nEvery measure of every model, and of its versions before, beside what it is compared with.")
    before = {(row["model"], row["version"]) for row in rows if not row["present"]}
    return StageReport(
        statistics={"rows": len(rows), "earlier_versions": len(before)},
        previews={"Comparison": _table(rows)},
        plots={"Models and their versions before": comparison_plot(rows)},
    )


def _readable(version: PublishedVersion) -> bool:
    """Whether a report holds the tables of today; older ones have no passages, and nothing could be set beside them."""
    return {PASSAGES.name, CHANGES.name, ANSWER_MEASURES.name} <= set(version.tables) and not version.pruned


def _versions(context: StageContext, version: PublishedVersion) -> dict[str, str]:
    record = context.history.record_of(version)
    return {} if record is None else context.history.versions_behind(record, MODELS)


def _reported(context: StageContext, version: PublishedVersion) -> Reported:
    texts: dict[str, set[str]] = {}
    for text, passage in version.read(PASSAGES.name).select("text", "passage").iter_rows():
        texts.setdefault(text, set()).add(passage)
    return Reported(
        version.read(BITS_PER_BYTE.name),
        version.read(CHANGES.name),
        version.read(ANSWER_MEASURES.name),
        _versions(context, version),
        {text: frozenset(keys) for text, keys in texts.items()},
    )


def _scored(context: StageContext, version: PublishedVersion) -> Scored:
    columns = ("model", "task", "metric", "score", "low", "high", "baseline")
    return Scored(columns_of(version, "scores", columns).collect(), _versions(context, version))


def _table(rows: list[dict[str, Any]]) -> str:
    shown = [
        [
            label_of(row["model"], row["form"] or "export"),
            row["version"][:8] + ("" if row["present"] else " (before)"),
            row["measure"],
            row["set"] + ("" if row["same_text"] else " (other text)"),
            _number(row["value"]) + (f" ({_number(row['low'])} to {_number(row['high'])})" if row["low"] is not None else ""),
            _number(row["base_value"]),
            "" if row["difference_percent"] is None else f"{row['difference_percent']:+.1f}",
        ]
        for row in rows
    ]
    return markdown(["model", "version", "measure", "set", "value", "compared with", "difference %"], shown)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
