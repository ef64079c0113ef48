"""Writing the quality report into a folder: HTML, Markdown with its pictures, and the review sheet, which is never written over once it
is filled in."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from foundation.review.sheets import SheetError, read_rows
from foundation.store.builds import replace_atomically
from translation.quality.quality_report import QUANTILES, QualityReport, Spread
from translation.quality.samples import sheet_of

HTML, MARKDOWN, SHEET = "report.html", "report.md", "review.csv"
_THRESHOLDS = {
    "length_ratio": ("min_length_ratio", "max_length_ratio"),
    "language_score": ("min_language_score",),
    "untranslated_share": ("max_untranslated_share",),
    "compression_ratio": ("min_compression_ratio",),
    "min_score": ("min_score",),
    "round_trip_chrf": ("min_round_trip_chrf",),
    "answer_in_context": ("min_answer_in_context",),
}
_BINS = 40


@dataclass(frozen=True)
class WrittenReport:
    """What was written; ``sheet_kept`` says why a sheet that was there stays, None where a new one was written."""

    files: tuple[Path, ...]
    sheet_kept: str | None


def write_report(report: QualityReport, folder: Path) -> WrittenReport:
    """Write ``report.html``, ``report.md`` with its pictures, and ``review.csv``."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {f"{found.name}-{spread.signal}": _histogram(spread, report) for found in report.sets for spread in found.spreads}
    for name, content in pictures.items():
        (folder / f"{name}.png").write_bytes(content)
    replace_atomically(folder / HTML, _html(report, pictures))
    replace_atomically(folder / MARKDOWN, "\n".join(_markdown(report)) + "\n")
    files = [folder / HTML, folder / MARKDOWN, *(folder / f"{name}.png" for name in pictures)]
    kept = _filled(folder / SHEET)
    if kept is None and report.samples:
        replace_atomically(folder / SHEET, sheet_of(report.samples))
        files.append(folder / SHEET)
    return WrittenReport(tuple(files), kept)


def _filled(path: Path) -> str | None:
    """Why the sheet that is there must not be written over."""
    if not path.exists():
        return None
    try:
        if not any(cells["verdict"].strip() or cells.get("note", "").strip() for _, cells in read_rows(path, ("verdict",))):
            return None
    except SheetError as error:
        return f"the sheet stays as it is, since it cannot be read back: {error}. Move it away to have a new one"
    return f"{path} holds verdicts or notes and stays as it is; move it away to have a new one"


def _histogram(spread: Spread, report: QualityReport) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 2.4), dpi=90, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    low, high = spread.quantiles[0], spread.quantiles[-1]
    room = (high - low) * 0.25 or 0.1
    span = (low - room, high + room)
    for values, label, colour in ((spread.kept, "kept", "#3b7a57"), (spread.quarantined, "quarantined", "#c4681c")):
        clipped = [min(max(value, span[0]), span[1]) for value in values]
        axes.hist(clipped, bins=_BINS, range=span, color=colour, alpha=0.75, label=f"{label} ({len(values):,})")
    for name in _THRESHOLDS.get(spread.signal, ()):
        threshold = getattr(report.gates, name)
        if span[0] <= threshold <= span[1]:
            axes.axvline(threshold, color="#333333", linestyle="--", linewidth=1)
    axes.set_title(spread.signal.replace("_", " "), fontsize=10, loc="left")
    axes.set_ylabel("rows", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=7, frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _html(report: QualityReport, pictures: Mapping[str, bytes]) -> str:
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    encoded = {name: f"data:image/png;base64,{base64.b64encode(content).decode()}" for name, content in pictures.items()}
    return environment.get_template("report.html.jinja").render(report=report, pictures=encoded, quantiles=QUANTILES)


def _markdown(report: QualityReport) -> list[str]:
    lines = [f"# Translation quality of profile {report.profile}", "", f"Engine: {report.engine}, {report.package}, {dict(report.parameters)}", ""]
    lines += [f"> {remark}" for remark in (*([report.note] if report.note else []), *(f"missing: {name}" for name in report.missing))]
    lines += ["", "## Scores on parallel sets", "", "| set | sentences | BLEU | chrF | spans lost | truncated | untranslated words |", "|---|---|---|---|---|---|---|"]
    for found in report.scores:
        lines.append(
            f"| {found.name} | {found.sentences:,} | {found.bleu.value:.1f} ± {found.bleu.half_width:.1f} | {found.chrf.value:.1f} ± {found.chrf.half_width:.1f} "
            f"| {found.lost} | {found.truncated} | {found.untranslated_share:.1%} |"
        )
    lines += [f"\nsacrebleu: {report.scores[0].bleu.signature}; {report.scores[0].chrf.signature}"] if report.scores else []
    for translated in report.sets:
        share = translated.quarantined / max(translated.rows, 1)
        lines += ["", f"## {translated.name}", "", f"{translated.version}: {translated.kept:,} of {translated.rows:,} rows kept, {share:.1%} quarantined.", "", "| gate | rows | share |", "|---|---|---|"]
        lines += [f"| {reason} | {count:,} | {count / max(translated.rows, 1):.2%} |" for reason, count in translated.reasons.items()]
        lines += ["", f"| signal | rows | {' | '.join(f'{share:.0%}' for share in QUANTILES)} |", "|---|---|" + "---|" * len(QUANTILES)]
        lines += [f"| {spread.signal} | {spread.rows:,} | {' | '.join(f'{value:g}' for value in spread.quantiles)} |" for spread in translated.spreads]
        lines += [f"\n![{spread.signal} of {translated.name}]({translated.name}-{spread.signal}.png)" for spread in translated.spreads]
    return lines
