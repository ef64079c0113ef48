"""Build records: how a version came to be. Append-only, one JSON file per fingerprint.

The manifest of a version holds content; everything that may differ between two builds of the same content (time, host,
package versions, gate results) is here.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import importlib.metadata
import json
import os
import platform
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from foundation.store.errors import GateFailed, StoreError
from foundation.store.layout import asset_name

RECORDED_PACKAGES = (
    "transumanza", "numpy", "polars", "pyarrow", "datatrove", "fastwarc", "resiliparse", "trafilatura", "spacy",
    "fasttext-numpy2-wheel", "numba", "ctranslate2", "argostranslate", "sentencepiece", "torch", "transformers", "peft",
    "bitsandbytes", "accelerate", "tokenizers", "safetensors", "gguf",
)  # fmt: skip


@dataclass(frozen=True)
class GateResult:
    """The verdict of one gate: a measured value against its threshold.

    A failed gate never unpublishes anything; it makes the reference to this build an error for whoever resolves it.
    """

    name: str
    passed: bool
    value: float | int | str | None
    threshold: float | int | str | None
    description: str = ""

    @property
    def verdict(self) -> str:
        """What was found against what was wanted, and what it means, on one line."""
        return f"{self.name} is {self.value}, threshold {self.threshold}" + (f" ({self.description})" if self.description else "")


@dataclass(frozen=True)
class Fingerprint:
    """Everything that decides what a build makes; its hash is known before any work is done."""

    asset: str
    code_version: str
    config: Mapping[str, Any]
    upstream: Mapping[str, Any]
    seed: int
    user_files: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)

    def hexdigest(self) -> str:
        """First 32 hex digits of the sha256 of the canonical JSON form."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class BuildRecord:
    """One build of one asset, as kept in ``builds/<fingerprint>.json``."""

    fingerprint: str
    asset: str
    partition: str | None
    version: str
    data_version: str
    inputs: Mapping[str, Any]
    gates: tuple[GateResult, ...]
    statistics: Mapping[str, Any]
    observations: Mapping[str, Any]
    profile: str
    run: str
    started_at: str
    seconds: float
    environment: Mapping[str, Any]

    @property
    def passed(self) -> bool:
        """Whether every gate passed."""
        return all(gate.passed for gate in self.gates)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, sort_keys=True, ensure_ascii=False) + "\n"

    @classmethod
    def read(cls, path: Path) -> BuildRecord:
        """The record in a file.

        Raises:
            FileNotFoundError: there is none.
            StoreError: the file is not a whole build record.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            values["gates"] = tuple(GateResult(**gate) for gate in values["gates"])
            return cls(**values)
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{path} is not a build record ({error}); restore it from a copy or delete it") from error


def read_builds_of(path: Path, version: str) -> list[BuildRecord]:
    """The record in a file where its version begins so, else none; files that do not speak of it are not parsed.

    Raises:
        FileNotFoundError: there is no file.
        StoreError: the file is not a whole build record.
    """
    if version and f'"version": "{version}'.encode() not in path.read_bytes():
        return []
    record = BuildRecord.read(path)
    return [record] if record.version.startswith(version) else []


def check_gates(record: BuildRecord, allowed: Collection[str]) -> None:
    """See that a build may be read.

    Raises:
        GateFailed: it failed a gate, and its asset is not among those ``allowed`` by name.
    """
    failed = [gate for gate in record.gates if not gate.passed]
    if failed and record.asset not in allowed:
        verdicts = "; ".join(gate.verdict for gate in failed)
        raise GateFailed(
            f"{asset_name(record.asset, record.partition)}@{record.version} failed its gates: {verdicts}. Mend its inputs or settings "
            f"and materialize it again, or allow it by name with `--set allow_failed_gates='[{record.asset}]'`"
        )


def write_once(path: Path, text: str) -> bool:
    """Write a file that must never change: whole or not at all, and only if it is not there yet.

    Returns:
        Whether this call wrote it; ``False`` when another build was first.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        with temporary.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.link(temporary, path)
        return True
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)


def replace_atomically(path: Path, text: str) -> None:
    """Write a small file so that readers see the old or the new text, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        with temporary.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def environment(extra_packages: Sequence[str] = ()) -> dict[str, Any]:
    """Package versions and hardware of this process, for the build record."""
    packages = {}
    for name in (*RECORDED_PACKAGES, *extra_packages):
        try:
            packages[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "packages": packages,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
        **hardware(),
    }


def hardware() -> dict[str, Any]:
    """Processor, cores, memory in GiB and NVIDIA GPUs of this machine, as Linux tells of them; elsewhere what is known."""
    found: dict[str, Any] = {"cpus": os.cpu_count(), "gpus": []}
    with contextlib.suppress(OSError):
        models = re.findall(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
        found |= {"cpu": models[0]} if models else {}
    with contextlib.suppress(OSError, ValueError):
        found["memory_gib"] = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        with contextlib.suppress(OSError):
            found["gpus"] += re.findall(r"^Model:\s*(.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return found


def now() -> str:
    """The present time in UTC, ISO 8601, whole seconds."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
