"""The report as one HTML file: no scripts, nothing fetched, pictures inside."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

from corpus.web.report.corpus_report import CorpusReport
from corpus.web.report.plots import Plot
from corpus.web.report.precision import Review
from corpus.web.rules import load_rules

TEMPLATES = Path(__file__).parent
"""The folder of templates; ``corpus_parts.html.jinja`` is for other reports to import."""
_TEMPLATE = "report.html.jinja"
SHOWN_PAGES = 15


def render_html(report: CorpusReport, plots: Mapping[str, Plot], review: Review | None) -> str:
    """The page. ``review`` is that of the sheet beside it, where one is filled in."""
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    whole = [shift for shift in (report.shifts.all_rules, report.shifts.everything) if shift is not None] if report.shifts else []
    mentions = report.mentions
    return environment.get_template(_TEMPLATE).render(
        report=report,
        settings=report.settings,
        rules=load_rules(report.settings.decisions.rules).name,
        key_numbers=key_numbers(report),
        pictures=pictures(plots),
        whole_shifts=whole,
        last_shift=whole[-1] if whole else None,
        mention_counts=[(name, counts) for name, counts in (("documents", mentions.before), ("clean corpus", mentions.after)) if counts] if mentions else [],
        shown_pages=report.dropped.by_turns(SHOWN_PAGES),
        review=review,
    )


def pictures(plots: Mapping[str, Plot]) -> dict[str, dict[str, str]]:
    """``src`` and ``alt`` of each plot, the picture inside."""
    return {name: {"src": f"data:image/png;base64,{base64.b64encode(plot.png).decode()}", "alt": plot.alt} for name, plot in plots.items()}


def key_numbers(report: CorpusReport) -> list[tuple[str, str]]:
    """What stands at the top: what came in, what is kept, and by how much."""
    waterfall = report.waterfall
    found = [(step.name, f"{step.pages:,}") for step in waterfall.steps if step.kind == "total" and step.name in ("records", "documents")]
    documents, kept = waterfall.total("documents"), waterfall.kept
    if documents is not None and kept is not None:
        found.append((kept.name, f"{kept.pages:,} ({kept.pages / max(documents.pages, 1):.0%})"))
        found.append(("kept words", f"{kept.words or 0:,} ({(kept.words or 0) / max(documents.words or 0, 1):.0%})"))
    if report.mentions is not None:
        ratio = (report.mentions.after or report.mentions.before).ratio()
        if ratio is not None:
            found.append((f"{report.settings.language} for each foreign mention", f"{ratio:.2f}"))
    return found
