"""Profiles: inheritance, overrides, and errors that name profile, key and fix."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from dagster_project.profile import MAX_SNAPSHOTS, ProfileError, available_profiles, load_profile
from foundation.settings import PROFILES_ROOT


@pytest.mark.parametrize("name", available_profiles())
def test_every_profile_of_the_project_is_valid(name: str) -> None:
    loaded = load_profile(name, [])
    assert loaded.profile.name == name
    assert loaded.sections["language.words"].stop_words  # type: ignore[attr-defined]


def test_overrides_and_inheritance_are_recorded(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(yaml.safe_dump({"extends": "smoke", "name": "mine", "snapshots": ["SAMPLE-2026-02"]}))
    loaded = load_profile(str(mine), ["seed=7"])
    smoke = load_profile("smoke", [])
    assert (loaded.profile.name, loaded.profile.seed, loaded.profile.snapshots) == ("mine", 7, ("SAMPLE-2026-02",))
    assert loaded.profile.training == smoke.profile.training
    assert loaded.values["seed"] == 7 and loaded.overrides == ("seed=7",)


def test_environment_chooses_profile_and_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSUMANZA_PROFILE", "smoke")
    monkeypatch.setenv("TRANSUMANZA_SET", "seed=3; workers=2")
    profile = load_profile().profile
    assert (profile.name, profile.seed, profile.workers) == ("smoke", 3, 2)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["sed=1"], r"profile smoke: sed: unknown key; did you mean 'seed'"),
        (["corpus.web.docments=1"], r"corpus\.web\.docments: unknown key; did you mean 'documents'"),
        (["seed=many"], r"seed: .*integer.*it is 'many'"),
        (["seed"], r"expected key=value"),
        (["seed.x=1"], r"seed is a value, not a section"),
        (["seed=[1"], r"the value is not YAML"),
        (["snapshots=[]"], r"snapshots: .*at least 1"),
        (["snapshots=[a, a]"], r"named twice"),
        (["language=languages/xyz.yaml"], r"there is no file 'languages/xyz.yaml'.*languages/ita.yaml"),
    ],
)
def test_wrong_values_are_explained(overrides: list[str], message: str) -> None:
    with pytest.raises(ProfileError, match=message):
        load_profile("smoke", overrides)


def test_unknown_profile_and_circle_are_explained(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="did you mean 'demo'"):
        load_profile("dmeo", [])
    circle = tmp_path / "circle.yaml"
    circle.write_text(f"extends: {circle}\nname: circle\n")
    with pytest.raises(ProfileError, match="circle"):
        load_profile(str(circle), [])
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: [")
    with pytest.raises(ProfileError, match=r"broken\.yaml cannot be read as YAML"):
        load_profile(str(broken), [])


def test_fewer_snapshots_than_where_dagster_stops_tracking() -> None:
    many = ",".join(f"S{index}" for index in range(MAX_SNAPSHOTS + 1))
    with pytest.raises(ProfileError, match="at most 99"):
        load_profile("smoke", [f"snapshots=[{many}]"])


def test_the_paper_s_recipe_wants_a_token_budget(tmp_path: Path) -> None:
    """Every value that is not the paper's is marked; the budget, which nobody knows, cannot be left out."""
    path = PROFILES_ROOT / "llamantino-7b.yaml"
    lines = path.read_text(encoding="utf-8").splitlines()
    (tmp_path / "mine.yaml").write_text("\n".join(line for line in lines if "token_budget" not in line), encoding="utf-8")
    with pytest.raises(ProfileError, match=r"token_budget is missing.*Set training.tokens.token_budget"):
        load_profile(str(tmp_path / "mine.yaml"), [])
    hyperparameters = ("rank", "learning_rate", "schedule", "warmup_steps", "weight_decay", "rows_per_step", "epochs", "optimizer", "token_budget")
    unmarked = [line for line in lines if re.match(rf"\s+(lora: \{{ )?({'|'.join(hyperparameters)}): ", line) and "# proxy" not in line and "# paper" not in line]
    assert unmarked == []


def test_another_kind_takes_nothing_from_the_one_below(tmp_path: Path) -> None:
    """`extends: demo` with a base model of one's own: the demo's keys for SmolLM2 are none of a folder's."""
    path = tmp_path / "mine.yaml"
    path.write_text("extends: demo\ntraining: {base: {kind: folder, path: /models/mine, licence: MIT}, tokens: {token_budget: 7}}\n", encoding="utf-8")
    training = load_profile(str(path), []).profile.training
    assert training.base.kind == "folder" and training.tokens.token_budget == 7 and training.tokens.row_tokens == 512
