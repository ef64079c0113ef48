"""The reference of profile keys, written from the settings models themselves: key, type, default, meaning."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence, Set
from enum import Enum
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, RootModel
from pydantic.fields import FieldInfo

from dagster_project.profile import Profile, is_section
from foundation.settings import PROFILES_ROOT

_HEAD = """# Profile keys

Written by `transumanza profile --keys` from the settings models; a test holds it to them. Give a key in a profile's YAML, or as
`--set KEY=VALUE`. `NAME` stands for a name of your choice, `[]` for an entry of a list.

- A key whose meaning begins with **run** changes how work is done and never what comes out: it counts in no version.
- Some defaults follow from the language file (its `defaults:`); `transumanza profile` prints every value that counts.
- A *file* is a path relative to `profiles/`, or absolute; it counts by its content, not by its name.
"""
_NARROW = 100


def profile_reference() -> str:
    """The page, in Markdown."""
    parts = [_HEAD]
    described: dict[type[BaseModel], tuple[str, Mapping[str, str]]] = {}
    for path, model, instance in sections(Profile):
        defaults = {name: _default(field, instance, name) for name, field in model.model_fields.items()}
        where, known = described.setdefault(model, (path, {}))
        shown = [name for name, field in model.model_fields.items() if not is_section(field.annotation) and defaults[name] != known.get(name)]
        if where == path:
            described[model] = (path, defaults)
        about = " ".join((model.__doc__ or "").split()) if where == path else f"The keys of `{where}`" + (", with other defaults:" if shown else ".")
        rows = [_row(path, name, model.model_fields[name], defaults[name]) for name in shown]
        if rows or where != path:
            table = "\n\n| key | type | default | meaning |\n|---|---|---|---|\n" + "\n".join(rows) if rows else ""
            parts.append(f"\n## {_title(path, model)}\n\n{about}{table}\n")
    return "".join(parts)


def _title(path: str, model: type[BaseModel]) -> str:
    kind = model.model_fields.get("kind")
    choice = get_args(kind.annotation) if kind is not None and get_origin(kind.annotation) is Literal else ()
    return f"`{path}`" + (f" with `kind: {choice[0]}`" if len(choice) == 1 else "") if path else "The profile itself"


def sections(model: type[BaseModel], path: str = "", instance: BaseModel | None = None) -> Iterator[tuple[str, type[BaseModel], BaseModel | None]]:
    """Every settings model by the path of its keys and with its default values, in the order of the profile; variants and entries too."""
    yield path, model, instance
    for name, field in model.model_fields.items():
        inner = f"{path}.{name}" if path else name
        default = getattr(instance, name) if instance is not None else field.default
        for suffix, nested in _models_in(field.annotation):
            yield from sections(nested, inner + suffix, default if isinstance(default, nested) else None)


def _models_in(annotation: Any, suffix: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Settings models in an annotation, with what stands between the key and theirs."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if is_section(annotation):
        yield suffix, annotation
    elif origin is Annotated:
        yield from _models_in(arguments[0], suffix)
    elif origin in (Union, types.UnionType):
        for argument in arguments:
            yield from _models_in(argument, suffix)
    elif origin in (dict, Mapping):
        yield from _models_in(arguments[1], f"{suffix}.NAME")
    elif origin in (tuple, list, frozenset, set, Sequence, Set):
        yield from _models_in(arguments[0], f"{suffix}[]")


def _row(path: str, name: str, field: FieldInfo, default: str) -> str:
    extra = field.json_schema_extra
    run = isinstance(extra, dict) and extra.get("run") is True
    meaning = " ".join((field.description or "").split())
    cells = (f"`{path}.{name}`" if path else f"`{name}`", _type(field), default, ("**run** " if run else "") + meaning)
    return "| " + " | ".join(cell.replace("|", "\\|").strip() for cell in cells) + " |"


def _type(field: FieldInfo) -> str:
    is_file = any(type(mark).__name__ == "_FileReference" for mark in field.metadata)
    bounds = [f"{sign} {value}" for mark in field.metadata for sign, value in _bounds(mark)]
    return ("file" if is_file else _spelled(field.annotation)) + (f", {', '.join(bounds)}" if bounds else "")


def _bounds(mark: object) -> Iterator[tuple[str, Any]]:
    for name, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<")):
        value = getattr(mark, name, None)
        if value is not None:
            yield sign, value


def _spelled(annotation: Any) -> str:
    """A type in the words of a YAML file."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in _WORDS:
        return _WORDS[annotation]
    if origin is Annotated:
        return _spelled(arguments[0])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_spelled(argument) for argument in arguments))
    if origin in (dict, Mapping):
        return f"NAME: {_spelled(arguments[1])}"
    if origin in (tuple, list, frozenset, set, Sequence, Set):
        inside = [_spelled(argument) for argument in arguments if argument is not Ellipsis]
        return f"list of {inside[0]}" if len(set(inside)) == 1 else f"[{', '.join(inside)}]"
    if is_section(annotation):
        return "section"
    if isinstance(annotation, type) and issubclass(annotation, RootModel):
        return _spelled(annotation.model_fields["root"].annotation)
    if isinstance(annotation, type) and issubclass(annotation, PurePath):
        return "path"
    return getattr(annotation, "__name__", str(annotation))


_WORDS: dict[Any, str] = {str: "text", int: "whole number", float: "number", bool: "true or false", type(None): "null", Any: "anything"}


def _default(field: FieldInfo, instance: BaseModel | None, name: str) -> str:
    if instance is None and field.is_required():
        return "required"
    default = getattr(instance, name) if instance is not None else field.get_default(call_default_factory=True)
    text = _value(default)
    return f"`{text}`" if len(text) <= _NARROW else f"`{text[:_NARROW]}…`"


def _value(value: Any) -> str:
    """A value in YAML's flow style."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, RootModel):
        return _value(value.root)
    if isinstance(value, BaseModel):
        return _value({name: getattr(value, name) for name in type(value).model_fields})
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Path) and value.is_relative_to(PROFILES_ROOT):
        return value.relative_to(PROFILES_ROOT).as_posix()
    if isinstance(value, list | tuple | set | frozenset):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    return str(value) if str(value) else "''"
