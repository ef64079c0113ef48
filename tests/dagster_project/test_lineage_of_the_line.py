"""Lineage end to end on the real smoke line: one threshold, hop by hop, by Dagster's GraphQL, by `status` and by automation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from dagster_project.build import build_defs
from dagster_project.factory import Factory
from dagster_project.instance import dagster_home
from dagster_project.profile import load_profile
from dagster_project.staleness import states, would_follow
from dagster_project.whole_line import materialize_everything
from foundation.settings import PROFILES_ROOT
from foundation.sources.data import DataFolder
from tests.conftest import CACHE
from tests.dagster_project.dagster_view import stale_by_graphql
from tests.dagster_project.toy_line import materialize

pytestmark = pytest.mark.services


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose smoke line is made, by Dagster."""
    folder = tmp_path / "home"
    folder.mkdir()
    CACHE.mkdir(parents=True, exist_ok=True)
    (folder / "cache").symlink_to(CACHE)
    monkeypatch.setenv("DAGSTER_HOME", str(dagster_home(folder, "smoke")))
    assert materialize_everything(factory(folder))
    return folder


@pytest.fixture
def instance(home: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.get() as made:
        yield made


def factory(home: Path, words: int | None = None) -> Factory:
    """The smoke line, whose rule on short documents asks for so many words."""
    if words is None:
        return Factory(load_profile("smoke", []), home, DataFolder(None))
    text = (PROFILES_ROOT / "rules/transumanza.yaml").read_text(encoding="utf-8")
    here = "id: short_document, signal: words, comparison: at_least, threshold: 50"
    assert here in text
    rules = home / f"rules-{words}.yaml"
    rules.write_text(text.replace(here, here.replace("50", str(words))), encoding="utf-8")
    return Factory(load_profile("smoke", [f"corpus.web.decisions.rules={rules}"]), home, DataFolder(None))


def stale(made: Factory, instance: dg.DagsterInstance) -> list[str]:
    """What is stale by `status`, and by GraphQL the same."""
    ours = [state.asset if state.partition is None else f"{state.asset}[{state.partition}]" for state in states(made) if state.state == "stale"]
    assert sorted(stale_by_graphql(made, instance)) == sorted(ours)
    return ours


def test_one_threshold_end_to_end(home: Path, instance: dg.DagsterInstance) -> None:
    plain = factory(home)
    (snapshot,) = plain.loaded.profile.snapshots
    assert stale(plain, instance) == []
    tick = dg.evaluate_automation_conditions(build_defs(plain), instance)
    assert tick.total_requested == 0
    words = plain.workplace.store.resolve("signals", snapshot, ref="smoke").read("signals")["words"]
    assert not (words == 50).any()
    same = factory(home, 51)  # no document has 50 words
    assert stale(same, instance) == [f"decisions[{snapshot}]"]
    follow = would_follow(same, states(same))
    assert follow[0] == "clean_corpus" and {"adaptation_tokens", "adapted_model", "chat_model", "model_release"} <= set(follow)
    assert materialize(same, instance, ["decisions"], snapshot)
    assert stale(same, instance) == [], "the same rows"

    other = factory(home, 128)  # 8 documents are left, and other tokens of them; with 122 the budget would be filled by the same ones
    assert stale(other, instance) == [f"decisions[{snapshot}]"]
    assert materialize(other, instance, ["decisions"], snapshot)
    assert stale(other, instance) == ["clean_corpus"]
    tick = dg.evaluate_automation_conditions(build_defs(other), instance, cursor=tick.cursor)
    assert tick.total_requested == 0, "only the training group is automatic"
    assert materialize(other, instance, ["clean_corpus"])
    assert set(stale(other, instance)) == {"adaptation_tokens", "language_report", "corpus_release"}
    asked = []
    for _ in range(6):
        tick = dg.evaluate_automation_conditions(build_defs(other), instance, cursor=tick.cursor)
        requested = {asset for asset in other.stages if tick.get_requested_partitions(dg.AssetKey(asset))}
        if not requested:
            break
        asked.append(requested)
        assert materialize(other, instance, sorted(requested))
    assert asked == [{"adaptation_tokens"}, {"adapted_model"}, {"adapted_chat_model", "instruction_model", "evalita_model"}, {"chat_model"}]
    assert not {asset for asset in stale(other, instance) if other.stages[asset].group == "training"}

    none = factory(home, int(words.max() or 0) + 1)  # type: ignore[arg-type]
    assert not materialize(none, instance, ["decisions"], snapshot)
    found = {state.asset: state for state in states(none)}
    assert found["decisions"].state == "failed" and "some_pass is 0" in found["decisions"].reasons[0]
    assert found["clean_corpus"].state == "waiting"
    assert not materialize(none, instance, ["clean_corpus"])
    tick = dg.evaluate_automation_conditions(build_defs(none), instance, cursor=tick.cursor)
    assert tick.total_requested == 0, "a gate failed"
