"""The difference between trained weights and their base: what is given on where the base itself must not be.

For every tensor the bit patterns are subtracted as integers (modulo their width), so that base plus difference is the
trained weights to the last bit, which a difference of floating-point numbers is not. A tensor that did not change is
left out. Everything else of the trained folder (config, tokenizer, chat template) is small and goes along as it is.
Digests of base and result are in ``difference.json``; both are checked when the difference is applied.
"""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from foundation.settings import file_sha256
from training.errors import ExportError
from training.exports.folders import new_folder
from training.weights import weight_places, weights_digest

if TYPE_CHECKING:
    import torch

RECORD = "difference.json"
FORM = "integer difference of bit patterns, modulo 2^16 or 2^32"


@dataclass(frozen=True)
class Difference:
    """What was written: tensors in all, those that changed, and the digests of both sides."""

    tensors: int
    changed: int
    base_sha256: str
    result_sha256: str


def write_difference(base: Path, trained: Path, target: Path, *, base_name: str) -> Difference:
    """Write the difference of two checkpoints into a new folder.

    Args:
        base: the checkpoint that training started from.
        trained: a checkpoint with the same tensors.
        target: the folder to make.
        base_name: how the base is called for whoever has to find it.

    Raises:
        ExportError: the folder exists, or the two do not have the same tensors.
    """
    places, before = weight_places(trained), weight_places(base)
    _same_names(places, before, trained, base)
    with new_folder(target) as part:
        changed = _write_deltas(before, places, part)
        digests = weights_digest(base), weights_digest(trained)
        found = Difference(len(places), changed, *digests)
        document: dict[str, Any] = {"form": FORM, "base": base_name, **vars(found), "weight_files": _by_file(places), "files": {}}
        for path in sorted(path for path in trained.rglob("*") if path.is_file()):
            name = path.relative_to(trained).as_posix()
            document["files"][name] = file_sha256(path)
            if name not in document["weight_files"]:
                (part / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, part / name)
        (part / RECORD).write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return found


def _write_deltas(before: dict[str, Path], places: dict[str, Path], part: Path) -> int:
    """Write a file of deltas for each weight file; returns how many tensors changed."""
    changed = 0
    for shard, names in _by_file(places).items():
        deltas = {name: delta for name in names if (delta := _delta(name, _tensor(before[name], name), _tensor(places[name], name))) is not None}
        changed += len(deltas)
        _save(deltas, part / shard)
    return changed


def apply_difference(base: Path, difference: Path, target: Path) -> str:
    """Write base plus difference into a new folder; returns the digest of the weights.

    Nothing is written where the base is another one; a folder that did not come out as it should is removed again.

    Raises:
        ExportError: the base is not the one that the difference was made from, the difference is damaged, the folder
            exists, or the result is not what was trained.
    """
    document = _record(difference)
    found = weights_digest(base)
    if found != document["base_sha256"]:
        raise ExportError(
            f"{base} is not the base of this difference: its weights have sha256 {found}, and {document['base']} has "
            f"{document['base_sha256']}; get that checkpoint, in its own type and unchanged"
        )
    with new_folder(target) as part:
        _write_result(base, difference, part, document)
        _check_result(part, document, difference)
    return str(document["result_sha256"])


def _record(folder: Path) -> dict[str, Any]:
    try:
        document = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ExportError(f"{folder / RECORD} cannot be read ({error}); give a folder that `train export --format difference` wrote") from error
    if document.get("form") != FORM:
        raise ExportError(f"{folder / RECORD}: form {document.get('form')!r} is not known; this version reads {FORM!r}")
    outside = [name for name in (*document["files"], *document["weight_files"]) if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts]
    if outside:
        raise ExportError(f"{folder / RECORD} names files outside its folder ({outside[0]}); do not use it")
    return document


def _write_result(base: Path, difference: Path, part: Path, document: dict[str, Any]) -> None:
    before = weight_places(base)
    for shard, names in document["weight_files"].items():
        deltas = _names_in(difference / shard)
        restored = {name: _restored(_tensor(before[name], name), _tensor(difference / shard, name) if name in deltas else None) for name in names}
        _save(restored, part / shard)
    for name in document["files"]:
        if name not in document["weight_files"]:
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copyfile(difference / name, part / name)
            except OSError as error:
                raise ExportError(f"{difference} lacks {name} ({error}); get the difference again") from error


def _check_result(part: Path, document: dict[str, Any], difference: Path) -> None:
    found = weights_digest(part)
    if found != document["result_sha256"]:
        raise ExportError(f"base plus {difference} has sha256 {found} instead of {document['result_sha256']}; the difference was damaged, get it again")
    wrong = [name for name, digest in document["files"].items() if name not in document["weight_files"] and file_sha256(part / name) != digest]
    if wrong:
        raise ExportError(f"{difference}: {', '.join(wrong)} was changed since the difference was written; get it again")


def _names_in(path: Path) -> set[str]:
    """Names of the tensors in one weight file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as tensors:
            return set(tensors.keys())
    except (OSError, SafetensorError) as error:
        raise ExportError(f"{path} cannot be read ({error}); get the difference again") from error


def _same_names(places: dict[str, Path], before: dict[str, Path], trained: Path, base: Path) -> None:
    odd = sorted(set(places) ^ set(before))
    if odd:
        raise ExportError(f"{trained} and {base} do not hold the same tensors ({odd[0]} and {len(odd) - 1} more); a difference needs the model's own base")


def _by_file(places: dict[str, Path]) -> dict[str, list[str]]:
    files: dict[str, list[str]] = defaultdict(list)
    for name, path in places.items():
        files[path.name].append(name)
    return dict(sorted(files.items()))


def _tensor(path: Path, name: str) -> torch.Tensor:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as tensors:
        return tensors.get_tensor(name)


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    """The bit patterns as signed integers of the same width; their sums wrap around."""
    import torch

    widths = {2: torch.int16, 4: torch.int32}
    if tensor.element_size() not in widths:
        raise ExportError(f"weights of type {tensor.dtype} have no difference here; 16- and 32-bit types have")
    return tensor.contiguous().view(widths[tensor.element_size()])


def _delta(name: str, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor | None:
    import torch

    if before.dtype != after.dtype or before.shape != after.shape:
        raise ExportError(f"{name} is {before.dtype} {list(before.shape)} in the base and {after.dtype} {list(after.shape)} in the model; a difference needs one type and shape")
    old, new = _bits(before), _bits(after)
    return None if torch.equal(old, new) else new - old


def _restored(before: torch.Tensor, delta: torch.Tensor | None) -> torch.Tensor:
    if delta is None:
        return before
    bits = _bits(before)
    if bits.dtype != delta.dtype or bits.shape != delta.shape:
        raise ExportError(f"the difference is {delta.dtype} {list(delta.shape)} where the base is {before.dtype} {list(before.shape)}; get the difference again")
    return (bits + delta).view(before.dtype)


def _save(tensors: dict[str, torch.Tensor], path: Path) -> None:
    from safetensors.torch import save_file

    save_file(tensors, path, metadata={"format": "pt"})
    path.chmod(0o644)
