"""Peers that benchmarks measure against, each in a virtual environment of its own."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

DATATROVE = ("datatrove[io,processing]==0.10.1", "spacy>=3.8", "lxml_html_clean>=0.4.6")
"""datatrove with what its own recipe needs; its trafilatura does not import beside lxml 6 without lxml_html_clean."""


def peer_python(name: str, requirements: Sequence[str], folder: Path) -> Path:
    """The Python of a peer's environment, made below ``folder`` on the first call.

    Raises:
        RuntimeError: pip could not install the peer.
    """
    venv = folder / f"{name}-{hashlib.sha256(' '.join(requirements).encode()).hexdigest()[:8]}"
    python, ready = venv / "bin" / "python", venv / "ready"
    if not ready.is_file():
        print(f"making {venv} with {', '.join(requirements)}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], check=True)
        run = subprocess.run([str(python), "-m", "pip", "install", "--quiet", *requirements], capture_output=True, text=True, check=False)
        if run.returncode:
            last = [line for line in run.stderr.splitlines() if line.startswith("ERROR")]
            raise RuntimeError(f"pip cannot install {name}: {'; '.join(last) or 'no reason given'}; look at the network")
        ready.touch()
    return python
