"""Writing the report into a folder: HTML, Markdown with its pictures, and the review sheet, which is never written over once it is filled in."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from corpus.web.errors import WebCorpusError
from corpus.web.report.corpus_report import CorpusReport
from corpus.web.report.html import render_html
from corpus.web.report.markdown import render_markdown
from corpus.web.report.plots import plots
from corpus.web.report.precision import Review, review
from corpus.web.report.review_sheet import read_sheet, sheet_of
from corpus.web.report.versions import CorpusVersions

HTML, MARKDOWN, SHEET = "report.html", "report.md", "review.csv"


@dataclass(frozen=True)
class WrittenReport:
    """What was written; ``sheet_kept`` says why a sheet that was there stays as it is, None where a new one was written."""

    files: tuple[Path, ...]
    review: Review | None
    sheet_kept: str | None


def write_report(report: CorpusReport, versions: CorpusVersions, folder: Path) -> WrittenReport:
    """Write ``report.html``, ``report.md`` with its pictures, and ``review.csv``.

    A sheet with verdicts or notes stays; where it is of this version of the corpus, the report shows its precision.

    Args:
        report: what to write.
        versions: what it was computed from, to read the verdicts of a sheet against.
        folder: made where it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found, kept = _reviewed(folder / SHEET, versions)
    pictures = plots(report)
    contents = {f"{name}.png": plot.png for name, plot in pictures.items()}
    contents |= {MARKDOWN: render_markdown(report, pictures, found).encode(), HTML: render_html(report, pictures, found).encode()}
    if report.drops is not None and kept is None:
        rules = {entry.rule for entry in report.drops.rules}
        contents[SHEET] = sheet_of((page for page in report.dropped.pages if page.rule in rules), report.coverage.version).encode()
    for name, content in contents.items():
        _replace(folder / name, content)
    return WrittenReport(tuple(folder / name for name in contents), found, kept)


def _reviewed(path: Path, versions: CorpusVersions) -> tuple[Review | None, str | None]:
    """The review of the sheet that is there, and why the sheet is kept."""
    if not path.exists():
        return None, None
    try:
        sheet = read_sheet(path)
        if not sheet.pages and not sheet.noted:
            return None, None
        return review(sheet, versions), f"{path} holds verdicts or notes and stays as it is; the report shows its precision"
    except WebCorpusError as error:
        return None, f"the sheet stays as it is, since it cannot be read back: {error}. Move it away to have a new one"


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
