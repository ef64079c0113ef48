"""Typed settings: the base model of every profile section, and which of its keys shape content.

A *content* key changes rows, so it counts in the fingerprint and in the code version that Dagster shows. A *run* key
(workers, batch size, executor, cache folder) changes only how the work is done; it never counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path, PurePath, PurePosixPath
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from foundation.errors import TransumanzaError

PROFILES_ROOT = Path(__file__).resolve().parents[1] / "profiles"
"""The folder of profiles, language files and rule sets that comes with the project."""

_RUN_KEY: dict[str, JsonValue] = {"run": True}


class SettingsError(TransumanzaError):
    """A settings value or a file that it names cannot be used."""


class Settings(BaseModel):
    """Base of all settings models: unknown keys are rejected and values never change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


def run_key(default: Any, **field_arguments: Any) -> Any:
    """A field that changes how the work runs and never what comes out of it."""
    return Field(default, json_schema_extra=_RUN_KEY, **field_arguments)


class _FileReference:
    """Marks a path whose file content, not its name, counts as content."""


def _existing(path: Path) -> Path:
    resolved = path if path.is_absolute() else PROFILES_ROOT / path
    if not resolved.is_file():
        raise ValueError(f"no such file: {path} (looked for {resolved}); name an existing file, relative to profiles/")
    return resolved


ReferencedFile = Annotated[Path, AfterValidator(_existing), _FileReference()]
"""A file that a settings key names, relative to ``profiles/``; its sha256 stands for it in the fingerprint."""


def _data_file(path: PurePosixPath) -> PurePath:
    return Path(path) if path.is_absolute() else path


DataFile = Annotated[PurePosixPath, AfterValidator(_data_file)]
"""A file of the user's: absolute, or below TRANSUMANZA_DATA. A relative one counts by its name here, whatever lies where the command
runs; its content counts as a user file of the stage."""


def load_yaml(text: str) -> Any:
    """As ``yaml.safe_load``, by libyaml where PyYAML was built with it: some eight times faster.

    Raises:
        yaml.YAMLError: the text is no YAML.
    """
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  # both are safe loaders


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def content_of(settings: BaseModel) -> dict[str, Any]:
    """The content keys of a settings model as JSON values; referenced files appear as ``sha256:<hex>``."""
    content: dict[str, Any] = {}
    for name, field in type(settings).model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, dict) and extra.get("run") is True:
            continue
        value = getattr(settings, name)
        if value is not None and any(isinstance(mark, _FileReference) for mark in field.metadata):
            content[name] = f"sha256:{file_sha256(value)}"
        else:
            content[name] = _json_value(value)
    return content


def _json_value(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return content_of(value)
    if isinstance(value, Mapping):
        return {str(key): _json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(_json_value(item) for item in value)
    if isinstance(value, Path):
        return f"sha256:{file_sha256(value)}" if value.is_file() else value.as_posix()
    if isinstance(value, PurePosixPath):
        return value.as_posix()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if hasattr(value, "value"):  # an enum
        return value.value
    raise SettingsError(f"settings value {value!r} has no JSON form; use plain types in settings models")
