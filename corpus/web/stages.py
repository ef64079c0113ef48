"""The stages of the web corpus workshop, declared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from corpus.web import (
    builds,
    clean_build,
    crawl_snapshot,
    document_build,
    drift,
    signal_inputs,
    snapshot_build,
    source_builds,
)
from corpus.web.clean import LEDGER, TEXT
from corpus.web.crawl.selection import SELECTION
from corpus.web.decisions import DECISIONS
from corpus.web.documents import DOCUMENTS, SKIPPED
from corpus.web.duplicates import CLUSTERS
from corpus.web.duplicates.build import build_duplicate_clusters
from corpus.web.made.bundled import bundled_file
from corpus.web.personal_data import secret_hashes
from corpus.web.plain_text import EVALUATION_TEXT, REPLAY_TEXT
from corpus.web.reporting import section
from corpus.web.rights.ai_crawlers import crawlers_digest
from corpus.web.rights.robots import ROBOTS
from corpus.web.settings import CleanSettings, EvaluationTextSettings, ReplaySettings, SnapshotSettings, WebSettings
from corpus.web.signals import SIGNALS
from corpus.web.snapshot import FILES, IN_STORE, folder_files, obtained, source_of
from corpus.web.warc.erasing import erase_captures
from foundation.language.identification import IdentificationSettings, model_path
from foundation.sources.locations import AccessSettings
from foundation.stages import Stage, StageSetup

EXTRACTION_PACKAGES = ("trafilatura", "justext", "lxml", "lxml-html-clean", "resiliparse", "fasttext-numpy2-wheel", "tldextract")
"""What turns a page into a row: another release may extract, parse or split otherwise."""

_EVERY_DOCUMENT = "Every document has its row, once."
_BOTH_SPLITS = "There are documents in every split."


def stages(settings: WebSettings) -> tuple[Stage, ...]:
    """All stages of the web corpus, sources first."""
    return (*_sources(), *_corpus())


def _sources() -> tuple[Stage, ...]:
    return (
        Stage(
            "snapshot",
            "2",
            "sources",
            snapshot_build.build_snapshot,
            sections=("corpus.web.snapshot",),
            reads=("corpus.web.access",),
            tables=(FILES, SELECTION),
            partitioned=True,
            kinds=("warc",),
            description="What is read of one source of documents. A crawl of Common Crawl: the records that its columnar index names "
            "for the language, or its files. A ready corpus: its files and column map. A made sample: real HTML pages of Debian "
            "packages and bundled pages as WARC files in Common Crawl's layout, with copies and damage as crawls have them.",
            gates={"not_empty": "There is something to read: a file, or a selected record."},
            user_files=_snapshot_files,
            facts=_snapshot_facts,
            from_outside=True,
            erase_files=erase_captures,
        ),
        Stage(
            "replay_text",
            "1",
            "sources",
            source_builds.build_replay_text,
            sections=("corpus.web.replay", "corpus.web.documents", "language.identification"),
            reads=("corpus.web.access",),
            upstream=("snapshot",),
            tables=(REPLAY_TEXT,),
            all_snapshots=True,
            kinds=("parquet",),
            description="Source-language (English) pages of the snapshots, extracted as documents are, or of a ready corpus. Mixed into the "
            "adaptation data so that the model keeps its first language.",
            gates={"not_empty": _BOTH_SPLITS},
            facts=_replay_facts,
            from_outside=True,
        ),
        Stage(
            "evaluation_text",
            "1",
            "sources",
            source_builds.build_evaluation_text,
            sections=("corpus.web.evaluation_text", "language.identification"),
            tables=(EVALUATION_TEXT,),
            kinds=("parquet",),
            description="Text in both languages from sources that are never trained on. Bits per byte are measured on it "
            "before and after adaptation.",
            gates={"not_empty": "There is text in every language that is measured."},
            user_files=_evaluation_files,
            facts=_evaluation_facts,
            from_outside=True,
        ),
    )


def _corpus() -> tuple[Stage, ...]:
    return (
        Stage(
            "documents",
            "2",
            "corpus",
            document_build.build_documents,
            sections=("corpus.web.documents", "language.identification"),
            reads=("corpus.web.access", "corpus.web.snapshot"),
            upstream=("snapshot",),
            tables=(DOCUMENTS, SKIPPED, ROBOTS),
            partitioned=True,
            kinds=("parquet", "trafilatura"),
            description="Every page that may be in the target language: text, provenance, language scores, rights. A cheap "
            "extractor and language gate spare 97 % of pages the precise one. Pages that never became candidates are counted by reason; "
            "what robots.txt and tdmrep.json of the hosts say to crawlers for AI is kept as evidence.",
            gates={
                "not_empty": "A page became a document.",
                "damage_share": "Damaged files cost no more of the records, and of the bytes, than corpus.web.documents.max_damaged_share.",
            },
            facts=_document_facts,
            from_outside=True,
            fetch=_fetch_identifier,
        ),
        Stage(
            "signals",
            "3",
            "corpus",
            builds.build_signals,
            sections=("corpus.web.signals", "language.words", "language.phrases"),
            upstream=("documents",),
            tables=(SIGNALS,),
            carried={"documents": ("document_id",)},
            derived=dict.fromkeys((name for name in SIGNALS.schema.names if name != "document_id"), ("documents.text",)),
            partitioned=True,
            kinds=("parquet",),
            description="All quality signals of every document, line signals, MinHash signatures and bands. Measuring never "
            "drops: thresholds are applied later.",
            gates={"every_document": _EVERY_DOCUMENT},
            user_files=signal_inputs.files,
            facts=_signal_facts,
            fetch=signal_inputs.fetched,
        ),
        Stage(
            "decisions",
            "4",
            "corpus",
            builds.build_decisions,
            sections=("corpus.web.decisions", "language.identification"),
            upstream=("signals", "documents", "benchmark_sets"),
            tables=(DECISIONS,),
            carried={"documents": ("document_id",)},
            derived={"removed_lines": ("signals.line_signals",), "overlap": ("documents.text", "benchmark_sets.text")},
            partitioned=True,
            kinds=("parquet",),
            description="Every rule that each document fails, the lines to remove, and the stretches shared with benchmark "
            "items (n-gram test of Brown et al. 2020, appendix C). Rules are data, in profiles/rules.",
            gates={
                "every_document": _EVERY_DOCUMENT,
                "some_pass": "A document passes every rule; where none does, the verdict names the rules that reject most.",
                drift.GATE: "No signal is spread otherwise than in the last decisions that passed: a population stability index of at most corpus.web.decisions.max_signal_drift, or what chance makes.",
            },
            facts=_decision_facts,
        ),
        Stage(
            "duplicate_clusters",
            "2",
            "corpus",
            build_duplicate_clusters,
            sections=("corpus.web.duplicates",),
            upstream=("signals",),
            tables=(CLUSTERS,),
            carried={"signals": ("document_id",)},
            derived=dict.fromkeys(("cluster_id", "cluster_size"), ("signals.normalized_sha256", "signals.signature", "signals.bands")),
            all_snapshots=True,
            kinds=("parquet",),
            description="Exact and near duplicates (MinHash, 14 bands of 8, verified) across all snapshots. Only signatures "
            "are read, so that adding a snapshot measures nothing again.",
            gates={
                "every_document": _EVERY_DOCUMENT,
                "duplicate_share": "Documents beside the first of their cluster are no more than corpus.web.duplicates.max_duplicate_share: more says that something was read twice.",
            },
        ),
        Stage(
            "clean_corpus",
            "3",
            "corpus",
            clean_build.build_clean_corpus,
            sections=("corpus.web.clean", "language.words", "language.identification"),
            upstream=("decisions", "documents", "duplicate_clusters"),
            tables=(TEXT, LEDGER),
            carried={
                "documents": ("document_id", "snapshot", "url", "registered_domain", "licence"),
                "duplicate_clusters": ("cluster_size",),
            },
            derived={"text": ("documents.text", "decisions.removed_lines", "decisions.overlap")},
            all_snapshots=True,
            kinds=("parquet",),
            description="The published text, one document of each cluster, personal data replaced, split by registered domain; "
            "and the ledger: every document, kept or not, and why.",
            gates={
                "not_empty": _BOTH_SPLITS,
                "language_share": "Published documents are in the target language: at least corpus.web.clean.min_language_share of them.",
                "no_duplicates": "No published text stands twice.",
                "disjoint_domains": "No registered domain is in both splits.",
            },
            facts=_clean_facts,
            secrets=_clean_secrets,
        ),
    )


def _snapshot_files(setup: StageSetup) -> Sequence[Path]:
    settings = section(setup, "corpus.web.snapshot", SnapshotSettings)
    source = source_of(settings, str(setup.partition), setup.debian)
    if source == "folder":
        return folder_files(settings, setup.data, setup.partition)
    return [bundled_file(setup.data)] if source in ("debian", "bundled") else []


def _snapshot_facts(setup: StageSetup) -> Mapping[str, Any]:
    settings = section(setup, "corpus.web.snapshot", SnapshotSettings)
    source = source_of(settings, str(setup.partition), setup.debian)
    packages = obtained(settings, setup.debian) if source == "debian" else {}
    hashes = {"packages": {name: package.sha256 for name, package in sorted(packages.items())}} if source in IN_STORE else {}
    splitting = _versions("tldextract") if source == "common_crawl" else {}  # registered domains of the selection
    return {"source": source, **hashes, **splitting, **_local_files(setup)}


def _local_files(setup: StageSetup) -> Mapping[str, Any]:
    """What is known of files outside the store: they may change under the same names, and the snapshot's version not with them."""
    settings = section(setup, "corpus.web.snapshot", SnapshotSettings)
    name = str(setup.partition)
    if source_of(settings, name, setup.debian) in IN_STORE:
        return {}
    return crawl_snapshot.listing(settings.corpora.get(name), name, section(setup, "corpus.web.access", AccessSettings), setup.data)


def _extractor_facts(setup: StageSetup) -> Mapping[str, Any]:
    return _versions(*EXTRACTION_PACKAGES)


def _replay_facts(setup: StageSetup) -> Mapping[str, Any]:
    settings = section(setup, "corpus.web.replay", ReplaySettings)
    access = section(setup, "corpus.web.access", AccessSettings)
    listing = crawl_snapshot.listing(settings.corpus, "", access, setup.data) if settings.corpus else {}
    return {**_extractor_facts(setup), **listing}


def _document_facts(setup: StageSetup) -> Mapping[str, Any]:
    versions = _versions(*EXTRACTION_PACKAGES, "protego")
    settings = section(setup, "corpus.web.snapshot", SnapshotSettings)
    # Files of ready corpora have a sha256 in the snapshot's version, which is compared when they are read; a mirror's have none.
    mirror = {} if str(setup.partition) in settings.corpora else _local_files(setup)
    return {**versions, "ai_crawlers": crawlers_digest(), **mirror}


def _decision_facts(setup: StageSetup) -> Mapping[str, Any]:
    return {"ai_crawlers": crawlers_digest()}


def _signal_facts(setup: StageSetup) -> Mapping[str, Any]:
    return _versions("spacy", "numba")


def _clean_facts(setup: StageSetup) -> Mapping[str, Any]:
    return _versions("spacy", "phonenumbers", "python-stdnum", "tldextract")


def _clean_secrets(setup: StageSetup) -> Mapping[str, str]:
    return secret_hashes(section(setup, "corpus.web.clean", CleanSettings).personal_data)


def _versions(*names: str) -> dict[str, str]:
    """Versions of packages that shape rows: another release may extract, split or match otherwise."""
    return {name: version(name) for name in names}


def _fetch_identifier(setup: StageSetup) -> Path:
    return model_path(section(setup, "language.identification", IdentificationSettings), setup.downloads)


def _evaluation_files(setup: StageSetup) -> Sequence[Path]:
    settings = section(setup, "corpus.web.evaluation_text", EvaluationTextSettings)
    bundled = [bundled_file(setup.data)] if source_builds.evaluation_source(setup) == "bundled" else []
    return [*setup.data.find(settings.target_file)[:1], *bundled]


def _evaluation_facts(setup: StageSetup) -> Mapping[str, Any]:
    settings = section(setup, "corpus.web.evaluation_text", EvaluationTextSettings)
    source = source_builds.evaluation_source(setup)
    names = [package.name for package in (*settings.target_packages, *settings.source_packages)]
    packages = setup.debian.obtain(names) if source == "debian" else {}
    return {
        "source": source,
        "packages": {name: package.sha256 for name, package in sorted(packages.items())},
        **_extractor_facts(setup),
    }
