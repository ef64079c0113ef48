"""Clusters of duplicates across snapshots: equal texts, and near duplicates by MinHash with banding, verified.

Which documents form a cluster depends on the set of documents alone: neither on the order in which snapshots were added,
nor on workers, nor on the sizes of shards and blocks.
"""

from corpus.web.duplicates.clustering import CLUSTERS, Clustering, Clusters, cluster

__all__ = ["CLUSTERS", "Clustering", "Clusters", "cluster"]
