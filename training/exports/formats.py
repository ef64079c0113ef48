"""A published model in the form that somebody wants: merged weights, adapter, difference against the base, GGUF.

A command, not an asset: each form follows from a published version alone, takes seconds to minutes, and another form
must never make a model stale, let alone train it again.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from foundation.release.ancestry import ancestry
from foundation.settings import file_sha256
from foundation.sources.licences import licence_of
from foundation.store import PublishedVersion
from training.base import BASE_ASSETS, origin_of
from training.builds.merges import merged_weights
from training.errors import ExportError
from training.exports.difference import write_difference
from training.exports.folders import new_folder
from training.exports.gguf_check import check_gguf
from training.exports.gguf_file import write_gguf
from training.exports.gguf_tensors import GgufType
from training.notices import write_notices

Form = Literal["merged", "adapter", "difference", "gguf"]
RECORD = "export.json"


@dataclass(frozen=True)
class Exported:
    """What was written: the folder, its bytes, and what was found on the way (digests, or how GGUF read back)."""

    folder: Path
    bytes: int
    findings: Mapping[str, Any] = field(default_factory=dict)


def export_model(model: PublishedVersion, form: Form, target: Path, kind: GgufType = "f16") -> Exported:
    """Write a published model into a new folder, with its licence and ``export.json``, the record of what it is.

    Args:
        model: a version of a trained model.
        form: what to write.
        target: the folder to make.
        kind: the type of the matrices, for GGUF.

    Raises:
        MergeError: it has no merged weights.
        ExportError: it cannot be written in this form, or does not read back as it is.
    """
    base = base_behind(model)
    with new_folder(target) as part:
        findings = _WRITERS[form](model, base, part, kind)
        write_notices(base.files, origin_of(base.files)["licence"], part)
        for path in part.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)  # transformers writes weights for their owner alone
        files = {path.relative_to(part).as_posix(): file_sha256(path) for path in sorted(part.rglob("*")) if path.is_file()}
        origin = origin_of(base.files)
        document = {"model": str(model), "data_version": model.data_version, "form": form, "base": {**origin, "version": str(base)}, "files": files, "findings": findings}
        (part / RECORD).write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        size = sum(path.stat().st_size for path in part.rglob("*") if path.is_file())
    return Exported(target, size, findings)


def base_behind(model: PublishedVersion) -> PublishedVersion:
    """The base model that a trained model comes from.

    Raises:
        ExportError: its build records do not lead to one, or it is itself a base.
    """
    if model.asset in BASE_ASSETS:
        raise ExportError(f"{model} is a base, not a trained model; name a trained one. The base's own files are in {model.files}")
    found = next((ancestor.version for ancestor in ancestry([model]) if ancestor.version.asset in BASE_ASSETS), None)
    if found is None:
        raise ExportError(f"no base model is found behind {model}; name a trained model, whose builds are recorded in this store")
    return found


def _merged(model: PublishedVersion, _base: PublishedVersion, part: Path, _kind: GgufType) -> dict[str, Any]:
    shutil.copytree(merged_weights(model), part, dirs_exist_ok=True, copy_function=shutil.copyfile)
    return {}


def _adapter(model: PublishedVersion, _base: PublishedVersion, part: Path, _kind: GgufType) -> dict[str, Any]:
    folder = model.files / "adapter"
    if not folder.is_dir():
        raise ExportError(f"{model} has no adapter: all its weights were trained. Export it as merged, difference or gguf")
    shutil.copytree(folder, part, dirs_exist_ok=True, copy_function=shutil.copyfile)
    return {}


def _difference(model: PublishedVersion, base: PublishedVersion, part: Path, _kind: GgufType) -> dict[str, Any]:
    origin = origin_of(base.files)
    part.rmdir()  # it is made whole or not at all
    found = write_difference(base.files, merged_weights(model), part, base_name=f"{origin['name']} ({origin['source']})")
    return vars(found)


def _gguf(model: PublishedVersion, base: PublishedVersion, part: Path, kind: GgufType) -> dict[str, Any]:
    origin = origin_of(base.files)
    path = part / f"{model.asset.replace('_', '-')}-{kind.upper()}.gguf"
    write_gguf(merged_weights(model), path, kind, name=f"{model.asset} of {origin['name']}", licence=licence_of(origin["licence"]).hub)
    return vars(check_gguf(path, merged_weights(model), kind))


_WRITERS: Mapping[Form, Callable[[PublishedVersion, PublishedVersion, Path, GgufType], dict[str, Any]]] = {
    "merged": _merged,
    "adapter": _adapter,
    "difference": _difference,
    "gguf": _gguf,
}
FORMS = tuple(_WRITERS)
