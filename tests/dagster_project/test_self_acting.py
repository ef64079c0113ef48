"""What may act by itself: a sensor that notices new crawls, a schedule, retraining. All of it is off."""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg
import pytest

from corpus.web.crawl.crawl_list import listed_crawls, new_crawls
from corpus.web.errors import WebCorpusError
from dagster_project.build import build_defs
from dagster_project.factory import Factory
from dagster_project.new_crawls import new_crawls_sensor
from dagster_project.profile import load_profile
from foundation.sources.data import DataFolder
from foundation.sources.locations import AccessSettings, LocationError
from tests.servers import folder_server

CRAWLS = ("CC-MAIN-2024-22", "CC-MAIN-2024-18", "CC-MAIN-2024-26", "CC-MAIN-2012", "CC-MAIN-2008-2009")


def crawl_list(path: Path, names: tuple[str, ...] = CRAWLS) -> Path:
    """A list in the form of collinfo.json."""
    entries = [{"id": name, "name": f"{name} Index", "cdx-api": f"https://index.commoncrawl.org/{name}-index", "from": "x", "to": "y"} for name in names]
    path.write_text(json.dumps(entries))
    return path


def factory(tmp_path: Path, *overrides: str) -> Factory:
    return Factory(load_profile("smoke", list(overrides)), tmp_path, DataFolder(None))


def test_lists_are_read_from_a_file_and_from_a_server(tmp_path: Path) -> None:
    path = crawl_list(tmp_path / "collinfo.json")
    expected = ["CC-MAIN-2024-18", "CC-MAIN-2024-22", "CC-MAIN-2024-26"]
    assert listed_crawls(AccessSettings(crawl_list=str(path))) == expected
    with folder_server(tmp_path) as server:
        assert listed_crawls(AccessSettings(crawl_list=f"{server.url}collinfo.json")) == expected


def test_what_is_newer_than_the_newest_of_the_profile() -> None:
    listed = ["CC-MAIN-2024-18", "CC-MAIN-2024-22", "CC-MAIN-2024-26"]
    assert new_crawls(listed, ("CC-MAIN-2024-18", "mine")).newer == ("CC-MAIN-2024-22", "CC-MAIN-2024-26")
    assert new_crawls(listed, ("CC-MAIN-2024-18", "mine")).proposal == "snapshots: [CC-MAIN-2024-18, mine, CC-MAIN-2024-22, CC-MAIN-2024-26]"
    assert new_crawls(listed, ("CC-MAIN-2024-26",)).newer == ()
    assert new_crawls(listed, ("SAMPLE-2026-01",)).newer == ("CC-MAIN-2024-26",)


@pytest.mark.parametrize("text", ["{", '{"id": 1}', "[1]", '[{"name": "x"}]', '[{"id": "CC-MAIN-2012"}]'])
def test_damaged_lists_are_errors_that_say_what_is_wanted(tmp_path: Path, text: str) -> None:
    (tmp_path / "list.json").write_text(text)
    with pytest.raises(WebCorpusError, match=r"list\.json.*set corpus\.web\.access\.crawl_list"):
        listed_crawls(AccessSettings(crawl_list=str(tmp_path / "list.json")))
    with pytest.raises(LocationError, match="nowhere"):
        listed_crawls(AccessSettings(crawl_list=str(tmp_path / "nowhere.json")))


def test_the_sensor_proposes_and_edits_nothing(tmp_path: Path) -> None:
    path = crawl_list(tmp_path / "collinfo.json")
    overrides = ["snapshots=[CC-MAIN-2024-18]", f"corpus.web.access.crawl_list={path}"]
    sensor = new_crawls_sensor(factory(tmp_path, *overrides))
    with dg.build_sensor_context() as context:
        found = sensor(context)
        assert isinstance(found, dg.SensorResult) and not found.run_requests
        assert str(found.skip_reason.skip_message).endswith("write into the profile: snapshots: [CC-MAIN-2024-18, CC-MAIN-2024-22, CC-MAIN-2024-26]")  # type: ignore[union-attr]
        assert found.cursor == "CC-MAIN-2024-26"
    newest = new_crawls_sensor(factory(tmp_path, "snapshots=[CC-MAIN-2024-26]", overrides[1]))
    with dg.build_sensor_context(cursor="CC-MAIN-2024-26") as context:
        found = newest(context)
        assert "no crawl is newer" in str(found.skip_reason) and found.cursor == "CC-MAIN-2024-26"  # type: ignore[union-attr]
    path.write_text("[]")
    with dg.build_sensor_context() as context, pytest.raises(dg.Failure, match="names no crawl"):
        newest(context)


def test_everything_that_acts_by_itself_is_off(tmp_path: Path) -> None:
    defs = build_defs(factory(tmp_path))
    sensors = {sensor.name: sensor.default_status for sensor in defs.sensors or ()}
    assert sensors == dict.fromkeys(("retraining", "new_crawls"), dg.DefaultSensorStatus.STOPPED)
    assert {schedule.name: schedule.default_status for schedule in defs.schedules or ()} == {"weekly_corpus": dg.DefaultScheduleStatus.STOPPED}  # type: ignore[union-attr]


def test_the_example_schedule_asks_for_the_newest_snapshot(tmp_path: Path) -> None:
    defs = build_defs(factory(tmp_path, "snapshots=[SAMPLE-2026-01, SAMPLE-2026-02]"))
    (schedule,) = defs.schedules or ()
    request = schedule(dg.build_schedule_context())  # type: ignore[operator]
    assert isinstance(request, dg.RunRequest) and request.partition_key == "SAMPLE-2026-02"
    job = defs.resolve_job_def("corpus")
    assets = {key.to_user_string() for key in job.asset_layer.executable_asset_keys}
    read = {"evalita_raw", "benchmark_sets", "snapshot"}
    assert assets == {*read, "documents", "signals", "decisions", "duplicate_clusters", "clean_corpus"}
