"""Stages as Dagster assets: one asset per stage, its gates as blocking checks, its body a call of ``run_stage``."""

import logging
from collections.abc import Mapping

import dagster as dg

from dagster_project.automation import condition_of
from dagster_project.factory import Factory
from dagster_project.metadata import materialize_result
from dagster_project.pools import pool_of
from dagster_project.tables import human_bytes
from foundation.errors import TransumanzaError
from foundation.execution import JobSubmitted
from foundation.stages import Stage, StageResult

logger = logging.getLogger(__name__)

JOB = "job"
"""Metadata key of a step that ends because its work is with a cluster: the cluster's job."""
_JOB_FIELDS = ("shards done", "shards", "logs")


def assets_of(factory: Factory) -> list[dg.AssetsDefinition]:
    """All assets of a profile. One partitions definition serves every partitioned one, so that one run can hold them all."""
    snapshots = dg.StaticPartitionsDefinition(list(factory.loaded.profile.snapshots))
    return [_asset(stage, factory, snapshots) for stage in factory.stages.values()]


def _asset(stage: Stage, factory: Factory, snapshots: dg.StaticPartitionsDefinition) -> dg.AssetsDefinition:
    @dg.asset(
        name=stage.asset,
        deps=[dg.AssetKey(name) for name in stage.upstream],
        partitions_def=snapshots if stage.partitioned else None,
        group_name=stage.group,
        description=stage.description,
        owners=list(stage.owners),
        kinds=set(stage.kinds),
        code_version=factory.code_version(stage),
        check_specs=[_check_spec(stage, gate, description) for gate, description in stage.gates.items()],
        automation_condition=condition_of(stage),
        pool=pool_of(stage),
        metadata=_lineage(stage, factory.stages),
    )
    def body(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        partition = context.partition_key if stage.partitioned else None
        try:
            result = factory.run(stage.asset, partition, run=context.run_id)
        except JobSubmitted as submitted:
            raise dg.Failure(description=str(submitted), metadata=_job(submitted), allow_retries=False) from None
        except TransumanzaError as error:
            raise dg.Failure(description=str(error), allow_retries=False) from None
        logger.info(said(result))
        return materialize_result(result, factory)

    return body


def handed_over(event: object) -> str | None:
    """What a failed step says whose work is with a cluster; ``None`` for every other event, so for true failures too."""
    failure = getattr(getattr(event, "event_specific_data", None), "user_failure_data", None)
    return str(failure.description) if failure is not None and JOB in (failure.metadata or {}) else None


def job_of(event: dg.DagsterEvent) -> JobSubmitted:
    """The exception behind such a step, as it crossed Dagster's events."""
    failure = event.step_failure_data.user_failure_data
    assert failure is not None and failure.metadata is not None
    job, done, total, logs = (failure.metadata[name].value for name in (JOB, *_JOB_FIELDS))
    return JobSubmitted(str(failure.description), job_id=str(job), done=int(str(done)), total=int(str(total)), logs=str(logs))


def said(result: StageResult) -> str:
    """One line about a finished stage."""
    published, record = result.published, result.record
    name = published.asset if published.partition is None else f"{published.asset}[{published.partition}]"
    rows = f"{published.rows:,} rows" if published.tables else human_bytes(published.bytes)
    done = "nothing changed, reused" if result.reused else f"published in {record.seconds:.1f} s"
    failed = "" if record.passed else f"; FAILED GATES: {'; '.join(gate.verdict for gate in record.gates if not gate.passed)}"
    return f"{name}: {done}, version {published.version}, {rows}{failed}"


def _job(submitted: JobSubmitted) -> dict[str, dg.MetadataValue]:
    done, total, logs = _JOB_FIELDS
    return {
        JOB: dg.MetadataValue.text(submitted.job_id),
        done: dg.MetadataValue.int(submitted.done),
        total: dg.MetadataValue.int(submitted.total),
        logs: dg.MetadataValue.path(submitted.logs),
    }


def _check_spec(stage: Stage, gate: str, description: str) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(name=gate, asset=dg.AssetKey(stage.asset), description=description, blocking=True)


def _lineage(stage: Stage, stages: Mapping[str, Stage]) -> dict[str, str | int]:
    reads = ", ".join(stage.upstream) or "nothing upstream"
    return {"reads": reads, "stage version": stage.version, "profile sections": ", ".join(stage.sections) or "none"}
