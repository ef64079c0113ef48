"""The Dagster UI with the project loaded, from a real web server on 127.0.0.1."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from dagster_project.factory import Factory
from dagster_project.instance import dagster_home
from dagster_project.profile import load_profile
from dagster_project.runless_events import report_to
from foundation.sources.data import DataFolder
from tests.browser import Browser, browser
from tests.conftest import CACHE, ROOT

pytestmark = pytest.mark.services


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


CORPUS = ("evalita_raw", "benchmark_sets", "snapshot", "documents", "signals", "decisions", "duplicate_clusters", "clean_corpus")
"""The clean corpus and what it is made of."""


def _build_corpus(home: Path) -> None:
    """The corpus of the smoke profile under three rule files, so that numbers have a past."""
    CACHE.mkdir(parents=True, exist_ok=True)
    (home / "cache").symlink_to(CACHE)
    for rules in ("clean_mc4_it", "fineweb2_ita", "transumanza"):
        factory = Factory(load_profile("smoke", [f"corpus.web.decisions.rules=rules/{rules}.yaml"]), home, DataFolder(None))
        with dg.DagsterInstance.from_config(str(dagster_home(home, "smoke"))) as instance:
            for asset in CORPUS:
                partition = factory.loaded.profile.snapshots[0] if factory.stages[asset].partitioned else None
                report_to(instance, factory, factory.run(asset, partition))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("ui")
    _build_corpus(home)
    port = _free_port()
    environment = {
        **os.environ,
        "TRANSUMANZA_HOME": str(home),
        "TRANSUMANZA_PROFILE": "smoke",
        "DAGSTER_HOME": str(dagster_home(home, "smoke")),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "dagster_webserver", "-m", "dagster_project.definitions", "-h", "127.0.0.1", "-p", str(port)]
    log = (home / "log").open("w")
    server = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and server.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info", timeout=5):
                    break
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.5)
        else:
            pytest.fail(f"the web server did not answer: {(home / 'log').read_text()[-2000:]}")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=30)
        log.close()


def _query(address: str, text: str) -> dict:
    request = urllib.request.Request(f"{address}/graphql", json.dumps({"query": text}).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["data"]


def test_graph_has_groups_kinds_owners_and_descriptions(address: str) -> None:
    query = "{ assetNodes { assetKey { path } groupName kinds description owners { __typename } isPartitioned } }"
    nodes = _query(address, query)["assetNodes"]
    by_name = {node["assetKey"]["path"][0]: node for node in nodes}
    assert {"snapshot", "clean_corpus", "adapted_model", "model_release"} <= set(by_name)
    assert by_name["documents"]["isPartitioned"] and not by_name["clean_corpus"]["isPartitioned"]
    assert all(node["kinds"] and node["description"] and node["owners"] and node["groupName"] for node in nodes)


def test_retraining_sensor_is_off_and_telemetry_too(address: str) -> None:
    query = "{ sensorsOrError(repositorySelector: {repositoryName: \"__repository__\", repositoryLocationName: \"dagster_project.definitions\"}) { ... on Sensors { results { name sensorState { status } } } } instance { info } }"
    data = _query(address, query)
    sensors = {sensor["name"]: sensor["sensorState"]["status"] for sensor in data["sensorsOrError"]["results"]}
    assert sensors["retraining"] == "STOPPED"
    assert "telemetry:\n  enabled: false" in data["instance"]["info"]


def test_page_opens_without_the_network(address: str) -> None:
    with urllib.request.urlopen(address, timeout=30) as page:
        assert page.status == 200 and b"<div id=\"root\"" in page.read()


@pytest.fixture(scope="module")
def page() -> Iterator[Browser]:
    with browser() as window:
        yield window


def _pictured(page: Browser, name: str) -> None:
    """A screenshot for docs/pictures, where TRANSUMANZA_PICTURES names a folder."""
    if os.environ.get("TRANSUMANZA_PICTURES"):
        page.screenshot(Path(os.environ["TRANSUMANZA_PICTURES"]) / f"{name}.png")


def test_graph_shows_its_groups_and_their_assets(address: str, page: Browser) -> None:
    page.open(f"{address}/asset-groups")
    page.wait_for_text("sources", "corpus", "translation", "evalita", "training", "evaluation", "release")
    page.open(f"{address}/locations/__repository__@dagster_project.definitions/asset-groups/corpus/lineage")
    page.wait_for_text("documents", "signals", "decisions", "duplicate_clusters", "clean_corpus")
    _pictured(page, "graph_of_corpus")


def test_an_asset_shows_description_columns_and_plots(address: str, page: Browser) -> None:
    page.open(f"{address}/assets/clean_corpus?view=overview")
    page.wait_for_text("The published text, one document of each cluster", "registered_domain", "Owners", "Kinds", "Plots")
    page.script("[...document.querySelectorAll('button')].find(button => button.innerText === 'Plots').click()")
    page.wait_for("return document.querySelectorAll('canvas').length >= 10")
    title = "[...document.querySelectorAll('*')].filter(part => part.innerText === 'dropped.duplicate').pop()"
    page.wait_for(f"return {title} !== undefined")
    page.script(f"{title}.scrollIntoView({{block: 'start'}})")
    time.sleep(3)  # curves are drawn in motion
    _pictured(page, "asset")


def test_checks_show_their_numbers(address: str, page: Browser) -> None:
    page.open(f"{address}/assets/clean_corpus?view=checks&checkDetail=language_share")
    page.wait_for_text("language_share", "no_duplicates", "disjoint_domains", "share of published documents identified as")
    _pictured(page, "checks")


def test_nothing_is_asked_of_the_network(address: str, page: Browser) -> None:
    page.open(f"{address}/assets")
    page.wait_for_text("clean_corpus")
    asked = page.script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert asked and all(name.startswith((address, "data:", "blob:")) for name in asked), [name for name in asked if not name.startswith(address)]
