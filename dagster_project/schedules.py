"""An example of a schedule; off by default."""

from __future__ import annotations

import dagster as dg

from dagster_project.factory import Factory

CORPUS_JOB = dg.define_asset_job(
    "corpus", selection=dg.AssetSelection.groups("corpus").upstream(), description="The corpus and what it reads, for one snapshot."
)


def weekly_corpus(factory: Factory) -> dg.ScheduleDefinition:
    """Every Saturday at two the corpus of the newest snapshot; what did not change is reused, so that an idle week costs seconds."""
    newest = factory.loaded.profile.snapshots[-1]

    @dg.schedule(
        name="weekly_corpus",
        job=CORPUS_JOB,
        cron_schedule="0 2 * * 6",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Makes the corpus of the newest snapshot every week; unchanged parts are reused. An example: off by default.",
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        return dg.RunRequest(partition_key=newest)

    return schedule
