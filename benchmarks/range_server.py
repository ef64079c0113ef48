"""Files of a folder over HTTP/1.1 with byte ranges, on 127.0.0.1; refuses a share of requests on demand."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass
class Served:
    """What a server sent so far: requests, refused ones among them, and bytes of bodies."""

    url: str
    folder: Path
    refuse_every: int = 0
    requests: int = 0
    refused: int = 0
    bytes: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def refuses(self) -> bool:
        """Count a request; whether it is refused."""
        with self.lock:
            self.requests += 1
            refused = self.refuse_every > 0 and self.requests % self.refuse_every == 0
            self.refused += refused
            return refused

    def sent(self, size: int) -> None:
        """Count the bytes of a body."""
        with self.lock:
            self.bytes += size


@contextmanager
def serving(folder: Path, refuse_every: int = 0) -> Iterator[Served]:
    """Serve a folder while the block runs; each ``refuse_every``-th request is answered with 503 (0: none)."""

    class Handler(_Handler):
        served = Served("", folder.resolve(), refuse_every)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Handler.served.url = f"http://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield Handler.served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    served: Served

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        if self.served.refuses():
            return self._head(503, 0)
        path = (self.served.folder / unquote(urlsplit(self.path).path).lstrip("/")).resolve()
        if not path.is_relative_to(self.served.folder) or not path.is_file():
            return self._head(404, 0)
        size = path.stat().st_size
        match = _RANGE.fullmatch(self.headers.get("Range", ""))
        if match is None or not (match[1] or match[2]):
            start, end, status = 0, size, 200
        elif match[1]:
            start, end, status = int(match[1]), min(int(match[2]) + 1 if match[2] else size, size), 206
        else:
            start, end, status = max(0, size - int(match[2])), size, 206
        if start >= end and status == 206:
            return self._head(416, 0, f"bytes */{size}")
        self._head(status, end - start, f"bytes {start}-{end - 1}/{size}" if status == 206 else "")
        if body:
            with path.open("rb") as stream:
                stream.seek(start)
                content = stream.read(end - start)
            self.served.sent(len(content))  # before the client can have it, and ask for the count
            self.wfile.write(content)

    def _head(self, status: int, length: int, content_range: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.send_header("Accept-Ranges", "bytes")
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()
