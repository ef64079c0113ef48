"""Build functions of replay text and evaluation text."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from corpus.web import evaluation_text, plain_text, replay, snapshot
from corpus.web.errors import WebCorpusError
from corpus.web.extraction import PageExtractor
from corpus.web.made.bundled import LICENCE, bundled_file, load_pages
from corpus.web.previews import markdown_table
from corpus.web.ready.files import ready_location
from corpus.web.reporting import identifier_of, not_empty, section
from corpus.web.settings import (
    DocumentSettings,
    EvaluationPackage,
    EvaluationTextSettings,
    ReplaySettings,
)
from foundation.language.identification import IdentificationSettings
from foundation.sources.locations import AccessSettings
from foundation.stages import StageContext, StageReport, StageSetup


def build_replay_text(context: StageContext) -> StageReport:
    """Extract source-language pages of the snapshots."""
    settings = section(context, "corpus.web.replay", ReplaySettings)
    identification = section(context, "language.identification", IdentificationSettings)
    extractor = PageExtractor(
        section(context, "corpus.web.documents", DocumentSettings),
        identifier_of(context, identification),
        identification.source_label,
    )
    if settings.corpus is not None:
        access = section(context, "corpus.web.access", AccessSettings)
        location = ready_location(settings.corpus, context.data, access, key="corpus.web.replay.corpus")
        pages = replay.of_corpus(settings.corpus, location, extractor, settings, context.erased)
        sources = ["corpus"]
    else:
        roots = _roots(context)
        pages, sources = replay.of_snapshots(roots, extractor, settings, context.erased), list(roots)
    licence = settings.corpus.licence if settings.corpus else None
    rows, counts = replay.replay_rows(pages, extractor.label, settings, context.seed, licence)
    with context.staging.table(plain_text.REPLAY_TEXT) as table:
        for split, frame in rows.items():
            table.write(frame, split)
    splits = {split: {"documents": frame.height, "characters": int(frame["characters"].sum())} for split, frame in rows.items()}
    return StageReport(
        {"splits": splits, "left_out": dict(counts), "snapshots": sources},
        [not_empty("not_empty", min(frame.height for frame in rows.values()), "documents in the smallest split")],
        previews={"Replay text": markdown_table(_texts(rows["train"]))},
    )


def _roots(context: StageContext) -> dict[str, Path]:
    """The crawl's root of each snapshot whose files lie in the store."""
    roots = {
        name: version.files for name, version in context.partitions("snapshot").items() if version.statistics["source"] in snapshot.IN_STORE
    }
    if not roots:
        raise WebCorpusError(
            f"replay_text: of the snapshots {list(context.snapshots)} none has its files in the store; name a corpus of the source language "
            "in corpus.web.replay.corpus"
        )
    return roots


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
    rows = {split: [row for row in found if not context.erased.holds(str(row["url"]))] for split, found in rows.items()}
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
