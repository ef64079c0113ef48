"""The profile: every choice a user makes, composed of the workshops' own settings models.

A profile is a YAML file: by name below ``profiles/``, or any path. ``extends:`` inherits from another one, ``--set
key=value`` (or ``TRANSUMANZA_SET``, separated by ``;``) changes single keys; both are part of the recorded profile.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard, get_args, get_origin

import yaml
from pydantic import BaseModel, Field, RootModel, ValidationError, field_validator, model_validator

from corpus.evalita.settings import EvalitaSettings
from corpus.web.settings import WebSettings
from foundation.errors import TransumanzaError
from foundation.execution import ExecutionSettings
from foundation.language.settings import LanguageSettings
from foundation.release import ReleaseSettings
from foundation.settings import PROFILES_ROOT, Settings, run_key
from training.settings import TrainingSettings
from translation.settings import TranslationSettings

DEFAULT_PROFILE = "demo"
MAX_SNAPSHOTS = 99
"""From 100 upstream partitions on, Dagster stops to track staleness without a word (reference: dagster.md, section 6)."""


_UNION_TAGS = {"SmolLM2Base", "TinyBase", "FolderBase", "HubBase", "smollm2", "tiny", "folder", "hub"}
"""Tags that pydantic puts into the path of an error inside a choice of models; they are no keys of a profile."""


class ProfileError(TransumanzaError):
    """A profile, or a key of it, cannot be used."""


class CorpusSettings(Settings):
    """The web corpus."""

    web: WebSettings = WebSettings()


class Profile(Settings):
    """Everything that decides what the factory makes, and how it runs."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", description="Names the profile's references in the store.")
    description: str = Field("", description="What the profile is for, as its report says; it decides nothing.")
    seed: int = Field(description="Seed of every draw.")
    language: LanguageSettings
    snapshots: tuple[str, ...] = Field(min_length=1, max_length=MAX_SNAPSHOTS, description="Sources of documents, oldest first.")
    workers: int = run_key(1, ge=1, description="Processes of a sharded run; never changes a result.")
    execution: ExecutionSettings = run_key(ExecutionSettings(), description="On what sharded runs are run: here, on Slurm, on Ray.")
    allow_failed_gates: tuple[str, ...] = run_key((), description="Assets whose failed gates do not stop what reads them.")
    corpus: CorpusSettings = CorpusSettings()
    evalita: EvalitaSettings = EvalitaSettings()
    translation: TranslationSettings = TranslationSettings()
    training: TrainingSettings = TrainingSettings()
    release: ReleaseSettings = ReleaseSettings()

    @field_validator("name")
    @classmethod
    def _not_reserved(cls, name: str) -> str:
        if name == "tags":
            raise ValueError("'tags' is where the store keeps tags; choose another name")
        return name

    @model_validator(mode="after")
    def _weights_name_snapshots(self) -> Profile:
        unknown = sorted(set(self.training.tokens.weights) - set(self.snapshots))
        if unknown:
            raise ValueError(f"training.tokens.weights names {unknown}, and the profile's snapshots are {list(self.snapshots)}; correct the names, or list the snapshots")
        return self

    @field_validator("snapshots")
    @classmethod
    def _nameable(cls, snapshots: tuple[str, ...]) -> tuple[str, ...]:
        for name in snapshots:
            if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name) or name in {"v", "builds", "refs"}:
                raise ValueError(f"{name!r} cannot name a snapshot; use letters, digits, '.', '_' and '-'")
        if len(set(snapshots)) != len(snapshots):
            raise ValueError("snapshots are named twice; name each once")
        return snapshots


@dataclass(frozen=True)
class LoadedProfile:
    """A validated profile with the values it was made of, as they are recorded with every build."""

    profile: Profile
    values: Mapping[str, Any]
    overrides: tuple[str, ...]

    @property
    def sections(self) -> dict[str, BaseModel]:
        """Every settings model in the profile by its dotted path, such as ``corpus.web.documents``."""
        return dict(_sections(self.profile, ""))


def available_profiles() -> list[str]:
    """Names of the profiles that come with the project."""
    return sorted(path.stem for path in PROFILES_ROOT.glob("*.yaml"))


def load_profile(name: str | None = None, overrides: Sequence[str] | None = None) -> LoadedProfile:
    """The profile of a name or path, with overrides applied and validated.

    Args:
        name: default: ``TRANSUMANZA_PROFILE``, then ``demo``.
        overrides: ``key=value`` with a dotted key and a YAML value; default: ``TRANSUMANZA_SET``.

    Raises:
        ProfileError: an unknown profile or key, or a wrong value; names profile, key and fix.
    """
    name = name or os.environ.get("TRANSUMANZA_PROFILE") or DEFAULT_PROFILE
    if overrides is None:
        overrides = [part.strip() for part in os.environ.get("TRANSUMANZA_SET", "").split(";") if part.strip()]
    values = _read(_path_of(name))
    inside_language = [override for override in overrides if override.startswith("language.")]
    for override in overrides:
        if override not in inside_language:
            _apply(values, override, name)
    recorded = {**yaml.safe_load(yaml.safe_dump(values)), **({"set": list(overrides)} if overrides else {})}
    values = _with_language(values, name)
    for override in inside_language:
        _apply(values, override, name)
    try:
        profile = Profile.model_validate(values)
    except ValidationError as error:
        raise ProfileError(_explain(error, name)) from None
    return LoadedProfile(profile, recorded, tuple(overrides))


def _path_of(name: str, beside: Path | None = None) -> Path:
    """The file of a profile; a path is looked for beside the profile that extends it, then from the current folder."""
    if name.endswith((".yaml", ".yml")) or "/" in name:
        path = next((folder / name for folder in (beside, Path()) if folder is not None and (folder / name).is_file()), Path(name))
    else:
        path = PROFILES_ROOT / f"{name}.yaml"
    if not path.is_file():
        near = difflib.get_close_matches(name, available_profiles(), n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"the project has {available_profiles()}"
        raise ProfileError(f"there is no profile {name!r} (looked for {path}); {hint}")
    return path


def _language_path(name: str, profile: str) -> Path:
    for path in (Path(name), PROFILES_ROOT / name):
        if path.is_file():
            return path
    known = [path.relative_to(PROFILES_ROOT).as_posix() for path in sorted((PROFILES_ROOT / "languages").glob("*.yaml"))]
    raise ProfileError(f"profile {profile}: language: there is no file {name!r}; the project has {known}")


def _with_language(values: dict[str, Any], profile: str) -> dict[str, Any]:
    """The language file in place of its name, and below the profile's values those that follow from the language."""
    language = values.get("language")
    if not isinstance(language, str):
        return values
    chosen = _read_yaml(_language_path(language, profile))
    return _merged(chosen.get("defaults", {}), {**values, "language": chosen})


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ProfileError(f"{path} cannot be read as YAML: {error}") from error
    if not isinstance(values, dict):
        raise ProfileError(f"{path}: expected keys and values, found {type(values).__name__}")
    return values


def _read(path: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """A profile's values on top of those that it extends; without a name it is called as its file."""
    if path in seen:
        circle = " -> ".join(str(part) for part in (*seen, path))
        raise ProfileError(f"profiles extend one another in a circle: {circle}; remove one `extends`")
    values = _read_yaml(path)
    values.setdefault("name", path.stem)
    parent = values.pop("extends", None)
    if parent is None:
        return values
    return _merged(_read(_path_of(str(parent), path.parent), (*seen, path)), values)


def _merged(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings are merged key by key; every other value of ``over`` replaces that of ``base``, and so does one of another ``kind``."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        both = isinstance(value, Mapping) and isinstance(below, Mapping) and value.get("kind", below.get("kind")) == below.get("kind")
        result[key] = _merged(result[key], value) if both else value
    return result


def _apply(values: dict[str, Any], override: str, profile: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ProfileError(f"--set {override!r}: expected key=value, for instance training.adaptation.lora.rank=8")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ProfileError(f"--set {override!r}: the value is not YAML ({error})") from error
    *parents, last = key.strip().split(".")
    node = values
    for parent in parents:
        child = node.setdefault(parent, {})
        if not isinstance(child, dict):
            raise ProfileError(f"profile {profile}: --set {key}: {parent} is a value, not a section")
        node = child
    node[last] = value


def _explain(error: ValidationError, profile: str) -> str:
    problems = []
    for fault in error.errors():
        key = ".".join(str(part) for index, part in enumerate(fault["loc"]) if not (index and fault["loc"][index - 1] in ("base", "chat_base") and part in _UNION_TAGS))
        if fault["type"] == "extra_forbidden":
            known = _known_keys(fault["loc"])
            last = str(fault["loc"][-1])
            near = [path for path in _key_paths(Profile) if path.endswith(f".{last}")][:1] or difflib.get_close_matches(last, known, n=1)
            fix = f"did you mean {near[0]!r}?" if near else f"known keys there: {', '.join(known)}"
            problems.append(f"{key}: unknown key; {fix}")
        else:
            given = "" if fault["type"] == "missing" else f" (it is {fault['input']!r})"
            problems.append(f"{key}: {fault['msg'].removeprefix('Value error, ')}{given}")
    return f"profile {profile}: " + "; ".join(problems)


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = Profile
    inside_many = False
    for part in location[:-1]:
        if inside_many:  # the name of an entry, or its place
            inside_many = False
            continue
        field = model.model_fields.get(str(part))
        nested = _models_in(field.annotation) if field else []
        if not nested:
            return []
        inside_many = get_origin(field.annotation) in (dict, tuple, list)  # type: ignore[union-attr,operator]
        model = nested[0]
    return sorted(model.model_fields)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    candidates = [annotation, *get_args(annotation)]
    return [kind for kind in candidates if is_section(kind)]


def is_section(annotation: Any) -> TypeGuard[type[BaseModel]]:
    """Whether a key is a section with keys of its own. A root model is none: it is the value itself."""
    return isinstance(annotation, type) and issubclass(annotation, BaseModel) and not issubclass(annotation, RootModel)


def _key_paths(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Dotted paths of all keys; entries of mappings and lists are not gone into."""
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}"
        for nested in _models_in(field.annotation) if get_origin(field.annotation) not in (dict, tuple, list) else ():
            yield from _key_paths(nested, f"{prefix}{name}.")


def _sections(model: BaseModel, path: str) -> Iterator[tuple[str, BaseModel]]:
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            inner = f"{path}.{name}" if path else name
            yield inner, value
            yield from _sections(value, inner)
