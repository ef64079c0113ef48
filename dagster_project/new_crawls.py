"""The sensor that notices a new crawl. It proposes an edit of the profile and never makes one: a snapshot is a choice, and costs."""

from __future__ import annotations

import dagster as dg

from corpus.web.crawl.crawl_list import listed_crawls, new_crawls
from dagster_project.factory import Factory
from foundation.errors import TransumanzaError

DAY_S = 24 * 60 * 60


def new_crawls_sensor(factory: Factory) -> dg.SensorDefinition:
    """Looks once a day whether the list of crawls holds newer ones than the profile; off by default."""
    profile = factory.loaded.profile

    @dg.sensor(
        name="new_crawls",
        default_status=dg.DefaultSensorStatus.STOPPED,
        minimum_interval_seconds=DAY_S,
        description="Notices a new Common Crawl crawl and says what to add to the profile's `snapshots:`; changes nothing. Off by default.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        try:
            found = new_crawls(listed_crawls(profile.corpus.web.access), profile.snapshots)
        except TransumanzaError as error:
            raise dg.Failure(description=str(error)) from None
        if not found.newer:
            return dg.SensorResult(skip_reason="no crawl is newer than those of the profile", cursor=context.cursor)
        newest = found.newer[-1]
        said = f"newer than those of profile {profile.name}: {', '.join(found.newer)}; to read them, write into the profile: {found.proposal}"
        if context.cursor != newest:
            context.log.info(said)
        return dg.SensorResult(skip_reason=said, cursor=newest)

    return sensor
