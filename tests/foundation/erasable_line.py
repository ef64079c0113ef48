"""A line in small whose rows can be erased: pages, measures of them, packed rows, a model, a report. Also run by processes that are killed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from foundation.sources.data import DataFolder
from foundation.stages import Stage, StageContext, StageReport, StageResult, Workplace, run_stage
from foundation.store import Store, TableSpec

PAGES = TableSpec("pages", pa.schema([("document_id", pa.string()), ("url", pa.string()), ("text", pa.string())]), key=("document_id",))
COUNTS = TableSpec("counts", pa.schema([("reason", pa.string()), ("examples", pa.list_(pa.string()))]), key=("reason",))
MEASURES = TableSpec("measures", pa.schema([("document_id", pa.string()), ("length", pa.int64())]), key=("document_id",))
PACKED = TableSpec("packed", pa.schema([("row", pa.int64()), ("ids", pa.list_(pa.int32()))]), key=("row",), mixes_documents=True)
USED = TableSpec("used", pa.schema([("document_id", pa.string())]), key=("document_id",))
MIXED = {"tokens": frozenset({"packed"})}
ASSETS = ("pages", "measures", "tokens", "model", "report")
HOSTS = ("www.rossi.example", "bianchi.example", "blog.verdi.example")


def urls(hosts: Sequence[str] = HOSTS, pages: int = 4) -> list[str]:
    return [f"https://{host}/{page}" for host in hosts for page in range(pages)]


def _pages(context: StageContext) -> StageReport:
    kept = [url for url in urls() if not context.erased.holds(url)]
    with context.staging.table(PAGES) as table:
        table.write(sorted(({"document_id": f"{hash_of(url)}", "url": url, "text": f"text of {url.rpartition('/')[2]}"} for url in kept), key=lambda row: row["document_id"]))
    with context.staging.table(COUNTS) as table:
        table.write([{"reason": "short", "examples": [url for url in (f"{host}/x" for host in ("https://www.rossi.example", "https://bianchi.example")) if not context.erased.holds(url)]}])
    context.staging.card(f"# Pages\n\nThe first one is {kept[0]}.", license="cc0-1.0")
    domains = {host: 4 for host in HOSTS if any(host in url for url in kept)}
    return StageReport({"pages": len(kept), "top_domains": domains}, previews={"Pages": "\n".join(kept[:2])})


def _measures(context: StageContext) -> StageReport:
    with context.staging.table(MEASURES) as table:
        table.write([{"document_id": row["document_id"], "length": len(row["text"])} for row in context.input("pages").read("pages").to_dicts()])
    return StageReport()


def _tokens(context: StageContext) -> StageReport:
    ids = context.input("measures").read("measures")["document_id"].to_list()
    with context.staging.table(PACKED) as table:
        table.write([{"row": 0, "ids": list(range(len(ids)))}])
    with context.staging.table(USED) as table:
        table.write([{"document_id": key} for key in ids])
    return StageReport()


def _model(context: StageContext) -> StageReport:
    (context.staging.files / "model.safetensors").write_text(str(context.input("tokens").rows), encoding="utf-8")
    return StageReport()


def _report(context: StageContext) -> StageReport:
    (context.staging.files / "report.json").write_text("{}", encoding="utf-8")
    return StageReport()


def hash_of(url: str) -> str:
    import hashlib

    return hashlib.sha256(url.encode()).hexdigest()[:32]


LINE = {
    stage.asset: stage
    for stage in (
        Stage("pages", "1", "corpus", _pages, tables=(PAGES, COUNTS), from_outside=True),
        Stage("measures", "1", "corpus", _measures, upstream=("pages",), tables=(MEASURES,)),
        Stage("tokens", "1", "training", _tokens, upstream=("measures",), tables=(PACKED, USED)),
        Stage("model", "1", "training", _model, upstream=("tokens",), reproducible=False),
        Stage("report", "1", "evaluation", _report, upstream=("model",)),
    )
}


def workplace(home: Path) -> Workplace:
    return Workplace(Store(home / "store"), home, "demo", {}, (), DataFolder(None), seed=1)


def run_line(home: Path) -> dict[str, StageResult]:
    return {asset: run_stage(LINE[asset], LINE, workplace(home)) for asset in ASSETS}
