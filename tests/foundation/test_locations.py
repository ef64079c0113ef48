"""Locations over folders, a real HTTP server with faults on demand, and fsspec's memory."""

from __future__ import annotations

import gzip
import io
import multiprocessing
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundation.sources import faults, pacing
from foundation.sources.locations import AccessSettings, ByteRange, Location, LocationError, MissingFile
from foundation.sources.ranged_file import RangedFile
from tests.servers import FolderServer, ServerFault, folder_server

SIZE = 300_000
DATA = random.Random(1).randbytes(SIZE)
NAME = "crawl-data/a file+#1%20.warc.gz"
ACCESS = AccessSettings(max_backoff_s=0.05, requests_per_second=10_000, timeout_s=5, attempts=4)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "mirror"
    (root / "crawl-data").mkdir(parents=True)
    (root / NAME).write_bytes(DATA)
    (root / "empty").write_bytes(b"")
    (root / "paths.gz").write_bytes(gzip.compress(b"one\ntwo\n"))
    return root


@pytest.fixture
def server(folder: Path) -> Iterator[FolderServer]:
    with folder_server(folder) as running:
        yield running


def access(**changes: object) -> AccessSettings:
    return AccessSettings(**{**ACCESS.model_dump(), **changes})


def some_ranges(count: int, seed: int = 2) -> list[ByteRange]:
    source = random.Random(seed)
    starts = [source.randrange(SIZE - 5000) for _ in range(count)]
    return [ByteRange(NAME, start, source.randrange(1, 5000)) for start in starts]


# --- what is read -----------------------------------------------------------------------------------------------------


@pytest.fixture(params=["folder", "file", "http", "memory"])
def location(request: pytest.FixtureRequest, folder: Path) -> Iterator[Location]:
    """The same files through every kind of reader."""
    if request.param == "http":
        with folder_server(folder) as running:
            yield Location(running.url, ACCESS)
    elif request.param == "memory":
        import fsspec

        memory = fsspec.filesystem("memory")
        memory.put(f"{folder}/", "/mirror/", recursive=True)
        yield Location("memory://mirror", ACCESS)
        memory.rm("/mirror", recursive=True)
    else:
        yield Location(f"file://{folder}" if request.param == "file" else str(folder), ACCESS)


def test_every_kind_of_location_reads_the_same(location: Location) -> None:
    assert location.read(NAME) == DATA
    assert location.read(NAME, 1000) == DATA[1000:]
    assert location.read(NAME, 1000, 17) == DATA[1000:1017]
    assert location.read(NAME, SIZE - 1, 1) == DATA[-1:]
    assert location.read(NAME, 0, 1) == DATA[:1]
    assert location.read(NAME, SIZE) == b""
    assert location.read(NAME, 5, 0) == b""
    assert location.read("empty") == b""
    assert gzip.decompress(location.read("paths.gz")) == b"one\ntwo\n"
    assert location.size(NAME) == SIZE
    assert location.size("empty") == 0
    assert [location.exists(path) for path in (NAME, "empty", "crawl-data", "none", "none/none")] == [True, True, False, False, False]
    ranges = some_ranges(30)
    assert list(location.read_many(iter(ranges))) == [(item, DATA[item.start : item.start + item.length]) for item in ranges]
    assert location.traffic.bytes >= 2 * SIZE
    assert location.traffic.retries == 0


def test_every_kind_of_location_refuses_the_same(location: Location) -> None:
    for start, length in ((SIZE, 1), (SIZE - 1, 2), (SIZE + 10, None), (SIZE + 10, 10)):
        with pytest.raises(LocationError, match="shorter than its index says"):
            location.read(NAME, start, length)
    with pytest.raises(LocationError, match="shorter than its index says"):
        location.read("empty", 0, 1)
    for action in (location.read, location.size, location.open, lambda path: location.download(path, Path("x"))):
        with pytest.raises(MissingFile, match=r"none.*look at the path"):
            action("none")
    with pytest.raises(ValueError, match="0 or more"):
        location.read(NAME, -1)
    for path in ("/etc/passwd", "../secret", "a/../../b", "", "a\\b"):
        with pytest.raises(LocationError, match="no path inside a location"):
            location.read(path)
    assert location.traffic.retries == 0


def test_download_and_open_of_every_kind(location: Location, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    location.download(NAME, target)
    assert target.read_bytes() == DATA
    location.download("empty", target)
    assert target.read_bytes() == b""
    with location.open(NAME) as stream:
        assert stream.seek(0, io.SEEK_END) == SIZE
        assert stream.seek(-10, io.SEEK_CUR) == SIZE - 10
        assert stream.read() == DATA[-10:]
        assert stream.seek(123) == 123
        assert stream.read(50_000) == DATA[123:50_123]
        assert stream.tell() == 50_123
    with location.open("empty") as stream:
        assert stream.read() == b""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "mirror"]


def test_local_is_the_file_itself(folder: Path) -> None:
    location = Location(str(folder), ACCESS)
    assert location.is_local
    assert location.local(NAME) == folder / NAME
    with pytest.raises(LocationError):
        location.local("../x")


def test_find(folder: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.put(f"{folder}/", "/found/", recursive=True)
    for url in (str(folder), "memory://found"):
        location = Location(url, ACCESS)
        assert location.find("*") == ["empty", "paths.gz"]
        assert location.find("*/*.warc.gz") == [NAME]
        assert location.find("**/*.gz") == [NAME, "paths.gz"]
        assert location.find("**") == [NAME, "empty", "paths.gz"]
        assert location.find("nothing/*") == []
    memory.rm("/found", recursive=True)


def test_find_sees_new_files(folder: Path) -> None:
    location = Location(str(folder), ACCESS)
    before = location.find("**/*.gz")
    (folder / "crawl-data" / "new.gz").write_bytes(b"")
    assert set(location.find("**/*.gz")) - set(before) == {"crawl-data/new.gz"}


def test_an_http_server_is_not_listed(server: FolderServer) -> None:
    with pytest.raises(LocationError, match="cannot be listed over HTTP"):
        Location(server.url, ACCESS).find("*.gz")
    assert server.requests == []


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("/no/such/folder", "not a folder"),
        ("nosuchscheme://x/", "cannot be used as a location"),
        ("https://user:secret@example.org/crawl/", "holds a user, a password"),
        ("https://example.org/crawl/?key=secret", "query"),
    ],
)
def test_locations_that_cannot_be(url: str, message: str) -> None:
    with pytest.raises(LocationError, match=message) as raised:
        Location(url, ACCESS)
    assert "secret" not in str(raised.value)


# --- how it is asked --------------------------------------------------------------------------------------------------


def test_requests_say_exactly_what_they_want(server: FolderServer) -> None:
    location = Location(server.url, ACCESS)
    location.read(NAME, 7, 10)
    location.read("paths.gz")
    assert [(seen.path, seen.range) for seen in server.requests] == [(f"/{NAME}", "bytes=7-16"), ("/paths.gz", "")]
    assert {seen.headers["Accept-Encoding"] for seen in server.requests} == {"identity"}
    assert {seen.headers["User-Agent"] for seen in server.requests} == {"transumanza"}
    assert location.traffic.requests == 2
    assert location.traffic.bytes == server.bytes_sent == 10 + len(gzip.compress(b"one\ntwo\n"))
    assert server.connections == 1  # kept open between requests


def test_the_proxy_of_the_environment_is_used(server: FolderServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server takes a proxy's requests too: the whole URL stands where the path does else."""
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, server.url)
    assert Location("http://crawl.invalid/", ACCESS).read(NAME, 7, 10) == DATA[7:17]
    assert [seen.headers["Host"] for seen in server.requests] == ["crawl.invalid"]
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,crawl.invalid")
    monkeypatch.setenv("no_proxy", "127.0.0.1,crawl.invalid")
    with pytest.raises(LocationError, match=r"crawl\.invalid.*look at the network"):
        Location("http://crawl.invalid/", ACCESS).read(NAME, 7, 10)
    assert len(server.requests) == 1


def test_files_that_a_server_marks_as_encoded_stay_as_they_are(server: FolderServer, folder: Path) -> None:
    server.headers["Content-Encoding"] = "gzip"
    assert Location(server.url, ACCESS).read("paths.gz") == (folder / "paths.gz").read_bytes()


def test_no_more_in_flight_than_allowed_and_order_kept(server: FolderServer) -> None:
    server.latency_s = 0.03
    location = Location(server.url, access(concurrency=4))
    ranges = some_ranges(40)
    answers = list(location.read_many(ranges))
    assert [item for item, _ in answers] == ranges
    assert all(data == DATA[item.start : item.start + item.length] for item, data in answers)
    assert 2 <= server.most_in_flight <= 4


def test_the_limit_holds_over_all_threads(server: FolderServer) -> None:
    server.latency_s = 0.02
    location = Location(server.url, access(concurrency=3))
    with ThreadPoolExecutor(4) as pool:
        for answers in pool.map(lambda seed: list(location.read_many(some_ranges(10, seed))), range(4)):
            assert all(data == DATA[item.start : item.start + item.length] for item, data in answers)
    assert 2 <= server.most_in_flight <= 3
    assert location.traffic.requests == 40 == len(server.requests)


def test_ranges_are_drawn_as_they_are_needed(server: FolderServer) -> None:
    location = Location(server.url, access(concurrency=3))
    drawn = 0

    def ranges() -> Iterator[ByteRange]:
        nonlocal drawn
        for item in some_ranges(50):
            drawn += 1
            yield item

    for taken, _ in enumerate(location.read_many(ranges()), start=1):
        assert drawn <= taken + 3


def test_an_abandoned_reading_stops(server: FolderServer) -> None:
    location = Location(server.url, access(concurrency=2, max_backoff_s=60))
    reading = location.read_many(some_ranges(1000))
    next(reading)
    server.fail(ServerFault(status=503, retry_after="60"), times=1000)
    began = time.monotonic()
    reading.close()  # type: ignore[attr-defined]
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and any(thread.name.startswith("ranges") for thread in threading.enumerate()):
        time.sleep(0.01)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ranges")]
    assert time.monotonic() - began < 5
    assert len(server.requests) < 20


def test_the_rate_is_capped(server: FolderServer) -> None:
    location = Location(server.url, access(requests_per_second=50))
    began = time.monotonic()
    assert len(list(location.read_many(some_ranges(20)))) == 20
    assert time.monotonic() - began >= 0.36  # 19 intervals of 20 ms, less the clock's grain
    times = [seen.at for seen in server.requests]
    assert max(times) - min(times) >= 0.3
    assert location.traffic.waited_s > 0.3


def test_the_rate_is_divided_among_sharers(server: FolderServer) -> None:
    location = Location(server.url, access(requests_per_second=100), sharers=5)
    began = time.monotonic()
    for item in some_ranges(6):
        location.read(item.path, item.start, item.length)
    assert time.monotonic() - began >= 0.24  # 5 intervals of 50 ms


# --- what goes wrong --------------------------------------------------------------------------------------------------

PASSING = {
    "403": ServerFault(status=403),
    "429": ServerFault(status=429),
    "429 that says when": ServerFault(status=429, retry_after="30"),
    "500": ServerFault(status=500),
    "503": ServerFault(status=503, retry_after="Wed, 21 Oct 2065 07:28:00 GMT"),
    "reset": ServerFault(reset=True),
    "reset in the body": ServerFault(reset=True, sent=100),
    "closed in the body": ServerFault(sent=100),
    "another range": ServerFault(missing=10),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING.keys())
def test_passing_faults_are_tried_again_and_counted(server: FolderServer, fault: ServerFault) -> None:
    location = Location(server.url, ACCESS)
    server.fail(fault, times=2)
    began = time.monotonic()
    assert location.read(NAME, 1000, 5000) == DATA[1000:6000]
    assert server.faults_left() == 0
    assert (location.traffic.requests, location.traffic.retries) == (3, 2) and len(server.requests) == 3
    assert time.monotonic() - began < 5, "Retry-After goes beyond max_backoff_s"


@pytest.mark.parametrize("fault", [ServerFault(stall_s=30), ServerFault(stall_s=30, sent=100)], ids=["no answer", "silence in the body"])
def test_silence_is_a_fault(server: FolderServer, fault: ServerFault) -> None:
    location = Location(server.url, access(timeout_s=0.3))
    server.fail(fault)
    assert location.read(NAME, 1000, 5000) == DATA[1000:6000]
    assert location.traffic.retries == 1


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING.keys())
def test_the_last_attempt_tells_all(server: FolderServer, fault: ServerFault) -> None:
    location = Location(server.url, ACCESS)
    server.fail(fault, times=100)
    with pytest.raises(LocationError) as raised:
        location.read(NAME, 1000, 5000)
    message = str(raised.value)
    assert f"{server.url}crawl-data/a%20file+%231%2520.warc.gz, bytes 1000-5999: " in message
    assert "at attempt 4 of 4; " in message
    assert (str(fault.status) if fault.status else "") in message
    assert ("requests_per_second" if fault.status else "look at the network") in message
    assert (location.traffic.requests, location.traffic.retries) == (4, 3) and len(server.requests) == 4


@pytest.mark.parametrize(("status", "advice"), [(400, "path"), (401, "AWS_ACCESS_KEY_ID"), (404, "path"), (410, "path"), (416, "shorter")])
def test_lasting_faults_are_told_at_once(server: FolderServer, status: int, advice: str) -> None:
    location = Location(server.url, ACCESS)
    server.fail(ServerFault(status=status), times=10)
    with pytest.raises(LocationError, match=rf"bytes 0-9: HTTP {status}.*; .*{advice}"):
        location.read(NAME, 0, 10)
    assert len(server.requests) == 1 and location.traffic.retries == 0


def test_a_server_that_is_gone(folder: Path) -> None:
    with folder_server(folder) as running:
        url = running.url
    location = Location(url, access(attempts=2))
    with pytest.raises(LocationError, match=r"at attempt 2 of 2; look at the network"):
        location.read(NAME)


def test_retry_after_is_heeded_by_all_requests(server: FolderServer) -> None:
    location = Location(server.url, access(max_backoff_s=3))
    server.fail(ServerFault(status=429, retry_after="1"))
    began = time.monotonic()
    with pytest.raises(LocationError, match="429"):
        Location(server.url, access(attempts=1)).read(NAME, 0, 10)
    assert time.monotonic() - began < 0.9  # nobody waits after the last attempt
    server.fail(ServerFault(status=429, retry_after="1"))
    assert location.read(NAME, 0, 10) == DATA[:10]
    first, second = (seen.at for seen in server.requests[-2:])
    assert 0.9 <= second - first < 3.5


def test_read_many_goes_on_after_faults_and_stops_at_an_error(server: FolderServer) -> None:
    location = Location(server.url, access(concurrency=4, attempts=10))
    for fault in (ServerFault(status=503), ServerFault(sent=5), ServerFault(status=403)):
        server.fail(fault, times=3)
    ranges = some_ranges(40)
    assert [data for _, data in location.read_many(ranges)] == [DATA[item.start : item.start + item.length] for item in ranges]
    assert location.traffic.retries == 9
    bad = [*ranges[:5], ByteRange("none", 0, 1), *ranges[5:]]
    got = []
    with pytest.raises(MissingFile, match="none"):
        for item, _ in location.read_many(bad):
            got.append(item)
    assert got == bad[:5]


def test_a_failed_download_leaves_nothing(server: FolderServer, tmp_path: Path) -> None:
    location = Location(server.url, ACCESS)
    target = tmp_path / "downloads" / "copy"
    target.parent.mkdir()
    location.size(NAME)
    server.fail(ServerFault(sent=10), times=100)
    with pytest.raises(LocationError, match="warc"):
        location.download(NAME, target)
    assert list(target.parent.iterdir()) == []


def test_a_download_by_many_ranges(server: FolderServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foundation.sources.locations.DOWNLOAD_BYTES", 7_001)
    location = Location(server.url, ACCESS)
    server.latency_s = 0.01
    server.fail(ServerFault(sent=1000), times=3)
    location.download(NAME, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == DATA
    assert server.most_in_flight > 1
    assert len(server.requests) == 1 + 43 + location.traffic.retries


def test_a_server_without_ranges(server: FolderServer, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answers are cut where that is cheap, and refused where it would throw much away."""
    server.ranges = False
    location = Location(server.url, ACCESS)
    assert location.read(NAME, 1000, 5000) == DATA[1000:6000]
    assert location.size(NAME) == SIZE and location.size("empty") == 0
    with location.open(NAME) as stream:
        stream.seek(-100, io.SEEK_END)
        assert stream.read() == DATA[-100:]
    with pytest.raises(LocationError, match="shorter than its index says"):
        location.read(NAME, SIZE - 1, 2)
    monkeypatch.setattr("foundation.sources.remote_files.DISCARDED_LIMIT", 100_000)
    with pytest.raises(LocationError, match=r"ignores ranges: 200000 bytes would be thrown away for 10; serve"):
        location.read(NAME, 200_000, 10)
    assert location.traffic.retries == 0


# --- random access ----------------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    size=st.integers(0, 3000),
    tail=st.integers(0, 200),
    reads=st.lists(st.tuples(st.integers(0, 3100), st.integers(0, 400)), max_size=30),
)
def test_a_ranged_file_reads_as_a_file_does(monkeypatch: pytest.MonkeyPatch, size: int, tail: int, reads: list[tuple[int, int]]) -> None:
    monkeypatch.setattr("foundation.sources.ranged_file.SMALL_BYTES", 64)
    monkeypatch.setattr("foundation.sources.ranged_file.LONGEST_AHEAD", 256)
    data = DATA[:size]
    fetched: list[tuple[int, int]] = []

    def fetch(start: int, length: int) -> bytes:
        assert length > 0 and start + length <= size
        fetched.append((start, length))
        return data[start : start + length]

    tail = min(tail, size)
    remote, real = RangedFile("x", size, data[size - tail :], fetch), io.BytesIO(data)
    for start, length in reads:
        assert remote.seek(start) == real.seek(start)
        assert remote.read(length) == real.read(length)
    assert remote.seek(size // 3) == real.seek(size // 3)
    buffer = bytearray(50)
    assert buffer[: remote.readinto(buffer)] == real.read(50)
    assert remote.read() == real.read()
    assert remote.read() == b""


def test_small_reads_one_after_another_are_merged(server: FolderServer, folder: Path) -> None:
    source = random.Random(4)
    lines = gzip.compress(b"".join(source.randbytes(30).hex().encode() + b"\n" for _ in range(60_000)))
    (folder / "lines.gz").write_bytes(lines)
    location = Location(server.url, ACCESS)
    with location.open("lines.gz") as stream, gzip.open(stream) as text:
        assert sum(1 for _ in text) == 60_000
    assert location.traffic.bytes == len(lines) > 1_500_000
    assert location.traffic.requests <= 8


@pytest.fixture
def parquet(folder: Path) -> pa.Table:
    """An index-like file: sixteen row groups, wide columns beside narrow ones, page index."""
    count = 160_000
    source = random.Random(5)
    table = pa.table(
        {
            "url": [f"https://example.org/{source.randbytes(12).hex()}" for _ in range(count)],
            "digest": [source.randbytes(16).hex() for _ in range(count)],
            "status": pa.array([200 if source.random() < 0.9 else 404 for _ in range(count)], pa.int16()),
            "language": ["ita" if number % 16_000 < 400 else "deu" for number in range(count)],
            "offset": pa.array([source.randrange(10**9) for _ in range(count)], pa.int64()),
        }
    )
    pq.write_table(table, folder / "index.parquet", row_group_size=count // 16, compression="zstd", write_page_index=True)
    return table


@pytest.mark.parametrize("pre_buffer", [True, False])
def test_parquet_over_http_fetches_little_more_than_it_reads(
    server: FolderServer, folder: Path, parquet: pa.Table, pre_buffer: bool
) -> None:
    location = Location(server.url, ACCESS)
    size = (folder / "index.parquet").stat().st_size
    with pq.ParquetFile(location.open("index.parquet"), pre_buffer=pre_buffer) as reader:
        opening = location.traffic
        assert opening.requests == 1 and opening.bytes == 64 * 1024
        groups = [3, 4, 9]
        found = reader.read_row_groups(groups, columns=["status", "offset", "language"])
        metadata = reader.metadata
        wanted = sum(
            metadata.row_group(group).column(index).total_compressed_size
            for group in groups
            for index in range(metadata.num_columns)
            if metadata.row_group(group).column(index).path_in_schema in ("status", "offset", "language")
        )
    rows = len(parquet) // 16
    expected = pa.concat_tables([parquet.slice(group * rows, rows) for group in groups]).select(["status", "offset", "language"])
    assert found.equals(expected)
    spent = location.traffic
    # Three neighbouring columns of three row groups: without pre_buffer each chunk may be fetched for itself.
    fetches = len(groups) if pre_buffer else 3 * len(groups)
    assert spent.requests - opening.requests <= fetches
    assert spent.bytes - opening.bytes <= wanted + fetches * 64 * 1024 < size / 4


def test_an_error_inside_a_parquet_reader_stays_itself(server: FolderServer, parquet: pa.Table) -> None:
    reader = pq.ParquetFile(Location(server.url, access(attempts=2)).open("index.parquet"), pre_buffer=True)
    server.fail(ServerFault(status=503), times=100)
    with pytest.raises(LocationError, match="503"):
        reader.read_row_group(2, columns=["url"])


# --- processes and judgements -----------------------------------------------------------------------------------------


def _in_child(url: str, queue: multiprocessing.SimpleQueue[object]) -> None:
    queue.put(Location(url, ACCESS).read(NAME, 10, 20))


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_a_worker_makes_its_own(server: FolderServer, method: str) -> None:
    """Also where the parent has read before, so that fsspec's thread does not exist in the child."""
    assert Location(server.url, ACCESS).read(NAME, 0, 5) == DATA[:5]
    context = multiprocessing.get_context(method)
    queue = context.SimpleQueue()
    child = context.Process(target=_in_child, args=(server.url, queue))  # type: ignore[attr-defined]
    child.start()
    child.join(60)
    alive = child.is_alive()
    if alive:
        child.kill()
    assert not alive and child.exitcode == 0
    assert queue.get() == DATA[10:30]


@given(attempt=st.integers(1, 60), longest=st.floats(0.01, 300), asked=st.floats(0, 1000))
def test_waits_stay_within_their_bounds(attempt: int, longest: float, asked: float) -> None:
    wait = pacing.backoff_s(attempt, longest, asked)
    assert min(asked, longest) <= wait <= longest
    assert pacing.backoff_s(attempt, longest) <= pacing.FIRST_BACKOFF_S * 2 ** (attempt - 1)


def test_waits_grow_and_differ() -> None:
    waits = [[pacing.backoff_s(attempt, 120) for _ in range(300)] for attempt in (1, 4, 7)]
    means = [sum(wait) / len(wait) for wait in waits]
    assert means[0] * 4 < means[1] and means[1] * 4 < means[2]
    assert min(waits[2]) < 8 and max(waits[2]) > 20  # full jitter: anything from 0 to 32 s


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (ConnectionResetError("gone"), True),
        (OSError(5, "busy"), True),
        (TimeoutError(), True),
        (FileNotFoundError("x"), False),
        (ValueError("odd"), False),
        (type("NoCredentialsError", (Exception,), {})("none"), False),
        (type("OfflineModeIsEnabled", (ConnectionError,), {})("offline"), False),
    ],
)
def test_errors_without_a_status(error: Exception, again: bool) -> None:
    assert faults.fault_of_error(error).again is again


def test_advice_names_the_keys_of_the_profile() -> None:
    offline = faults.fault_of_error(type("OfflineModeIsEnabled", (ConnectionError,), {})("offline"))
    assert "execution.slurm.prologue: [export HF_HUB_OFFLINE=0]" in offline.advice
    assert "corpus.web.access.location" in faults.fault_of_status(404, {}).advice


def test_signed_addresses_are_not_shown() -> None:
    fault = faults.fault_of_error(OSError("cannot read https://cdn.example.org/x?Signature=secret&Key=secret now"))
    assert "secret" not in str(fault) and "https://cdn.example.org/x?… now" in str(fault)


@pytest.mark.parametrize(
    "url", ["https://token@host.example/x", "https://user:secret@host.example/x", "https://us:se/cret@host.example/", "simplecache::https://host.example/x"]
)
def test_an_address_with_credentials_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(LocationError, match="would be recorded") as caught:
        Location(url, ACCESS)
    assert "secret" not in str(caught.value) and "cret@" not in str(caught.value) and "token@" not in str(caught.value)
