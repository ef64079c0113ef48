"""A real browser for the tests: Chromium by its own driver, spoken to as the W3C's WebDriver says. No package besides."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_ARGUMENTS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip
"""The last one: no name resolves, so that a page that needs the network shows it."""


class Browser:
    """One window."""

    def __init__(self, driver: str, session: str) -> None:
        self._root = f"{driver}/session/{session}"

    def open(self, url: str) -> None:
        """Go to an address and wait until it has loaded."""
        _call("POST", f"{self._root}/url", {"url": url})

    def script(self, text: str) -> Any:
        """The value that a script returns."""
        return _call("POST", f"{self._root}/execute/sync", {"script": text, "args": []})

    def text(self) -> str:
        """What the page says."""
        return str(self.script("return document.body.innerText"))

    def wait_for(self, script: str, longest_s: float = 90.0) -> Any:
        """Wait until a script returns something true.

        Raises:
            AssertionError: it never does; the page's text is in the message.
        """
        deadline = time.monotonic() + longest_s
        while time.monotonic() < deadline:
            found = self.script(script)
            if found:
                return found
            time.sleep(0.5)
        raise AssertionError(f"the page never had {script!r}; it says: {self.text()[:3000]}")

    def wait_for_text(self, *texts: str) -> None:
        """Wait until the page says all of these."""
        for text in texts:
            self.wait_for(f"return document.body.innerText.includes({json.dumps(text)})")

    def screenshot(self, path: Path) -> None:
        """Save what the window shows as PNG."""
        path.write_bytes(base64.b64decode(_call("GET", f"{self._root}/screenshot")))


@contextlib.contextmanager
def browser(width: int = 1500, height: int = 950) -> Iterator[Browser]:
    """Start a browser with a profile of its own; the test skips where there is none."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("needs a browser: apt-get install chromium chromium-driver")
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="transumanza-browser-", ignore_cleanup_errors=True) as folder:
        process = subprocess.Popen([driver, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        address = f"http://127.0.0.1:{port}"
        try:
            _await(address)
            arguments = [*_ARGUMENTS, f"--user-data-dir={folder}", f"--window-size={width},{height}"]
            wanted = {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": {"binary": binary, "args": arguments}}}
            session = _call("POST", f"{address}/session", {"capabilities": wanted})["sessionId"]
            try:
                yield Browser(address, session)
            finally:
                _call("DELETE", f"{address}/session/{session}")
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:  # chromedriver sometimes ignores the signal; its browser is closed already
                process.kill()
                process.wait(30)


def _call(method: str, url: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=180) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"{method} {url}: {error.read().decode(errors='replace')[:1000]}") from error


def _await(address: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError, RuntimeError):
            if _call("GET", f"{address}/status")["ready"]:
                return
        time.sleep(0.2)
    raise RuntimeError("chromedriver did not answer within 60 s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
