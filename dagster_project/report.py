"""The HTML report of a profile: what was made, of what, and how good it is. One file, no scripts, works offline."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpus.web.report.html import TEMPLATES, pictures
from dagster_project.corpus_report import corpus_versions, report_settings
from dagster_project.factory import Factory
from foundation.errors import TransumanzaError
from foundation.store import NotPublished, PublishedVersion
from foundation.store.builds import replace_atomically

if TYPE_CHECKING:
    from corpus.web.report.plots import Plot

TEMPLATE = Path(__file__).with_name("report.html.jinja")
_DROPPED_PAGES = 10


def write_report(factory: Factory, path: Path) -> Path:
    """Write the report of everything that is published under the profile.

    Raises:
        TransumanzaError: nothing is published.
    """
    from jinja2 import Environment, FileSystemLoader

    published = _published(factory)
    if not published:
        raise TransumanzaError(f"nothing is published under profile {factory.loaded.profile.name!r}; run `transumanza demo` first")
    environment = Environment(loader=FileSystemLoader([TEMPLATE.parent, TEMPLATES]), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    html = environment.get_template(TEMPLATE.name).render(
        profile=factory.loaded.profile,
        assets=_asset_rows(factory, published),
        corpus=_corpus(factory),
        translations=_translations(published),
        models=_models(factory, published),
        evalita=_evalita(published),
        tasks=_task_examples(published),
    )
    replace_atomically(path, html)
    return path


def _published(factory: Factory) -> dict[tuple[str, str | None], PublishedVersion]:
    store, name = factory.workplace.store, factory.loaded.profile.name
    found = {}
    for stage, partition in factory.builds():
        try:
            found[(stage.asset, partition)] = store.published(store.record(stage.asset, partition, ref=name))
        except NotPublished:
            continue
    return found


def _asset_rows(factory: Factory, published: Mapping[tuple[str, str | None], PublishedVersion]) -> list[dict[str, Any]]:
    rows = []
    for (asset, partition), version in published.items():
        record = factory.workplace.store.record(asset, partition, ref=factory.loaded.profile.name)
        rows.append(
            {
                "group": factory.stages[asset].group,
                "name": asset if partition is None else f"{asset}[{partition}]",
                "version": version.version,
                "rows": version.rows if version.tables else None,
                "bytes": version.bytes,
                "seconds": record.seconds,
                "gates": record.gates,
            }
        )
    return rows


def _corpus(factory: Factory) -> dict[str, Any] | None:
    """The main parts of the corpus report; ``transumanza corpus report`` writes all of it."""
    from corpus.web.report import corpus_report
    from corpus.web.report.plots import main_plots

    versions = corpus_versions(factory)
    if not any(not version.pruned for version in versions.documents.values()):
        return None
    report = corpus_report(versions, report_settings(factory.loaded.profile, examples=_DROPPED_PAGES, sample=0))
    return {"report": report, "pictures": pictures(main_plots(report)), "dropped": report.dropped.by_turns(_DROPPED_PAGES)}


def _translations(published: Mapping[tuple[str, str | None], PublishedVersion]) -> list[dict[str, Any]]:
    from translation.report import side_by_side

    chats, instructions = published.get(("translated_chats", None)), published.get(("translated_instructions", None))
    return side_by_side(chats, instructions, n=10) if chats is not None and instructions is not None else []


def _models(factory: Factory, published: Mapping[tuple[str, str | None], PublishedVersion]) -> dict[str, Any] | None:
    from training.report import answer_measures_table, before_after, bits_per_byte_table

    language_report = published.get(("language_report", None))
    if language_report is None:
        return None
    return {
        "bits_per_byte": bits_per_byte_table(language_report),
        "answer_measures": answer_measures_table(language_report),
        "generations": before_after(language_report),
        "pictures": pictures({plot.alt: plot for asset in ("language_report", "adapted_model", "model_comparison") for plot in _plots(factory, asset)}),
    }


def _plots(factory: Factory, asset: str) -> list[Plot]:
    """The plots of the build that the profile names, where there is one."""
    from corpus.web.report.plots import Plot

    store, name = factory.workplace.store, factory.loaded.profile.name
    try:
        return [Plot(content, title) for title, content in store.shown(store.record(asset, ref=name))[1].items()]
    except NotPublished:
        return []


def _task_examples(published: Mapping[tuple[str, str | None], PublishedVersion]) -> dict[str, list[dict[str, str]]]:
    """Ten rendered rows of every task."""
    from corpus.evalita.report import rendered_examples

    version = published.get(("evalita_instructions", None))
    return {} if version is None else rendered_examples(version)


def _evalita(published: Mapping[tuple[str, str | None], PublishedVersion]) -> list[dict[str, Any]]:
    version = published.get(("evalita_report", None))
    return [] if version is None else version.read("scores").to_dicts()
