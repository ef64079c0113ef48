"""Locations on a real S3-compatible server, and S3's own answers about load."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from foundation.sources.locations import AccessSettings, ByteRange, Location, LocationError, MissingFile
from tests.servers import FolderServer, S3Server, ServerFault, folder_server, s3_server

pytestmark = pytest.mark.services

DATA = random.Random(3).randbytes(400_000)
NAME = "crawl-data/a file+#1.warc.gz"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "mirror"
    (root / "crawl-data").mkdir(parents=True)
    (root / NAME).write_bytes(DATA)
    (root / "empty").write_bytes(b"")
    pq.write_table(pa.table({"number": range(50_000), "text": [f"row {number}" for number in range(50_000)]}), root / "index.parquet")
    return root


@pytest.fixture
def server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with s3_server(folder) as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


def access(endpoint: str, **changes: object) -> AccessSettings:
    return AccessSettings(**{"s3_endpoint": endpoint, "max_backoff_s": 0.05, "requests_per_second": 10_000, "timeout_s": 10, "attempts": 3, **changes})


def test_s3_reads_as_a_folder_does(server: S3Server, folder: Path, tmp_path: Path) -> None:
    remote, local = Location(server.url, access(server.endpoint)), Location(str(folder), access(server.endpoint))
    assert not remote.is_local and remote.local(NAME) is None
    ranges = [ByteRange(NAME, start, 17_000) for start in range(0, 380_000, 9_000)]
    assert list(remote.read_many(ranges)) == list(local.read_many(ranges))
    for path in (NAME, "empty"):
        assert remote.read(path) == local.read(path)
        assert remote.size(path) == local.size(path)
    assert remote.read(NAME, 399_000) == DATA[399_000:]
    for pattern in ("*", "**", "**/*.gz", "crawl-data/*", "none/*"):
        assert remote.find(pattern) == local.find(pattern)
    assert [remote.exists(path) for path in (NAME, "crawl-data", "none")] == [True, False, False]
    remote.download(NAME, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == DATA
    assert pq.ParquetFile(remote.open("index.parquet"), pre_buffer=True).read().equals(pq.read_table(folder / "index.parquet"))
    assert remote.traffic.retries == 0 and remote.traffic.bytes > 2 * len(DATA)


def test_s3_refusals(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    location = Location(server.url, access(server.endpoint))
    for action in (location.read, location.size, location.open, lambda path: location.read(path, 0, 5)):
        with pytest.raises(MissingFile, match=r"s3://crawls/none.*look at the path"):
            action("none")
    for start, length in ((399_999, 2), (400_000, 1), (500_000, 5)):
        with pytest.raises(LocationError, match="shorter than its index says"):
            location.read(NAME, start, length)
    with pytest.raises(MissingFile, match="s3://other/x"):
        Location("s3://other", access(server.endpoint)).read("x")
    assert location.traffic.retries == 0
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "WRONGSECRET")
    with pytest.raises(LocationError, match="403 SignatureDoesNotMatch; set the credentials") as raised:
        Location(server.url, access(server.endpoint)).read(NAME, 0, 5)
    assert "WRONGSECRET" not in str(raised.value) and "TESTKEY" not in str(raised.value)


def test_s3_without_credentials(server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    location = Location(server.url, access(server.endpoint))
    with pytest.raises(LocationError, match="set the credentials in the environment"):
        location.read(NAME, 0, 5)
    assert location.traffic.retries == 0


def test_s3_without_credentials_where_none_are_needed(folder: Path) -> None:
    with s3_server(folder, anonymous=True) as server:
        location = Location(server.url, access(server.endpoint, s3_anonymous=True))
        assert location.read(NAME, 100, 50) == DATA[100:150]


def test_s3_sees_new_files(folder: Path, server: S3Server) -> None:
    location = Location(server.url, access(server.endpoint))
    assert location.find("crawl-data/*") == [NAME]
    import fsspec

    keys = {"key": server.environment["AWS_ACCESS_KEY_ID"], "secret": server.environment["AWS_SECRET_ACCESS_KEY"]}
    writer = fsspec.filesystem("s3", endpoint_url=server.endpoint, skip_instance_cache=True, **keys)
    writer.pipe_file(f"{server.bucket}/crawl-data/new", b"new")
    assert location.find("crawl-data/*") == [NAME, "crawl-data/new"]
    assert location.read("crawl-data/new") == b"new"


@pytest.fixture
def faulty(tmp_path: Path, folder: Path) -> Iterator[FolderServer]:
    """A server that answers S3's requests for objects by plain HTTP, so that its faults can be chosen."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "crawls").mkdir()
    (tmp_path / "root" / "crawls" / "a").write_bytes(DATA)
    with folder_server(tmp_path / "root") as running:
        yield running


@pytest.mark.parametrize(
    "fault",
    [
        ServerFault(status=403),
        ServerFault(status=429),
        ServerFault(status=503, retry_after="20"),
        ServerFault(status=500),
        ServerFault(reset=True, sent=100),
        ServerFault(sent=100),
        ServerFault(missing=7),
        ServerFault(stall_s=20),
    ],
    ids=str,
)
def test_s3_faults_are_tried_again_by_the_location_alone(faulty: FolderServer, fault: ServerFault) -> None:
    settings = access(faulty.url.rstrip("/"), s3_anonymous=True, timeout_s=0.5)
    location = Location("s3://crawls", settings)
    faulty.fail(fault, times=2, path="/a")
    assert location.read("a", 1000, 5000) == DATA[1000:6000]
    assert location.traffic.retries == 2
    assert len([seen for seen in faulty.requests if seen.method == "GET"]) == 3
    assert len(faulty.requests) == location.traffic.requests
    faulty.fail(fault, times=100, path="/a")
    with pytest.raises(LocationError, match=r"s3://crawls/a, bytes 0-4999: .* at attempt 3 of 3; "):
        location.read("a", 0, 5000)


def test_s3_connections_that_are_reset(faulty: FolderServer) -> None:
    """The S3 client itself sends a request once more over a new connection where the first broke before any answer."""
    location = Location("s3://crawls", access(faulty.url.rstrip("/"), s3_anonymous=True, attempts=2))
    faulty.fail(ServerFault(reset=True), times=2, path="/a")
    assert location.read("a", 1000, 5000) == DATA[1000:6000]
    assert location.traffic.retries == 1
    faulty.fail(ServerFault(reset=True), times=100, path="/a")
    with pytest.raises(LocationError, match=r"at attempt 2 of 2; look at the network"):
        location.read("a", 0, 10)
