"""Shard functions of the tests of engines; compute nodes import this module too, so that it imports little."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any


def record(shard: dict[str, Any], output: Path) -> None:
    """Note in ``shard["log"]`` that the shard is done, wait where asked, and write what depends on the shard alone.

    ``fail`` and ``die`` name a file: as long as it is there, the shard raises or kills its own process.
    """
    with Path(shard["log"]).open("a", encoding="utf-8") as log:
        log.write(f"{shard['number']}\n")
    output.write_text("begun")
    time.sleep(shard.get("seconds", 0))
    if "fail" in shard and Path(shard["fail"]).exists():
        raise ValueError(f"bad page in number {shard['number']}")
    if "die" in shard and Path(shard["die"]).exists():
        os.kill(os.getpid(), signal.SIGKILL)
    output.write_text(json.dumps({"number": shard["number"], "square": shard["number"] ** 2}))


def offline(shard: str, output: Path) -> None:
    """Write the environment variable that the shard names."""
    output.write_text(os.environ.get(shard, ""))


def listeners(shard: str, output: Path) -> None:
    """Write the addresses on which the processes of Ray listen now."""
    found = subprocess.run(["ss", "--listening", "--tcp", "--numeric", "--processes", "--no-header"], capture_output=True, text=True, check=True)
    lines = [line for line in found.stdout.splitlines() if any(name in line for name in ('"raylet"', '"gcs_server"', '"ray::'))]
    output.write_text("\n".join(line.split()[3] for line in lines))


def shards_of(folder: Path, numbers: list[int], **more: Any) -> list[dict[str, Any]]:
    """Shards for ``record`` that log into ``folder``."""
    return [{"number": number, "log": str(folder / "log"), **more} for number in numbers]


def done(folder: Path) -> list[int]:
    """Numbers in the order in which their shards were begun."""
    path = folder / "log"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def contents(paths: list[Path]) -> list[bytes]:
    """The results' bytes."""
    return [path.read_bytes() for path in paths]
