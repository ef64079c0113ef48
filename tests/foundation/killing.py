"""Actions on a store in processes of their own that are killed (kill -9) before a chosen change to the disk or, on S3, request.

A server process has imported everything and forks for each action, so that hundreds of kills take seconds.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_SERVER = """
import json, os, signal, sys
from tests.foundation import kill_actions
CHANGES = {"os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "shutil.rmtree", "os.chmod"}
def run(action, home, moment):
    seen = 0
    def change():
        nonlocal seen
        if seen == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        seen += 1
    def hook(event, arguments):
        if not action.startswith("s3-") and (event in CHANGES or (event == "open" and isinstance(arguments[1], str) and "w" in arguments[1])):
            change()
    kill_actions.on_request(change)
    sys.addaudithook(hook)
    kill_actions.ACTIONS[action](home)
    return seen
for line in sys.stdin:
    action, home, moment = json.loads(line)
    reading, writing = os.pipe()
    process = os.fork()
    if not process:
        code = 1
        try:
            os.write(writing, str(run(action, home, moment)).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    _, status = os.waitpid(process, 0)
    print(json.dumps([os.waitstatus_to_exitcode(status), os.read(reading, 99).decode()]), flush=True)
    os.close(reading)
"""


@dataclass
class Killer:
    """The server; ``run`` makes it act."""

    _process: subprocess.Popen[str]

    def run(self, action: str, home: str | Path, moment: int = -1) -> tuple[bool, int]:
        """Run an action of ``kill_actions``, killed before its change number ``moment``.

        Returns:
            Whether it was killed, and how many changes it made where it was not.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps([action, str(home), moment]), file=self._process.stdin, flush=True)
        code, changes = json.loads(self._process.stdout.readline())
        assert code in (0, -9), f"{action} failed; its error is above"
        return code == -9, int(changes or 0)


@contextlib.contextmanager
def killer(environment: Mapping[str, Any] | None = None) -> Iterator[Killer]:
    """A server that ends with the block."""
    variables = {**os.environ, **(environment or {}), "PYTHONPATH": str(ROOT), "POLARS_MAX_THREADS": "1", "ARROW_IO_THREADS": "1"}
    with subprocess.Popen([sys.executable, "-c", _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=variables) as process:
        try:
            yield Killer(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(30)
