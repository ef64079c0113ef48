"""Definitions of one profile, assembled explicitly; tests and other projects call ``build_defs`` with their own factory."""

from __future__ import annotations

import logging
import os

import dagster as dg

from dagster_project.assets import assets_of, handed_over
from dagster_project.automation import retraining_sensor
from dagster_project.factory import Factory, make_factory
from dagster_project.new_crawls import new_crawls_sensor
from dagster_project.schedules import CORPUS_JOB, weekly_corpus

logger = logging.getLogger(__name__)


def build_defs(factory: Factory | None = None) -> dg.Definitions:
    """Assets, checks, jobs, and what may act by itself (all of it off) of a profile (default: that of the environment)."""
    factory = factory or make_factory()
    if not os.environ.get("DAGSTER_HOME"):
        logger.warning('DAGSTER_HOME is not set: Dagster forgets this run. Set it with: eval "$(transumanza env)"')
    return dg.Definitions(
        assets=assets_of(factory),
        jobs=[dg.define_asset_job("everything", selection=dg.AssetSelection.all(), description="The whole line, for one snapshot."), CORPUS_JOB],
        sensors=[retraining_sensor(), new_crawls_sensor(factory)],
        schedules=[weekly_corpus(factory)],
        executor=dg.in_process_executor,
        loggers={"console": quiet_console},
        metadata={"profile": factory.loaded.profile.name},
    )


@dg.logger({"log_level": dg.Field(str, default_value="INFO", is_required=False)}, description="One line per message, INFO and up.")
def quiet_console(context: dg.InitLoggerContext) -> logging.Logger:
    """Dagster's own events are DEBUG; a person at a terminal wants the stages' lines and the problems."""
    console = logging.getLogger("transumanza.console")
    console.setLevel(context.logger_config["log_level"])
    console.propagate = False
    handler = logging.StreamHandler()  # a new one: standard error may be another than in an earlier run
    handler.setFormatter(_OneLine())
    console.handlers = [handler]
    return console


class _OneLine(logging.Formatter):
    """Time, level where it matters, message; of a failed step also the reason, which Dagster keeps in its event.

    A step whose work went to a cluster has failed for Dagster alone: it is told without an alarm.
    """

    def format(self, record: logging.LogRecord) -> str:
        metadata = getattr(record, "dagster_meta", None)
        message = record.getMessage()
        stamp = self.formatTime(record, "%H:%M:%S")
        if isinstance(metadata, dict):
            event = metadata.get("dagster_event")
            waits = handed_over(event)
            if waits is not None:
                return f"{stamp} {waits}"
            message = str(metadata.get("orig_message") or message)
            first = getattr(getattr(event, "event_specific_data", None), "first_step_failure_event", None)
            if handed_over(first) is not None:  # the run that such a step ended: told already
                return f"{stamp} {message}"
            message += _reason(event)
        level = "" if record.levelno < logging.WARNING else f"{record.levelname} "
        return f"{stamp} {level}{message}"


def _reason(event: object) -> str:
    data = getattr(event, "event_specific_data", None)
    failure, error = getattr(data, "user_failure_data", None), getattr(data, "error", None)
    if failure is not None and failure.description:
        return f"\n  {failure.description}"
    if error is not None:
        return f"\n  {(error.cause or error).message.strip()}"
    return ""
