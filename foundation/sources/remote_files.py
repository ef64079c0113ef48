"""Single requests to files elsewhere: HTTP with byte ranges, and any file system that fsspec knows.

Belongs here: one request and the proof that its answer is what was asked for; each failure is a ``Fault``. Attempts, pace and
counting belong to ``locations``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, urlsplit
from urllib.request import getproxies, proxy_bypass

from foundation.sources.faults import OUTSIDE_ADVICE, Fault, fault_of_error, fault_of_status

if TYPE_CHECKING:
    import aiohttp

    from foundation.sources.locations import RequestSettings

DISCARDED_LIMIT = 16 * 1024 * 1024
"""Bytes that are read and thrown away at most to reach a range on a server that sends whole files."""
USER_AGENT = "transumanza"

_PATH_CHARACTERS = "/~!$&'()*+,;=:@"  # what a URL's path may hold as it is (RFC 3986, 3.3)
_CONTENT_RANGE = re.compile(r"bytes\s+(\d+)-(\d+)/(\d+)", re.IGNORECASE)
_EMPTY = re.compile(r"bytes\s+\*/0", re.IGNORECASE)
_RANGE_ADVICE = "serve the files with a server that heeds ranges (nginx, caddy, `rclone serve http`), or name the folder itself as the location"


Count = Callable[[int, int], None]
"""Takes requests beside the one that was asked for, and bytes received."""


class RemoteFiles(Protocol):
    """Files under one root. Every method makes one request and raises ``Fault``."""

    def size(self, path: str) -> int:
        """Bytes of a file."""

    def read(self, path: str, start: int, length: int) -> bytes:
        """Exactly these bytes."""

    def find(self, pattern: str) -> list[str]:
        """Relative paths of the files that match a glob."""

    def shown(self, path: str) -> str:
        """A file's address for messages."""


def remote_files(url: str, access: RequestSettings, count: Count) -> RemoteFiles:
    """Access to a remote root.

    Args:
        url: the root.
        access: time limits and the S3 server.
        count: told of further requests and of bytes as they arrive, those of failed requests too.

    Raises:
        ValueError, ImportError: no file system is known, or installed, for such URLs.
    """
    scheme = urlsplit(url).scheme
    return HttpFiles(url, access, count) if scheme in ("http", "https") else FilesystemFiles(url, access, count)


def _proxy_for(url: str) -> str | None:
    """The proxy that the environment names for a URL.

    Looked up once: aiohttp's own ``trust_env`` looks again at each request, which doubles what a request costs.
    """
    parts, proxies = urlsplit(url), getproxies()
    return None if proxy_bypass(parts.netloc) else proxies.get(parts.scheme, proxies.get("all"))


@dataclass(frozen=True, slots=True)
class _Part:
    """The part of a file that is asked for.

    Attributes:
        start: its first byte; negative: counted from the end.
        length: its bytes.
        exact: all of them must be there; else there may be fewer where the file ends.
    """

    start: int
    length: int
    exact: bool = True

    @property
    def header(self) -> str:
        return f"bytes={self.start}" if self.start < 0 else f"bytes={self.start}-{self.start + self.length - 1}"

    def within(self, size: int) -> tuple[int, int]:
        """First byte and the byte after the last one, in a file of this size."""
        first = max(0, size + self.start) if self.start < 0 else self.start
        stop = min(size, first + self.length)
        if self.exact and stop < first + self.length:
            raise Fault(f"the file ends at byte {size}, before the range does", again=False, outside=True, advice=OUTSIDE_ADVICE)
        return first, stop


class HttpFiles:
    """Files on an HTTP server, through the session of fsspec's HTTP file system.

    Not through its ``cat_file``, which does not look whether a server has heeded the range: the whole file would be taken for
    its part.
    """

    def __init__(self, url: str, access: RequestSettings, count: Count) -> None:
        from fsspec.implementations.http import HTTPFileSystem

        self._root = url.rstrip("/")
        self._timeout_s = access.timeout_s
        self._connections = access.concurrency
        self._count = count
        self._fs = HTTPFileSystem(skip_instance_cache=True, use_listings_cache=False, get_client=self._client)

    async def _client(self, **_: Any) -> aiohttp.ClientSession:
        import aiohttp

        async def sent_once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
            # aiohttp would send it again over a new connection, unpaced and uncounted.
            try:
                return await send(request)
            except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
                raise fault_of_error(error) from error

        return aiohttp.ClientSession(
            middlewares=(sent_once,),
            connector=aiohttp.TCPConnector(limit=self._connections),
            # No limit on the whole: a large range on a slow line may take long, silence may not.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._timeout_s, sock_read=self._timeout_s),
            # The bytes as they lie in the file: servers that mark .gz files as encoded would have them unpacked.
            headers={"Accept-Encoding": "identity", "User-Agent": USER_AGENT},
            auto_decompress=False,
            proxy=_proxy_for(self._root),
        )

    def shown(self, path: str) -> str:
        return f"{self._root}/{quote(path, safe=_PATH_CHARACTERS)}"

    def size(self, path: str) -> int:
        # The first byte instead of HEAD: signed addresses and some servers answer GET alone.
        return self._ask(path, _Part(0, 1, exact=False))[0]

    def read(self, path: str, start: int, length: int) -> bytes:
        return self._ask(path, _Part(start, length))[1]

    def read_whole(self, path: str) -> bytes:
        """All bytes of a file; the answer itself says how many they are."""
        return self._ask(path, None)[1]

    def read_tail(self, path: str, length: int) -> tuple[int, bytes]:
        """The file's size and its last bytes."""
        return self._ask(path, _Part(-length, length, exact=False))

    def find(self, pattern: str) -> list[str]:
        raise Fault(
            f"files that match {pattern!r} cannot be listed over HTTP",
            again=False,
            advice="use a folder or an S3 location, or the crawl's lists of paths",
        )

    def _ask(self, path: str, part: _Part | None) -> tuple[int, bytes]:
        """Size of the file and the bytes asked for; None asks for all."""
        from fsspec.asyn import sync

        try:
            answer: tuple[int, bytes] = sync(self._fs.loop, self._get, self.shown(path), part)
        except TimeoutError as error:
            raise Fault(f"no answer in {self._timeout_s:g} s", again=True) from error
        except Exception as error:
            raise fault_of_error(error) from error
        return answer

    async def _get(self, url: str, part: _Part | None) -> tuple[int, bytes]:
        import yarl

        session = await self._fs.set_session()
        async with session.get(yarl.URL(url, encoded=True), headers={"Range": part.header} if part else {}) as response:
            status, content_range = response.status, response.headers.get("Content-Range", "").strip()
            if status == 416 and part and not part.exact and _EMPTY.fullmatch(content_range):
                return 0, b""  # an empty file has neither a first byte nor last ones
            if status >= 400:
                raise fault_of_status(status, response.headers)
            if status == 206 and part:
                return await self._part(response, part, content_range)
            if status == 200:
                return await self._whole(response, part)
            raise Fault(f"HTTP {status}, where 200 or 206 was expected", again=False)

    async def _part(self, response: aiohttp.ClientResponse, part: _Part, content_range: str) -> tuple[int, bytes]:
        """The body of a 206 answer, which must be the range that was asked for."""
        match = _CONTENT_RANGE.fullmatch(content_range)
        if match is None:
            raise Fault(f"a range came with {content_range!r} as its Content-Range", again=False, advice=_RANGE_ADVICE)
        first, stop, size = int(match[1]), int(match[2]) + 1, int(match[3])
        wanted = part.within(size)
        if (first, stop) != wanted:
            raise Fault(f"bytes {first}-{stop - 1} came, where {wanted[0]}-{wanted[1] - 1} were asked for", again=True)
        return size, await self._body(response, 0, stop - first)

    async def _whole(self, response: aiohttp.ClientResponse, part: _Part | None) -> tuple[int, bytes]:
        """What was asked for out of a 200 answer; a server that ignores ranges sends the whole file for each."""
        size = response.content_length
        if part is None:
            data = await self._body(response, 0, size)
            return len(data), data
        if size is None:
            raise Fault("the server ignores ranges and does not say how long the file is", again=False, advice=_RANGE_ADVICE)
        first, stop = part.within(size)
        if first > DISCARDED_LIMIT:
            raise Fault(f"the server ignores ranges: {first} bytes would be thrown away for {stop - first}", again=False, advice=_RANGE_ADVICE)
        return size, await self._body(response, first, stop - first)

    async def _body(self, response: aiohttp.ClientResponse, skip: int, length: int | None) -> bytes:
        """So many bytes of a body after the first ``skip``; all of it where no length is given."""
        data = bytearray()
        seen = 0
        async for chunk in response.content.iter_any():
            self._count(0, len(chunk))
            data += chunk[max(0, skip - seen) :]
            seen += len(chunk)
            if length is not None and len(data) >= length:
                break
        if length is None:
            return bytes(data)
        if len(data) < length:
            raise Fault(f"short body: {len(data)} of {length} bytes", again=True)
        if not response.content.at_eof():
            response.close()  # more would come: the rest of a file that was not asked for
        return bytes(memoryview(data)[:length])


class FilesystemFiles:
    """Files of any file system that fsspec knows: S3, the Hugging Face Hub, memory, …

    Their own clients' attempts are switched off where they can be (S3). What stays: the S3 client sends a request once more where
    a connection broke before any answer, and huggingface_hub waits out some answers about load; neither is counted.
    """

    def __init__(self, url: str, access: RequestSettings, count: Count) -> None:
        from fsspec.core import url_to_fs

        self._url = url.rstrip("/")
        self._count = count
        fs, root = url_to_fs(url, skip_instance_cache=True, **_options(urlsplit(url).scheme, access))
        self._fs: Any = fs
        self._root = str(root).rstrip("/")
        if hasattr(fs, "retries"):
            fs.retries = 1  # attempts are made, paced and counted by Location alone

    def shown(self, path: str) -> str:
        return f"{self._url}/{path}"

    def size(self, path: str) -> int:
        info = self._ask(lambda: self._fs.info(self._full(path)))
        if info.get("type") == "directory" or info.get("size") is None:
            raise Fault("this is a folder, not a file", again=False, missing=True)
        return int(info["size"])

    def read(self, path: str, start: int, length: int) -> bytes:
        # File systems that are not asynchronous open a file for each range, which would read ahead by megabytes.
        arguments = {} if self._fs.async_impl else {"cache_type": "none"}
        data: bytes = self._ask(lambda: self._fs.cat_file(self._full(path), start=start, end=start + length, **arguments))
        self._count(0, len(data))
        if len(data) > length:
            raise Fault(f"{len(data)} bytes came, where {length} were asked for: the server ignores ranges", again=False, advice=_RANGE_ADVICE)
        if len(data) < length:
            self._count(1, 0)
            size = self.size(path)
            if size < start + length:
                raise Fault(f"the file ends at byte {size}, before the range does", again=False, outside=True, advice=OUTSIDE_ADVICE)
            raise Fault(f"short body: {len(data)} of {length} bytes", again=True)
        return data

    def find(self, pattern: str) -> list[str]:
        self._fs.invalidate_cache()
        found = self._ask(lambda: self._fs.glob(self._full(pattern), detail=True))
        prefix = len(self._full(""))
        return [name[prefix:] for name, info in found.items() if info.get("type") == "file"]

    def _full(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _ask(self, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except Exception as error:
            raise fault_of_error(error) from error


def _options(scheme: str, access: RequestSettings) -> dict[str, Any]:
    """What a file system is made with; credentials come from the environment."""
    if scheme == "hf":
        # Never the token that a login has left on this machine: what can be read would depend on it unsaid.
        return {"token": os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN") or False}
    if scheme not in ("s3", "s3a"):
        return {}
    config: dict[str, Any] = {
        "connect_timeout": access.timeout_s,
        "read_timeout": access.timeout_s,
        "retries": {"total_max_attempts": 1},
        "max_pool_connections": access.concurrency,
    }
    options: dict[str, Any] = {"anon": access.s3_anonymous, "config_kwargs": config, "use_listings_cache": False, "max_concurrency": 1}
    if access.s3_endpoint:
        options["endpoint_url"] = access.s3_endpoint
        config["s3"] = {"addressing_style": "path"}  # servers of one's own rarely have a host name for each bucket
    return options
