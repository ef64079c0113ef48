"""A store on a real S3-compatible server."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from foundation.store import StoreError
from foundation.store.erasure import erase
from foundation.store.mirrored import REMOVING
from tests.foundation.erasable_line import ASSETS, MIXED
from tests.foundation.killing import killer
from tests.foundation.test_store_remote import (
    check_collection,
    check_erasure,
    check_lineage_elsewhere,
    check_pruning,
    check_whole_line,
    mirrored,
    run_remote,
)
from tests.servers import S3Server, s3_server

KILLS = int(os.environ.get("TRANSUMANZA_S3_KILLS", "50"))
pytestmark = pytest.mark.services


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    (tmp_path / "remote").mkdir()
    with s3_server(tmp_path / "remote") as running:
        for name, value in {**running.environment, "AWS_ENDPOINT_URL": running.endpoint}.items():
            monkeypatch.setenv(name, value)
        import s3fs

        s3fs.S3FileSystem.clear_instance_cache()
        yield running
        s3fs.S3FileSystem.clear_instance_cache()


def test_a_line_on_s3(server: S3Server, tmp_path: Path) -> None:
    check_whole_line(f"{server.url}store", tmp_path)


def test_collection_on_s3(server: S3Server, tmp_path: Path) -> None:
    check_collection(f"{server.url}store", tmp_path)


def test_erasure_on_s3(server: S3Server, tmp_path: Path) -> None:
    check_erasure(f"{server.url}store", tmp_path)


def test_pruning_on_s3(server: S3Server, tmp_path: Path) -> None:
    check_pruning(f"{server.url}store", tmp_path)


def test_lineage_from_another_machine_on_s3(server: S3Server, tmp_path: Path) -> None:
    check_lineage_elsewhere(f"{server.url}store", tmp_path)


def test_wrong_credentials_are_explained(server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import s3fs

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(StoreError, match=r"credentials.*AWS_ACCESS_KEY_ID"):
        mirrored(f"{server.url}store", tmp_path).assets()


@pytest.mark.parametrize("action", ["publish", "tag", "collect", "erase"])
def test_killed_on_s3(server: S3Server, tmp_path: Path, action: str) -> None:
    """Real kill -9 before a random one of the requests that change something; TRANSUMANZA_S3_KILLS says how often in all."""
    generator = random.Random(action)
    with killer() as kills:
        for index in range(-(-KILLS // 4)):
            url = f"{server.url}{action}-{index}"
            home = f"{url} {tmp_path / f'{index}'}"
            if action != "publish":
                store = mirrored(url, tmp_path, f"{index}-made")
                run_remote(store, tmp_path / f"{index}-home")
                store.tag(store.record("pages", ref="demo"), "old")
                store.tag(store.record("model", ref="demo"), "kept")
            kills.run(f"s3-{action}", home, generator.randint(0, {"publish": 45, "tag": 5, "collect": 3, "erase": 30}[action]))
            reader = mirrored(url, tmp_path, f"{index}-reader")
            for asset in reader.assets():
                for ref in reader.refs(asset):
                    assert reader.resolve(asset, ref=ref).damage(hashes=True) == [], (asset, ref)
            if action in ("tag", "collect"):
                assert set(reader.assets()) >= set(ASSETS) and "tags/kept" in reader.refs("model")
            if action == "erase":
                assert {"pages", "measures", "model", "report"} <= {asset for asset in reader.assets() if "demo" in reader.refs(asset)}
                erase(reader, domains=["rossi.example"], mixed=MIXED)
                assert reader.resolve("pages", ref="demo").read("pages").height == 8
            run_remote(reader, tmp_path / f"{index}-after")
            assert all(result.reused for result in run_remote(mirrored(url, tmp_path, f"{index}-last"), tmp_path / f"{index}-after").values())
            assert REMOVING not in reader.objects.listing()
