"""Transumanza's side of the harvest benchmark: documents, signals and decisions of a folder of WARC files, by one worker.

The stages run as they always do, publishing included. Prints one JSON object: pages, CPU seconds, seconds that each asset took when
it was built, peak memory; writes the addresses of all documents.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from benchmarks.running import cpu_seconds
from corpus.web.settings import DocumentSettings, SnapshotSettings, WebSettings
from corpus.web.stages import stages
from foundation.language.settings import LanguageSettings
from foundation.settings import PROFILES_ROOT
from foundation.sources.data import DataFolder
from foundation.stages import Stage, StageContext, StageReport, Workplace, run_stage
from foundation.store import Store, TableSpec

CRAWL = "CC-MAIN-2026-01"
PROFILE = "benchmark"
_ITEMS = TableSpec(
    "items", pa.schema([("benchmark", pa.string()), ("item_id", pa.string()), ("text", pa.string())]), key=("benchmark", "item_id")
)


def main(warcs: str, home: str, extractor: str, pages_file: str) -> None:
    """Run the stages in a home folder whose cache is that of this checkout; in one that is not empty, what it holds is reused."""
    language = LanguageSettings(**yaml.safe_load((PROFILES_ROOT / "languages" / "ita.yaml").read_text(encoding="utf-8")))
    web = WebSettings(
        snapshot=SnapshotSettings(source="folder", folder=warcs),
        documents=DocumentSettings(extractor=extractor),  # type: ignore[arg-type]
    )
    sections: dict[str, Any] = {f"corpus.web.{name}": getattr(web, name) for name in type(web).model_fields}
    sections |= {f"language.{name}": getattr(language, name) for name in ("identification", "words", "phrases")}
    graph = {stage.asset: stage for stage in (*stages(web), _no_benchmarks())}
    workplace = Workplace(
        store=Store(Path(home) / "store"), home=Path(home), profile=PROFILE, sections=sections, snapshots=(CRAWL,), data=DataFolder(None), seed=1
    )
    for asset, partition in (("benchmark_sets", None), ("snapshot", CRAWL)):
        run_stage(graph[asset], graph, workplace, partition)
    wall, before = time.perf_counter(), cpu_seconds()
    results = {asset: run_stage(graph[asset], graph, workplace, CRAWL) for asset in ("documents", "signals", "decisions")}
    seconds = cpu_seconds() - before
    documents = results["documents"].published
    Path(pages_file).write_text("\n".join(documents.read("documents")["url"]), encoding="utf-8")
    print(
        json.dumps(
            {
                "pages": documents.statistics["pages"],
                "language_pages": documents.rows,
                "passing": results["decisions"].published.statistics["passing"],
                "cpu_seconds": seconds,
                "build_seconds": {asset: result.record.seconds for asset, result in results.items()},
                "wall_seconds": time.perf_counter() - wall,
                "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            }
        )
    )


def _no_benchmarks() -> Stage:
    """No items to look for: the peer looks for none either."""

    def build(context: StageContext) -> StageReport:
        with context.staging.table(_ITEMS) as table:
            table.write([{"benchmark": "none", "item_id": "1", "text": "nothing"}])
        return StageReport()

    return Stage("benchmark_sets", "1", "evalita", build, tables=(_ITEMS,))



if __name__ == "__main__":
    main(*sys.argv[1:])
