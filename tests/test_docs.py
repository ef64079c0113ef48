"""Pages of docs/ and deploy/ stay true: profiles in them load, commands in them exist, links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from dagster_project.cli import app
from dagster_project.profile import load_profile
from tests.conftest import ROOT

PAGES = sorted([*(ROOT / "docs").glob("*.md"), *(ROOT / "deploy").glob("*.md"), ROOT / "README.md"])


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def profiles() -> list[tuple[str, str]]:
    return [(page.name, text) for page in PAGES for text in blocks(page, "yaml") if "extends:" in text]


def commands(page: Path) -> list[str]:
    text = page.read_text(encoding="utf-8")
    lines = [line.split("   ")[0].split(" #")[0] for block in blocks(page, "") for line in block.splitlines()]
    return [line.strip() for line in [*lines, *re.findall(r"`(transumanza [^`]+)`", text)] if line.strip().startswith("transumanza ")]


@pytest.mark.parametrize(("page", "text"), profiles(), ids=lambda value: value.splitlines()[0][:40])
def test_profiles_on_pages_are_valid(page: str, text: str, tmp_path: Path) -> None:
    text = re.sub(r"<40 hex digits of a commit>", "0" * 40, text)
    assert yaml.safe_load(text), page
    (tmp_path / "profile.yaml").write_text(text, encoding="utf-8")
    load_profile(str(tmp_path / "profile.yaml"), [])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_on_pages_exist(page: Path) -> None:
    root = typer.main.get_command(app)
    for command in commands(page):
        for part in command.split(" · "):  # tables name several at once
            words = shlex.split(part.split(" && ")[0].split(" > ")[0])[1:]
            found: Any = root
            path: list[str] = []
            while words:
                word = words.pop(0)
                if word.startswith("-"):
                    known = {option for parameter in found.params for option in parameter.opts}
                    assert word.split("=")[0] in known, f"{page.name}: {part}: {' '.join(path)} has no option {word}"
                    takes_value = not any(word in parameter.opts and getattr(parameter, "is_flag", False) for parameter in found.params)
                    words = words[1:] if takes_value and "=" not in word else words
                elif hasattr(found, "commands"):
                    path.append(word)
                    if word in ("…", "..."):
                        break
                    assert word in found.commands, f"{page.name}: {part}: there is no command {' '.join(path)}"
                    found = found.commands[word]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
