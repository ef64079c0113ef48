"""The rules of the house: who may import whom, what stays unloaded, how modules are named and how long they are."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WORKSHOPS = ("corpus.web", "corpus.evalita", "translation", "training")
HEAVY = {"torch", "transformers", "datatrove", "ctranslate2", "argostranslate", "spacy", "stanza"}
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc"}
MAX_LINES = 420
PACKAGES = ("foundation", "corpus", "translation", "training", "dagster_project")


def modules() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def _within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def forbidden_for(path: Path) -> tuple[str, ...]:
    """Packages that a module must not import."""
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    if name.startswith("foundation"):
        return (*WORKSHOPS, "corpus", "dagster_project", "dagster")
    for workshop in WORKSHOPS:
        if _within(name, workshop):
            return (*(other for other in WORKSHOPS if other != workshop), "dagster_project", "dagster")
    return ()


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_flow_one_way(path: Path) -> None:
    wrong = [name for name in imports_of(path) for package in forbidden_for(path) if _within(name, package)]
    assert wrong == [], f"{path.relative_to(ROOT)} must not import {wrong}"


def test_the_import_rule_finds_a_breach(tmp_path: Path) -> None:
    breach = tmp_path / "m.py"
    breach.write_text("def f():\n    from translation.settings import TranslationSettings\n")
    assert any(_within(name, "translation") for name in imports_of(breach))
    assert "translation" in forbidden_for(ROOT / "training" / "m.py")


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_are_one_concept_of_reasonable_size(path: Path) -> None:
    assert path.stem not in VAGUE and path.parent.name not in VAGUE, f"{path} needs the name of its concept"
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_LINES, f"{path} has {lines} lines; it is probably two concepts"


def test_definitions_load_nothing_heavy(tmp_path: Path) -> None:
    code = f"import dagster_project.definitions, sys; found = {HEAVY!r} & set(sys.modules); assert not found, found"
    environment = {"PATH": "/usr/bin:/bin", "TRANSUMANZA_HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]


def test_no_language_outside_its_file() -> None:
    """Italian words belong to the language file, EVALITA and the samples; codes in code would make another language a fork."""
    for path in modules():
        name = path.relative_to(ROOT).as_posix()
        if name.startswith("corpus/evalita"):
            continue
        constants = [
            node.value for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        assert not [text for text in constants if text in ("it", "ita", "italian", "italiano")], f"{name} hard-codes a language"
