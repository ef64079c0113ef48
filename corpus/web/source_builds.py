"""Build functions of the source stages: snapshots, replay text, evaluation text."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from corpus.web import charts, evaluation_text, plain_text, replay, snapshot
from corpus.web.bundled import LICENCE, bundled_file, load_pages
from corpus.web.extraction import PageExtractor
from corpus.web.previews import markdown_table
from corpus.web.reporting import identifier_of, not_empty, ranked, section
from corpus.web.settings import (
    DocumentSettings,
    EvaluationPackage,
    EvaluationTextSettings,
    ReplaySettings,
    SnapshotSettings,
)
from foundation.language.identification import IdentificationSettings
from foundation.stages import StageContext, StageReport, StageSetup


def build_snapshot(context: StageContext) -> StageReport:
    """Make a sample crawl, or copy the user's WARC files."""
    settings = section(context, "corpus.web.snapshot", SnapshotSettings)
    root = context.staging.files
    source = snapshot.resolved_source(settings, context.debian)
    if source == "folder":
        partition = str(context.partition)
        snapshot.see_own_folder(snapshot.folder_root(settings, context.data, partition), partition, context.snapshots)
        made = snapshot.copy_folder(settings, context.data, partition, root)
    else:
        made = snapshot.write_made_crawl(
            str(context.partition), settings, context.debian, context.data, context.work, root, context.seed
        )
    rows = snapshot.capture_rows(root)
    with context.staging.table(snapshot.CAPTURES) as table:
        table.write(rows)
    context.staging.card(
        f"# Snapshot {context.partition}\n\nWARC files in Common Crawl's layout (source: {source}). Pages of sample crawls are "
        "real pages of Debian packages and pages written for this project, at made hosts under the reserved name "
        "`.example`; they say nothing of the quality of a web crawl. Each page carries its licence in a `Link` header.",
        license="other",
    )
    responses = sum(row["responses"] for row in rows)
    languages = made.get("languages", {})
    return StageReport(
        {"source": source, "responses": responses, "damaged": sum(row["damaged"] for row in rows), **made},
        [not_empty("not_empty", responses)],
        previews={"WARC files": markdown_table(rows[:5])},
        plots={"Pages by language": charts.bars("Pages by language", ranked(languages))} if languages else {},
    )


def build_replay_text(context: StageContext) -> StageReport:
    """Extract source-language pages of the snapshots."""
    settings = section(context, "corpus.web.replay", ReplaySettings)
    identification = section(context, "language.identification", IdentificationSettings)
    extractor = PageExtractor(
        section(context, "corpus.web.documents", DocumentSettings),
        identifier_of(context, identification),
        identification.source_label,
    )
    roots = {name: version.files for name, version in context.partitions("snapshot").items()}
    rows, counts = replay.replay_rows(roots, extractor, settings, context.seed)
    with context.staging.table(plain_text.REPLAY_TEXT) as table:
        for split, frame in rows.items():
            table.write(frame, split)
    splits = {split: {"documents": frame.height, "characters": int(frame["characters"].sum())} for split, frame in rows.items()}
    return StageReport(
        {"splits": splits, "left_out": dict(counts), "snapshots": list(roots)},
        [not_empty("not_empty", min(frame.height for frame in rows.values()), "documents in the smallest split")],
        previews={"Replay text": markdown_table(_texts(rows["train"]))},
    )


def build_evaluation_text(context: StageContext) -> StageReport:
    """Gather text of both languages from sources that no training reads."""
    settings = section(context, "corpus.web.evaluation_text", EvaluationTextSettings)
    identification = section(context, "language.identification", IdentificationSettings)
    identifier = identifier_of(context, identification)
    source = evaluation_source(context)
    native = context.data.find(settings.target_file)
    rows: dict[str, list[dict[str, object]]] = {}
    for split, label, packages in (
        ("target", identification.label, settings.target_packages),
        ("source", identification.source_label, settings.source_packages),
    ):
        if split == "target" and native:
            rows[split] = evaluation_text.wikinews_rows(native[0], settings)
        elif source == "debian":
            folders = _unpacked(context, packages)
            rows[split] = evaluation_text.package_rows(packages, folders, settings, identifier, label)
        else:
            pages = load_pages(bundled_file(context.data), "evaluation")
            rows[split] = evaluation_text.bundled_rows(pages, identifier, label, LICENCE, settings)
    with context.staging.table(plain_text.EVALUATION_TEXT) as table:
        for split, found in rows.items():
            table.write(found, split)
    frames = {split: pl.DataFrame(found) for split, found in rows.items()}
    splits = {
        split: {"documents": len(found), "characters": sum(len(str(row["text"])) for row in found)} for split, found in rows.items()
    }
    return StageReport(
        {"splits": splits, "sources": {split: sorted({str(row["source"]) for row in found}) for split, found in rows.items()}},
        [not_empty("not_empty", min(len(found) for found in rows.values()), "documents in the smallest split")],
        previews={f"Evaluation text: {split}": markdown_table(_texts(frame)) for split, frame in frames.items()},
    )


def evaluation_source(setup: StageSetup) -> str:
    """Where evaluation text comes from on this machine."""
    settings = section(setup, "corpus.web.evaluation_text", EvaluationTextSettings)
    names = [package.name for package in (*settings.target_packages, *settings.source_packages)]
    return snapshot.resolve_auto(settings.source, setup.debian, names)


def _unpacked(context: StageContext, packages: tuple[EvaluationPackage, ...]) -> list[Path]:
    folders = []
    for name, package in context.debian.obtain([package.name for package in packages]).items():
        folders.append(context.work / "packages" / name)
        context.debian.unpack(package, folders[-1])
    return folders


def _texts(frame: pl.DataFrame) -> list[dict[str, object]]:
    if frame.is_empty():
        return []
    return frame.select("source", "url", "characters", pl.col("text").str.slice(0, 120)).head(5).to_dicts()
