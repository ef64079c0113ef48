"""Places that files are read from: a folder, an HTTP or S3 server, the Hugging Face Hub, any file system that fsspec knows.

Belongs here: what a place is to those who read from it, and the manners of reading: how many requests, how often, how many
times. What one request is belongs to ``remote_files``.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO, TypeVar, cast
from urllib.parse import urlsplit
from urllib.request import url2pathname

from foundation.errors import TransumanzaError
from foundation.settings import Settings, run_key
from foundation.sources.faults import MISSING_ADVICE, OUTSIDE_ADVICE, Fault
from foundation.sources.pacing import Pace, backoff_s
from foundation.sources.ranged_file import TAIL_BYTES, RangedFile
from foundation.sources.remote_files import HttpFiles, remote_files

DOWNLOAD_BYTES = 16 * 1024 * 1024
"""Bytes of one request of a download: large enough that a WARC of 1 GB costs some 60 requests."""

T = TypeVar("T")


class RequestSettings(Settings):
    """The manners of reading over a network; none of it changes a row."""

    concurrency: int = run_key(8, ge=1, description="Requests in flight, per worker.")
    requests_per_second: float = run_key(20.0, gt=0, description="At most this many requests are begun each second, by all workers together.")
    attempts: int = run_key(8, ge=1, description="Times that a request is tried.")
    timeout_s: float = run_key(60.0, gt=0, description="Seconds without an answer after which a request counts as failed.")
    max_backoff_s: float = run_key(120.0, gt=0, description="Longest wait between two attempts.")
    s3_endpoint: str | None = run_key(None, description="URL of an S3-compatible server; null: AWS.")
    s3_anonymous: bool = run_key(False, description="Without credentials; else they come from the environment (AWS_ACCESS_KEY_ID, …).")


class AccessSettings(RequestSettings):
    """How crawls are reached; none of it changes a row."""

    location: str = run_key(
        "https://data.commoncrawl.org/",
        description="Where Common Crawl's crawls lie: HTTPS, s3://commoncrawl/, or a folder of the same layout.",
    )
    crawl_list: str = run_key(
        "https://index.commoncrawl.org/collinfo.json",
        description="Where the list of crawls is, a file or an address: what `transumanza crawls` and the sensor new_crawls look at.",
    )


class LocationError(TransumanzaError):
    """Something cannot be read from a location."""


class MissingFile(LocationError):
    """A location has no such file."""


class OutsideFile(LocationError):
    """A file ends before the bytes that were asked for."""


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes of one file: its path relative to the location's root, the first byte, how many."""

    path: str
    start: int
    length: int


@dataclass
class Traffic:
    """What went over a location so far.

    Attributes:
        requests: requests begun, those that failed too; of a folder: reads.
        bytes: bytes received, those of failed requests too.
        retries: requests that were made again.
        waited_s: seconds spent waiting for a turn or for another attempt, summed over threads.
    """

    requests: int = 0
    bytes: int = 0
    retries: int = 0
    waited_s: float = 0.0


class _Abandoned(Exception):
    """Nobody wants the answer any more."""


class Location:
    """A root that files are read from: a folder, http(s)://, s3://, hf://, any fsspec URL.

    One object serves many threads; it belongs to the process that made it, so make one in each worker. Folders are read
    directly. Elsewhere at most ``access.concurrency`` requests are in flight, at most ``requests_per_second / sharers``
    begin each second, and a request that fails for load, time or a broken connection is made again, up to
    ``access.attempts`` times. Credentials never stand in settings: the Hub's is HF_TOKEN, S3's are those that AWS's client
    finds (AWS_ACCESS_KEY_ID and the like, its configuration, the machine's role).

    Args:
        url: the root.
        access: limits and patience.
        sharers: processes that read at the same time, among which the requests per second are divided.

    Raises:
        LocationError: a folder that is not there, an address with a password, or one that no installed file system reads.
    """

    def __init__(self, url: str, access: RequestSettings, sharers: int = 1) -> None:
        self.url = url
        self._access = access
        self._traffic = Traffic()
        self._lock = threading.Lock()
        self._pace = Pace(access.requests_per_second / max(1, sharers))
        self._slots = threading.BoundedSemaphore(access.concurrency)
        self._folder = _folder_of(url)
        if access.s3_endpoint:
            see_no_credentials(access.s3_endpoint)
        if self._folder is None:
            try:
                self._remote = remote_files(url, access, self._count)
            except ImportError as error:
                raise LocationError(f"{url} cannot be used as a location ({error}); install what reads it: pip install 'transumanza[corpus]'") from error
            except ValueError as error:
                raise LocationError(f"{url} cannot be used as a location ({error}); name a folder, https://, s3:// or hf://") from error

    @property
    def is_local(self) -> bool:
        """Whether the location is a folder of this machine."""
        return self._folder is not None

    @property
    def traffic(self) -> Traffic:
        """What went over this location until now (a copy)."""
        with self._lock:
            return replace(self._traffic)

    def read(self, path: str, start: int = 0, length: int | None = None) -> bytes:
        """Bytes of a file; without a length, all from ``start`` on.

        Raises:
            MissingFile: there is no such file.
            LocationError: the range lies outside the file, or every attempt failed.
            ValueError: a negative start or length.
        """
        return self._read(path, start, length, None)

    def read_many(self, ranges: Iterable[ByteRange]) -> Iterator[tuple[ByteRange, bytes]]:
        """The bytes of many ranges, in the order given.

        At most ``access.concurrency`` are being fetched, and at most one more is held, while the consumer works; ranges are
        drawn as they are needed.

        Raises:
            LocationError: as ``read``, where the range's turn comes.
        """
        if self.is_local:
            for item in ranges:
                yield item, self._read(item.path, item.start, item.length, None)
            return
        abandoned = threading.Event()
        pending: deque[tuple[ByteRange, Future[bytes]]] = deque()
        pool = ThreadPoolExecutor(self._access.concurrency, thread_name_prefix="ranges")
        try:
            for item in ranges:
                pending.append((item, pool.submit(self._read, item.path, item.start, item.length, abandoned)))
                if len(pending) > self._access.concurrency:
                    done, future = pending.popleft()
                    yield done, future.result()
            while pending:
                done, future = pending.popleft()
                yield done, future.result()
        finally:
            abandoned.set()
            pool.shutdown(wait=False, cancel_futures=True)

    def size(self, path: str) -> int:
        """Bytes of a file.

        Raises:
            MissingFile, LocationError: as ``read``.
        """
        if (file := self.local(path)) is not None:
            if not file.is_file():
                raise MissingFile(f"{file}: no such file; {MISSING_ADVICE}")
            return file.stat().st_size
        return self._request(path, "size", lambda: self._remote.size(path))

    def exists(self, path: str) -> bool:
        """Whether there is such a file.

        Raises:
            LocationError: the location gives no answer.
        """
        try:
            self.size(path)
        except MissingFile:
            return False
        return True

    def find(self, pattern: str) -> list[str]:
        """Relative paths of the files that match a glob (``*`` within a folder, ``**`` through folders), sorted.

        On an object store a listing takes one request for each 1,000 names or each folder; it is paced and counted as one.

        Raises:
            LocationError: HTTP servers cannot be listed, or the listing failed.
        """
        _check(pattern)
        if self._folder is not None:
            pattern = f"{pattern}/*" if pattern.endswith("**") else pattern
            return sorted(path.relative_to(self._folder).as_posix() for path in self._folder.glob(pattern) if path.is_file())
        return sorted(self._request(pattern, "listing", lambda: self._remote.find(pattern)))

    def download(self, path: str, target: Path) -> None:
        """A whole file, by ranges in parallel; ``target`` appears under its name only when it is whole.

        Raises:
            MissingFile, LocationError: as ``read``.
            OSError: the target cannot be written.
        """
        size = self.size(path)
        part = target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}.part")
        try:
            with part.open("wb") as sink:
                if (file := self.local(path)) is not None:
                    with file.open("rb") as source:
                        shutil.copyfileobj(source, sink, DOWNLOAD_BYTES)
                    self._count(requests=1, bytes_=size)
                else:
                    starts = range(0, size, DOWNLOAD_BYTES)
                    for _, data in self.read_many(ByteRange(path, start, min(DOWNLOAD_BYTES, size - start)) for start in starts):
                        sink.write(data)
            written = part.stat().st_size
            if written != size:
                raise LocationError(f"{self._shown(path)}: {written} of {size} bytes were written; the file changed meanwhile, run again")
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    def local(self, path: str) -> Path | None:
        """The file itself where the location is a folder, whether it is there or not; None elsewhere."""
        _check(path)
        return None if self._folder is None else self._folder / path

    def open(self, path: str) -> BinaryIO:
        """A file to read and seek in, for Parquet readers: ``pq.ParquetFile(location.open(path), pre_buffer=True)``.

        The last 64 KiB are fetched at once, small reads are merged, large ones fetch exactly what they ask for.

        Raises:
            MissingFile, LocationError: as ``read``; reading raises LocationError too.
        """
        if (file := self.local(path)) is not None:
            self.size(path)
            return file.open("rb")
        if isinstance(remote := self._remote, HttpFiles):
            answer = self._request(path, "end of the file", lambda: remote.read_tail(path, TAIL_BYTES))
        else:
            size = self.size(path)
            answer = size, self.read(path, max(0, size - TAIL_BYTES), min(size, TAIL_BYTES))
        return cast(BinaryIO, RangedFile(self._shown(path), *answer, lambda start, length: self.read(path, start, length)))

    def _read(self, path: str, start: int, length: int | None, abandoned: threading.Event | None) -> bytes:
        if start < 0 or (length is not None and length < 0):
            raise ValueError(f"{path}: a range of {length} bytes from {start} on; both must be 0 or more")
        if (file := self.local(path)) is not None:
            return self._read_folder(file, start, length)
        if length == 0:
            return b""
        if length is None and start == 0 and isinstance(remote := self._remote, HttpFiles):
            return self._request(path, "whole file", lambda: remote.read_whole(path), abandoned)
        if length is None:
            size = self.size(path)
            if start > size:
                raise OutsideFile(f"{self._shown(path)}: byte {start} lies outside its {size} bytes; {OUTSIDE_ADVICE}")
            length = size - start
            if length == 0:
                return b""
        wanted = length
        return self._request(path, f"bytes {start}-{start + wanted - 1}", lambda: self._remote.read(path, start, wanted), abandoned)

    def _read_folder(self, file: Path, start: int, length: int | None) -> bytes:
        try:
            with file.open("rb") as stream:
                size = os.fstat(stream.fileno()).st_size
                if start + (length or 0) > size:
                    raise OutsideFile(f"{file}: bytes {start}-{start + (length or 1) - 1} lie outside its {size} bytes; {OUTSIDE_ADVICE}")
                stream.seek(start)
                data = stream.read(-1 if length is None else length)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise MissingFile(f"{file}: no such file; {MISSING_ADVICE}") from error
        except OSError as error:
            raise LocationError(f"{file} cannot be read ({error}); look at the disk and the file's rights") from error
        self._count(requests=1, bytes_=len(data))
        return data

    def _request(self, path: str, what: str, action: Callable[[], T], abandoned: threading.Event | None = None) -> T:
        """The answer to a request, made again while that can help."""
        attempts, longest = self._access.attempts, self._access.max_backoff_s
        for attempt in range(1, attempts + 1):
            try:
                with self._slots:
                    self._wait(self._pace.reserve(), abandoned)
                    self._count(requests=1)
                    return action()
            except Fault as error:
                fault = error
            if not fault.again or attempt == attempts:
                break
            asked = min(fault.wait_s, longest)
            self._pace.hold(asked)  # what a server asks of one request, it asks of all
            self._count(retries=1)
            self._wait(backoff_s(attempt, longest, asked), abandoned)
        tried = f" at attempt {attempt} of {attempts}" if fault.again else ""
        kind = MissingFile if fault.missing else OutsideFile if fault.outside else LocationError
        raise kind(f"{self._shown(path)}, {what}: {fault}{tried}; {fault.advice}") from fault

    def _wait(self, seconds: float, abandoned: threading.Event | None) -> None:
        if seconds > 0:
            (abandoned or threading.Event()).wait(seconds)
            self._count(waited_s=seconds)
        if abandoned is not None and abandoned.is_set():
            raise _Abandoned

    def _count(self, requests: int = 0, bytes_: int = 0, retries: int = 0, waited_s: float = 0.0) -> None:
        with self._lock:
            self._traffic.requests += requests
            self._traffic.bytes += bytes_
            self._traffic.retries += retries
            self._traffic.waited_s += waited_s

    def _shown(self, path: str) -> str:
        return self._remote.shown(path) if self._folder is None else str(self._folder / path)


def _folder_of(url: str) -> Path | None:
    """The folder that a location is; None where it lies elsewhere."""
    parts = urlsplit(url)
    if "::" in url:
        raise LocationError("a location is one address: chained ones (with ::) may hide credentials, which would be recorded")
    if "://" in url and parts.scheme not in ("file", "local"):
        see_no_credentials(url)
        if parts.scheme in ("http", "https") and (parts.query or parts.fragment):
            raise LocationError(
                f"the location {parts.scheme}://{parts.netloc}{parts.path} ends with a query or a fragment; give the address of a folder"
            )
        return None
    folder = Path(url2pathname(parts.path) if "://" in url else url).expanduser().absolute()
    if not folder.is_dir():
        raise LocationError(f"the location {url} is not a folder (looked for {folder}); name an existing folder or a URL")
    return folder


def see_no_credentials(url: str) -> None:
    """See that an address names no user, password or token: it is recorded with the profile.

    Raises:
        LocationError: it does.
    """
    scheme, _, rest = url.partition("://")
    if "@" in re.split(r"[/?#]", rest, maxsplit=1)[0] or re.match(r"[^/]*:[^/@]*/[^@]*@[^/]*\.", rest):
        raise LocationError(
            f"the location {scheme}://… holds a user, a password or a token, which would be recorded; name an S3 location, whose credentials "
            "come from the environment, or a folder"
        )


def _check(path: str) -> None:
    """Paths come out of indexes, so they are held inside the root."""
    if not path or path.startswith("/") or "\\" in path or "\0" in path or ".." in PurePosixPath(path).parts:
        raise LocationError(f"{path!r} is no path inside a location; paths are relative to its root, with / and without ..")
