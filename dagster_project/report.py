"""The HTML report of a profile: what was made, of what, and how good it is. One file, no scripts, works offline."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster_project.factory import Factory
from foundation.errors import TransumanzaError
from foundation.store import NotPublished, PublishedVersion
from foundation.store.builds import replace_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEMPLATE = Path(__file__).with_name("report.html.jinja")


def write_report(factory: Factory, path: Path) -> Path:
    """Write the report of everything that is published under the profile.

    Raises:
        TransumanzaError: nothing is published.
    """
    from jinja2 import Environment, FileSystemLoader

    published = _published(factory)
    if not published:
        raise TransumanzaError(f"nothing is published under profile {factory.loaded.profile.name!r}; run `transumanza demo` first")
    environment = Environment(loader=FileSystemLoader(TEMPLATE.parent), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    html = environment.get_template(TEMPLATE.name).render(
        profile=factory.loaded.profile,
        assets=_asset_rows(factory, published),
        corpus=_corpus(factory, published),
        translations=_translations(published),
        models=_models(published),
        evalita=_evalita(published),
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


def _corpus(factory: Factory, published: Mapping[tuple[str, str | None], PublishedVersion]) -> dict[str, Any] | None:
    from corpus.web.report import dropped_examples, waterfall

    clean = published.get(("clean_corpus", None))
    documents = {part: version for (asset, part), version in published.items() if asset == "documents" and part is not None}
    if clean is None or not documents:
        return None
    steps = waterfall(documents, clean)
    return {
        "steps": steps,
        "picture": _bars([label for label, _ in steps], [count for _, count in steps], "documents", logarithmic=True),
        "dropped": dropped_examples(clean, documents, n=10),
        "statistics": clean.statistics,
    }


def _translations(published: Mapping[tuple[str, str | None], PublishedVersion]) -> list[dict[str, Any]]:
    from translation.report import side_by_side

    chats, instructions = published.get(("translated_chats", None)), published.get(("translated_instructions", None))
    return side_by_side(chats, instructions, n=10) if chats is not None and instructions is not None else []


def _models(published: Mapping[tuple[str, str | None], PublishedVersion]) -> dict[str, Any] | None:
    from training.report import before_after, bits_per_byte_table

    language_report = published.get(("language_report", None))
    if language_report is None:
        return None
    return {"bits_per_byte": bits_per_byte_table(language_report), "generations": before_after(language_report)}


def _evalita(published: Mapping[tuple[str, str | None], PublishedVersion]) -> list[dict[str, Any]]:
    version = published.get(("evalita_report", None))
    return [] if version is None else version.read("scores").to_dicts()


def _bars(labels: Sequence[str], values: Sequence[float], unit: str, *, logarithmic: bool = False) -> str:
    """A horizontal bar chart as a data URI."""
    from matplotlib.figure import Figure

    figure: Figure = Figure(figsize=(8, 0.38 * len(labels) + 0.7), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh(range(len(labels)), values, color="#4a7c59")
    axes.bar_label(bars, labels=[f"{value:,.0f}" for value in values], padding=3, fontsize=8)
    axes.set_yticks(range(len(labels)), labels, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel(unit, fontsize=8)
    if logarithmic and max(values, default=0) > 0:
        axes.set_xscale("symlog")
    axes.margins(x=0.12)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
