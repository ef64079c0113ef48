"""The asset graph of the design, as Dagster sees it."""

from __future__ import annotations

import re
from pathlib import Path

import dagster as dg
import pytest

from dagster_project.build import build_defs
from dagster_project.factory import Factory, FactoryError, in_order
from dagster_project.instance import environment_lines
from dagster_project.pools import pool_of
from dagster_project.profile import Profile, _key_paths, load_profile
from foundation.sources.data import DataFolder
from foundation.stages import Stage, StageReport

DESIGN = {
    "sources": {"snapshot", "replay_text", "evaluation_text", "base_model", "chat_base_model", "source_chats", "source_instructions", "evalita_raw", "benchmark_sets"},
    "corpus": {"documents", "signals", "decisions", "duplicate_clusters", "clean_corpus"},
    "translation": {"translated_chats", "translated_instructions"},
    "evalita": {"evalita_instructions"},
    "training": {"adaptation_tokens", "adapted_model", "adapted_chat_model", "instruction_model", "evalita_model", "chat_model"},
    "evaluation": {"language_report", "evalita_answers", "evalita_report", "model_comparison"},
    "release": {"corpus_release", "dataset_release", "model_release"},
}  # fmt: skip
PARTITIONED = {"snapshot", "documents", "signals", "decisions"}


def factory(tmp_path: Path, *overrides: str, profile: str = "demo") -> Factory:
    return Factory(load_profile(profile, list(overrides)), tmp_path, DataFolder(None))


def test_every_asset_of_the_design_is_there(tmp_path: Path) -> None:
    made = factory(tmp_path)
    groups: dict[str, set[str]] = {}
    for stage in made.stages.values():
        groups.setdefault(stage.group, set()).add(stage.asset)
    assert groups == DESIGN
    assert {stage.asset for stage in made.stages.values() if stage.partitioned} == PARTITIONED


def test_assets_say_what_they_are(tmp_path: Path) -> None:
    made = factory(tmp_path)
    defs = build_defs(made)
    dg.Definitions.validate_loadable(defs)
    for spec in defs.resolve_all_asset_specs():
        stage = made.stages[spec.key.to_user_string()]
        assert spec.description and len(spec.description) > 60, spec.key
        assert spec.owners and spec.kinds and len(spec.kinds) <= 3, spec.key
        assert spec.code_version == made.code_version(stage)
        assert {dep.asset_key.to_user_string() for dep in spec.deps} == set(stage.upstream)


def test_gates_say_what_they_hold_an_asset_to(tmp_path: Path) -> None:
    made = factory(tmp_path)
    specs = [spec for asset in build_defs(made).resolve_asset_graph().assets_defs for spec in asset.check_specs]
    assert {(spec.asset_key.to_user_string(), spec.name) for spec in specs} == {(stage.asset, gate) for stage in made.stages.values() for gate in stage.gates}
    assert len(specs) > 20 and all(spec.blocking for spec in specs)
    assert not [spec.key for spec in specs if len(spec.description or "") < 20]
    known = set(_key_paths(Profile))
    named = {(spec.name, key) for spec in specs for key in re.findall(r"\b(?:corpus|evalita|translation|training)(?:\.[a-z_]+)+", spec.description or "")}
    assert named and not [pair for pair in named if pair[1] not in known], "a description names a key that the profile has not"


def test_edges_of_the_design(tmp_path: Path) -> None:
    stages = factory(tmp_path).stages
    expected = {
        "documents": {"snapshot"},
        "adapted_chat_model": {"adapted_model"},  # both lines resolve to one recipe in the demo
        "instruction_model": {"adapted_model", "translated_instructions"},
        "evalita_model": {"adapted_model", "evalita_instructions"},
        "chat_model": {"adapted_chat_model", "translated_chats"},
        "adaptation_tokens": {"base_model", "clean_corpus", "replay_text"},
    }
    for asset, upstream in expected.items():
        assert set(stages[asset].upstream) >= upstream, asset
    assert "benchmark_sets" in stages["decisions"].upstream
    assert "benchmark_sets" in stages["translated_chats"].upstream


def test_section_to_asset_table_holds(tmp_path: Path) -> None:
    """A changed key changes the code version of the assets that read its section, and of no others."""
    before = factory(tmp_path)

    def changed(*overrides: str) -> set[str]:
        after = factory(tmp_path, *overrides)
        return {
            asset
            for asset, stage in after.stages.items()
            if after.code_version(stage) != before.code_version(before.stages[asset])
        }

    assert changed("workers=1") == set()
    assert changed("snapshots=[SAMPLE-2026-02, SAMPLE-2026-01]") == {"replay_text", "duplicate_clusters", "clean_corpus"}
    assert changed("language.mentions.target.places=[Roma]") == set()  # the corpus report alone reads these, and stages read the language file
    assert changed("execution.engine=slurm", "execution.slurm.account=acme", "execution.slurm.time='9'", "execution.ray.address=auto") == set()
    assert changed("training.adaptation.lora.rank=8") <= {"adapted_model", "adapted_chat_model", "model_release"}
    assert "adapted_model" in changed("training.adaptation.lora.rank=8")
    assert {"instruction_model", "chat_model", "evalita_model"} <= changed("language.templates.system_prompt=x")
    training_only = {stage.asset for stage in before.stages.values() if stage.group in ("training", "evaluation", "release", "sources")}
    assert changed("training.tokens.token_budget=1000") <= training_only


def test_stages_out_of_order_or_twice_are_refused() -> None:
    def stage(asset: str, *upstream: str) -> Stage:
        return Stage(asset, "1", "corpus", lambda context: StageReport(), upstream=upstream)

    assert list(in_order((stage("b", "a"), stage("a")))) == ["a", "b"]
    with pytest.raises(FactoryError, match="two stages make"):
        in_order((stage("a"), stage("a")))
    with pytest.raises(FactoryError, match=r"none makes.*'a': \['x'\]"):
        in_order((stage("a", "x"),))
    with pytest.raises(FactoryError, match="wait for one another"):
        in_order((stage("a", "b"), stage("b", "a")))


def test_listed_snapshots_count_where_all_of_them_are_read(tmp_path: Path) -> None:
    stages = factory(tmp_path).stages
    for stage in stages.values():
        reads_all = not stage.partitioned and any(stages[name].partitioned for name in stage.upstream)
        assert stage.all_snapshots == reads_all, stage.asset


def test_pools_hold_back_what_shares_a_scarce_thing(tmp_path: Path) -> None:
    pools: dict[str | None, set[str]] = {}
    made = factory(tmp_path)
    for asset in build_defs(made).resolve_asset_graph().materializable_asset_keys:
        pools.setdefault(pool_of(made.stages[asset.to_user_string()]), set()).add(asset.to_user_string())
    assert pools["gpu"] == (DESIGN["training"] - {"adaptation_tokens"}) | {"language_report", "evalita_answers"}
    assert pools["translate"] == DESIGN["translation"]
    assert pools["cpu"] == DESIGN["corpus"] | {"adaptation_tokens"}
    ops = {asset.op.name: asset.op.pool for asset in build_defs(made).assets}  # type: ignore[union-attr]
    assert ops["adapted_model"] == "gpu" and ops["translated_chats"] == "translate" and ops["snapshot"] is None


def test_the_environment_names_the_store_where_it_is_another_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSUMANZA_STORE", "s3://bucket/the store")
    assert "export TRANSUMANZA_STORE='s3://bucket/the store'" in environment_lines(tmp_path, "smoke", "smoke")
    monkeypatch.delenv("TRANSUMANZA_STORE")
    assert not any("TRANSUMANZA_STORE" in line for line in environment_lines(tmp_path, "smoke", "smoke"))
