"""The reference of profile keys is that of the settings models."""

from __future__ import annotations

import re

from dagster_project.profile import Profile, _key_paths, is_section
from dagster_project.profile_reference import profile_reference, sections
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "profile-keys.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == profile_reference(), "write it again: transumanza profile --keys > docs/profile-keys.md"


def test_every_key_stands_in_it() -> None:
    page = profile_reference()
    described = set(re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE))
    headings = set(re.findall(r"^## `([^`]+)`", page, re.MULTILINE))
    for path in _key_paths(Profile):
        section = path.rpartition(".")[0]
        assert path in described or any(heading == path or heading.startswith(path + ".") for heading in headings) or section in headings, path


def test_every_key_says_what_it_means() -> None:
    """A value by its own description, a section by that of its model."""
    silent = set()
    for path, model, _ in sections(Profile):
        if not (model.__doc__ or "").strip():
            silent.add(path)
        silent |= {f"{path}.{name}".lstrip(".") for name, field in model.model_fields.items() if not (is_section(field.annotation) or (field.description or "").strip())}
    assert not silent


def test_a_list_by_kind_is_one_key() -> None:
    page = profile_reference()
    assert "| `language.source_tasks` | NAME: list of text | `{}` | Regular expressions" in page and "source_tasks.root" not in page


def test_types_defaults_and_run_keys_are_told() -> None:
    page = profile_reference()
    assert "| `workers` | whole number, ≥ 1 | `1` | **run** Processes of a sharded run; never changes a result. |" in page
    assert "| `corpus.web.decisions.rules` | file | `rules/transumanza.yaml` |" in page
    assert "| `corpus.web.snapshot.corpora.NAME.location` | text | required |" in page
    assert "`training.base` with `kind: hub`" in page
