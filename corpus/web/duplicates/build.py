"""The build function of duplicate clusters."""

from __future__ import annotations

from collections.abc import Mapping

from corpus.web import charts
from corpus.web.duplicates.clustering import CLUSTERS, Clustering, cluster
from corpus.web.reporting import every_document, section
from corpus.web.settings import DuplicateSettings
from foundation.stages import StageContext, StageReport
from foundation.store import GateResult

_SIZE_CLASSES = (1, 2, 3, 4, 5, 10, 20, 50, 100, 1_000)


def build_duplicate_clusters(context: StageContext) -> StageReport:
    """Cluster the documents of all published snapshots."""
    settings = section(context, "corpus.web.duplicates", DuplicateSettings)
    versions = context.partitions("signals")
    files = {name: version.table_files("signals") for name, version in versions.items()}
    found = cluster(files, settings, context.work, context.engine)
    with context.staging.table(CLUSTERS) as table:
        for rows in found.tables():
            table.write(rows)
    summary = found.summary
    classes = _by_class(summary.sizes)
    statistics = {
        "documents": summary.documents,
        "clusters": sum(summary.sizes.values()),
        "singletons": summary.sizes.get(1, 0),
        "largest": max(summary.sizes, default=0),
        "exact_joins": summary.exact_joins,
        "near_joins": summary.near_joins,
        "compared_pairs": summary.compared_pairs,
        "large_buckets": summary.large_buckets,
        "documents_by_cluster_size": classes,
        "snapshots": list(versions),
    }
    expected = sum(version.manifest["tables"]["signals"]["rows"] for version in versions.values())
    return StageReport(
        statistics,
        [every_document(summary.documents, expected), _duplicate_share(summary, settings.max_duplicate_share)],
        plots={"Cluster sizes": charts.bars("Documents by size of their cluster", list(classes.items()), logarithmic=True)},
    )


def _duplicate_share(summary: Clustering, largest: float) -> GateResult:
    """The gate on documents beside the first of their cluster."""
    share = 1 - sum(summary.sizes.values()) / max(summary.documents, 1) if summary.documents else 0.0
    return GateResult("duplicate_share", share <= largest, round(share, 6), largest, "share of documents beside the first of their cluster")


def _by_class(sizes: Mapping[int, int]) -> dict[str, int]:
    """Documents in clusters of each class of sizes, named by its least size."""
    found = {f"{low}+" if low >= 5 else str(low): 0 for low in _SIZE_CLASSES}
    for size, count in sizes.items():
        low = max(least for least in _SIZE_CLASSES if least <= size)
        found[f"{low}+" if low >= 5 else str(low)] += size * count
    return {name: documents for name, documents in found.items() if documents}
