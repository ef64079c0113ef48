"""The page on adding a task: its example is run as it stands, from spreadsheet to score."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from corpus.evalita.settings import InstructionSettings
from corpus.evalita.tasks import TASKS
from tests.corpus.evalita.sampled import copied_samples
from tests.corpus.evalita.test_evalita_formats import workbook
from tests.corpus.evalita.test_evalita_stages import LINE, answering, perfect_and_mute, sections

PAGE = Path(__file__).parents[3] / "docs" / "evalita-tasks.md"


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


def rows(*tweets: tuple[str, str, int]) -> str:
    header = "".join(f'<c r="{letter}1" t="inlineStr"><is><t>{name}</t></is></c>' for letter, name in zip("ABC", ("id", "text", "irony"), strict=True))
    body = "".join(
        f'<row r="{number}"><c r="A{number}" t="inlineStr"><is><t>{tweet}</t></is></c><c r="B{number}" t="inlineStr"><is><t>{text}</t></is></c>'
        f'<c r="C{number}"><v>{label}.0</v></c></row>'
        for number, (tweet, text, label) in enumerate(tweets, start=2)
    )
    return f'<row r="1">{header}</row>{body}'


def test_the_example_of_the_page_is_a_task(stage_runner: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ironita.py"
    path.write_text(block("python"), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("ironita", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    task = module.TASKS[0]
    monkeypatch.setitem(TASKS, task.name, task)
    data = copied_samples(tmp_path / "data", "sentipolc_irony")
    (data / "evalita/ironita-2018").mkdir()
    tested = "910000000000000188"  # in SENTIPOLC's gold test too
    workbook(data / task.files[0].path, rows((tested, "Complimenti per il parcheggio", 1), ("555555555555555555", "Bel tempo oggi", 0), ("555555555555555556", "Che genio, come no", 1)))
    workbook(data / task.files[1].path, rows(("666666666666666666", "Il solito capolavoro", 1), ("666666666666666667", "Si parte alle nove", 0)))
    changes = {
        "raw": {"tasks": ["ironita", "sentipolc_irony"], "accept_changed": ["ironita", "sentipolc_irony"]},
        "instructions": {"tasks": ["ironita"], "evaluation_tasks": ["ironita"], "validation_share": 0},
        "report": {"resamples": 100},
    }
    results = {asset: stage_runner(answering(perfect_and_mute), sections(**changes), asset, data=data) for asset in LINE}
    instructions = results["evalita_instructions"].published
    assert instructions.read("instructions", "train")["item_id"].sort().to_list() == ["ironita/555555555555555555", "ironita/555555555555555556"]
    assert instructions.statistics["left_out"]["ironita"] == {"group_in_test": 1}
    scores = {row["model"]: row for row in results["evalita_report"].published.read("scores").to_dicts()}
    assert (scores["perfect"]["score"], scores["mute"]["score"], scores["perfect"]["metric_verified"]) == (1.0, 0.0, False)


def test_the_profile_of_the_page_is_a_profile() -> None:
    settings = InstructionSettings(**yaml.safe_load(block("yaml"))["evalita"]["instructions"])
    assert settings.tasks == ("nermud/WN", "wic_ita") and settings.held_out_wordings == ("evalita-llm",)
