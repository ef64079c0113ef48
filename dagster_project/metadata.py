"""What Dagster shows of a build: version, rows, columns, statistics as plots over time, previews and pictures."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from dagster_project.factory import Factory, report_path
from foundation.stages import Stage, StageResult
from foundation.store import GateResult
from foundation.store.layout import CARD

MAX_PLOT_BYTES = 50_000
"""Pictures live in the event log: more than this per event makes it slow (reference: dagster.md, section 5)."""
MAX_NUMBERS = 60
MAX_FILES = 12


def materialize_result(result: StageResult, factory: Factory) -> dg.MaterializeResult:
    """The event of a build or of a reuse: both carry the store's data version, so that downstream stays fresh."""
    record, published = result.record, result.published
    metadata: dict[str, Any] = {
        "version": published.version,
        "fingerprint": record.fingerprint,
        "reused": result.reused,
        "size": dg.MetadataValue.int(published.bytes),
        "seconds": float(record.seconds),
        "dagster/uri": str(published.path),
        "card": dg.MetadataValue.path(str(published.path / CARD)),
        "report": dg.MetadataValue.path(str(report_path(factory))),
        "contents": dg.MetadataValue.table(_contents(published.manifest)),
    }
    stage = factory.stages[published.asset]
    if stage.tables:
        main = published.manifest["tables"][stage.tables[0].name]
        metadata["dagster/partition_row_count" if published.partition is not None else "dagster/row_count"] = main["rows"]
        metadata["dagster/column_schema"] = _column_schema(main)
    if stage.carried or stage.derived:
        metadata["dagster/column_lineage"] = _column_lineage(stage)
    metadata.update(dict(list(_numbers(record.statistics, ""))[:MAX_NUMBERS]))
    metadata.update({f"speed: {name}": value for name, value in list(_numbers(record.observations, ""))[:20]})
    metadata.update({title: dg.MetadataValue.md(text) for title, text in result.previews.items()})
    metadata.update({title: _picture(title, content) for title, content in result.plots.items()})
    return dg.MaterializeResult(
        data_version=dg.DataVersion(record.data_version), metadata=metadata, check_results=[*_check_results(result)]
    )


def _check_results(result: StageResult) -> Iterator[dg.AssetCheckResult]:
    for gate in result.record.gates:
        yield dg.AssetCheckResult(
            check_name=gate.name,
            passed=gate.passed,
            severity=dg.AssetCheckSeverity.ERROR,
            description=gate.description or None,
            metadata=check_metadata(gate),
        )


def check_metadata(gate: GateResult) -> dict[str, Any]:
    """A gate's number and what it was held against."""
    return {key: value for key, value in (("value", gate.value), ("threshold", gate.threshold)) if value is not None}


def _contents(manifest: Mapping[str, Any]) -> list[dg.TableRecord]:
    """Tables with their splits, then the largest files: what a version holds, at a glance."""
    tables = [
        dg.TableRecord({"name": name, "part": split, "rows": part["rows"], "bytes": sum(file["bytes"] for file in part["files"])})
        for name, table in manifest["tables"].items()
        for split, part in table["splits"].items()
    ]
    largest = sorted(manifest["files"], key=lambda file: (-file["bytes"], file["path"]))[:MAX_FILES]
    return tables + [dg.TableRecord({"name": file["path"], "part": "file", "rows": 0, "bytes": file["bytes"]}) for file in largest]


def _column_lineage(stage: Stage) -> dg.TableColumnLineage:
    deps: dict[str, list[dg.TableColumnDep]] = {}
    for asset, columns in stage.carried.items():
        for column in columns:
            deps.setdefault(column, []).append(dg.TableColumnDep(dg.AssetKey(asset), column))
    for column, sources in stage.derived.items():
        for source in sources:
            asset, _, name = source.partition(".")
            deps.setdefault(column, []).append(dg.TableColumnDep(dg.AssetKey(asset), name))
    return dg.TableColumnLineage(deps)


def _column_schema(table: Mapping[str, Any]) -> dg.TableSchema:
    columns = [
        dg.TableColumn(column["name"], column["type"], constraints=dg.TableColumnConstraints(nullable=column["nullable"]))
        for column in table["schema"]
    ]
    return dg.TableSchema(columns=columns)


def _numbers(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, int | float]]:
    """Numbers by dotted name: Dagster plots plain numbers over time by itself."""
    for name, value in values.items():
        label = f"{prefix}{name}"
        if isinstance(value, bool):
            continue
        if isinstance(value, int | float):
            yield label, value
        elif isinstance(value, Mapping):
            yield from _numbers(value, f"{label}.")


def _picture(title: str, content: bytes) -> dg.MetadataValue:
    if len(content) > MAX_PLOT_BYTES:
        return dg.MetadataValue.text(f"{len(content)} bytes, too large for the event log; see the HTML report")
    return dg.MetadataValue.md(f"![{title}](data:image/png;base64,{base64.b64encode(content).decode()})")
