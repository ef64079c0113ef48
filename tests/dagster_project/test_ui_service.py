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

import pytest

from dagster_project.instance import dagster_home
from tests.conftest import ROOT

pytestmark = pytest.mark.services


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("ui")
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
