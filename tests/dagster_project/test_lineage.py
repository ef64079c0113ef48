"""Staleness one hop at a time, in the store's eyes and in Dagster's, and what automation asks for; on a line of milliseconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from dagster_project.build import build_defs
from dagster_project.factory import Factory
from dagster_project.runless_events import report_to
from dagster_project.staleness import states, would_follow
from foundation.store.history import last_passed
from tests.dagster_project import toy_line
from tests.dagster_project.dagster_view import stale_by_graphql, stale_by_resolver
from tests.dagster_project.toy_line import RUNS, THRESHOLD, line, materialize, materialize_all


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The home folder of the line of a test."""
    RUNS.clear()
    return tmp_path


@pytest.fixture
def instance(home: Path) -> Iterator[dg.DagsterInstance]:
    """An instance in which the whole line was materialized."""
    with dg.DagsterInstance.ephemeral() as made:
        assert materialize_all(line(home), made)
        yield made


def stale(factory: Factory, instance: dg.DagsterInstance) -> list[str]:
    """What is stale by the store, and by Dagster the same."""
    ours = [
        state.asset if state.partition is None else f"{state.asset}[{state.partition}]" for state in states(factory) if state.state == "stale"
    ]
    assert stale_by_resolver(factory, instance) == set(ours)
    return ours


DECISIONS = ["decisions[FIRST]", "decisions[SECOND]"]


def test_changed_threshold_with_identical_rows_ends_at_decisions(home: Path, instance: dg.DagsterInstance) -> None:
    assert stale(line(home), instance) == []
    changed = line(home, f"{THRESHOLD}=9")  # half of 8 and half of 9, rounded down, are the same
    assert stale(changed, instance) == DECISIONS
    assert would_follow(changed, states(changed)) == [
        "clean_corpus", "adaptation_tokens", "adapted_model", "adapted_chat_model", "instruction_model", "evalita_model", "chat_model", "language_report",
    ]  # fmt: skip
    for snapshot in toy_line.SNAPSHOTS:
        assert materialize(changed, instance, ["decisions"], snapshot)
    assert stale(changed, instance) == []


def test_changed_rows_move_one_hop_at_a_time(home: Path, instance: dg.DagsterInstance) -> None:
    changed = line(home, f"{THRESHOLD}=6")
    assert stale(changed, instance) == DECISIONS
    for snapshot in toy_line.SNAPSHOTS:
        assert materialize(changed, instance, ["decisions"], snapshot)
    for asset, next_ones in (
        ("clean_corpus", ["adaptation_tokens", "language_report"]),
        ("adaptation_tokens", ["adapted_model", "language_report"]),
        ("adapted_model", ["adapted_chat_model", "instruction_model", "evalita_model", "language_report"]),
        ("adapted_chat_model", ["instruction_model", "evalita_model", "chat_model", "language_report"]),
    ):
        assert asset in stale(changed, instance)
        assert materialize(changed, instance, [asset])
        assert stale(changed, instance) == next_ones


def test_one_snapshot_rebuilt_alone(home: Path, instance: dg.DagsterInstance) -> None:
    """Of two snapshots one is rebuilt; what reads both reacts only where its rows changed."""
    same, other = line(home, f"{THRESHOLD}=9"), line(home, f"{THRESHOLD}=6")
    assert materialize(same, instance, ["decisions"], "SECOND")
    assert stale(same, instance) == ["decisions[FIRST]"]
    assert materialize(other, instance, ["decisions"], "SECOND")
    assert stale(other, instance) == ["decisions[FIRST]", "clean_corpus"]
    assert RUNS[-2:] == ["decisions[SECOND]", "decisions[SECOND]"]
    assert materialize(other, instance, ["clean_corpus"])
    assert stale(other, instance) == ["decisions[FIRST]", "adaptation_tokens", "language_report"]


def test_backfill_of_several_snapshots_and_a_new_one(home: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        first = line(home, snapshots=("FIRST",))
        RUNS.clear()
        assert materialize(first, instance, ["base_model", "documents", "decisions", "clean_corpus", "adaptation_tokens"], "FIRST")
        both = line(home)
        assert stale(both, instance) == ["clean_corpus"]  # one more is listed; whether it holds anything is not known yet
        for snapshot in both.loaded.profile.snapshots:  # a backfill: one run for each
            assert materialize(both, instance, ["documents", "decisions"], snapshot)
        assert [run for run in RUNS if "[" in run] == ["documents[FIRST]", "decisions[FIRST]", "documents[SECOND]", "decisions[SECOND]"]
        assert materialize(both, instance, ["clean_corpus"])
        assert stale(both, instance) == ["adaptation_tokens"]


def test_builds_outside_dagster_are_as_fresh_there_as_in_the_store(home: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """`transumanza run` reports what was read too; Dagster would else call everything stale for a new dependency."""
    plain, changed = line(home), line(home, f"{THRESHOLD}=6")
    with dg.instance_for_test(temp_dir=str(tmp_path_factory.mktemp("dagster"))) as instance:
        for stage, partition in plain.builds():
            report_to(instance, plain, plain.run(stage.asset, partition))
        assert stale_by_graphql(plain, instance) == {}
        assert stale_by_graphql(changed, instance) == {key: ["CODE: has a new code version"] for key in DECISIONS}
        for asset, part in (("decisions", "FIRST"), ("decisions", "SECOND"), ("clean_corpus", None), ("adaptation_tokens", None)):
            assert (asset if part is None else f"{asset}[{part}]") in stale(changed, instance)
            report_to(instance, changed, changed.run(asset, part))
        assert stale(changed, instance) == ["adapted_model", "language_report"]
        assert stale_by_graphql(changed, instance) == {key: ["DATA: has a new data version"] for key in ["adapted_model", "language_report"]}
        key = dg.AssetCheckKey(dg.AssetKey("clean_corpus"), "language_share")
        execution = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
        evaluation = execution.event.dagster_event.event_specific_data  # type: ignore[union-attr]
        assert evaluation.metadata["value"].value == 14 and evaluation.metadata["threshold"].value == 5


def ticks(factory: Factory, instance: dg.DagsterInstance, cursor: object, *, run: bool = True) -> tuple[list[list[str]], object]:
    """What automation asks for, tick by tick, until it asks for nothing; each request is carried out before the next tick."""
    asked = []
    for _ in range(10):
        result = dg.evaluate_automation_conditions(build_defs(factory), instance, cursor=cursor)  # type: ignore[arg-type]
        cursor = result.cursor
        requested = [asset for asset in factory.stages if result.get_requested_partitions(dg.AssetKey(asset))]
        if not requested:
            return asked, cursor
        asked.append(requested)
        if run:
            assert materialize(factory, instance, requested)
    raise AssertionError(f"automation never comes to rest: {asked}")


def test_automation_follows_the_data_one_hop_a_tick(home: Path, instance: dg.DagsterInstance) -> None:
    asked, cursor = ticks(line(home), instance, None)
    assert asked == []
    same = line(home, f"{THRESHOLD}=9")
    assert all(materialize(same, instance, ["decisions"], snapshot) for snapshot in toy_line.SNAPSHOTS)
    assert materialize(same, instance, ["clean_corpus"])
    asked, cursor = ticks(same, instance, cursor)
    assert asked == [], "materialized again, and the same rows"
    other = line(home, f"{THRESHOLD}=6")
    assert all(materialize(other, instance, ["decisions"], snapshot) for snapshot in toy_line.SNAPSHOTS)
    asked, cursor = ticks(other, instance, cursor)
    assert asked == [], "only the training group is automatic"
    assert materialize(other, instance, ["clean_corpus"])
    asked, cursor = ticks(other, instance, cursor)
    assert asked == [
        ["adaptation_tokens"],
        ["adapted_model"],
        ["adapted_chat_model", "instruction_model", "evalita_model"],
        ["chat_model"],
    ]
    assert stale(other, instance) == ["language_report"]


def test_automation_asks_for_nothing_behind_a_failed_gate(home: Path, instance: dg.DagsterInstance) -> None:
    _, cursor = ticks(line(home), instance, None)
    few = line(home, f"{THRESHOLD}=18")  # one number of each snapshot is left, and the gate wants five
    assert all(materialize(few, instance, ["decisions"], snapshot) for snapshot in toy_line.SNAPSHOTS)
    assert not materialize(few, instance, ["clean_corpus"])
    asked, cursor = ticks(few, instance, cursor)
    assert asked == []
    failed = {state.asset: state for state in states(few)}["clean_corpus"]
    assert failed.state == "failed" and failed.reasons == ("gate language_share is 2, threshold 5 (numbers)",)
    mended = line(home, f"{THRESHOLD}=6")
    assert all(materialize(mended, instance, ["decisions"], snapshot) for snapshot in toy_line.SNAPSHOTS)
    assert materialize(mended, instance, ["clean_corpus"])
    asked, cursor = ticks(mended, instance, cursor)
    assert asked[0] == ["adaptation_tokens"]


def test_gates_compare_with_the_last_build_that_passed(home: Path) -> None:
    """What the reference names where that passed, else the newest of the profile's that did; other profiles' builds are none of them."""
    def passed(factory: Factory) -> str | None:
        record = last_passed(factory.workplace.store, factory.workplace.profile, "clean_corpus", None)
        return None if record is None else f"{record.statistics['numbers']}"

    def build(*overrides: str) -> Factory:
        factory = line(home, *overrides)
        for stage, partition in factory.builds():
            if stage.asset in ("documents", "decisions", "clean_corpus"):
                factory.run(stage.asset, partition)
        return factory

    assert passed(line(home)) is None
    assert passed(build("name=other", f"{THRESHOLD}=3")) == "18"
    assert passed(line(home)) is None
    first = build()
    assert passed(first) == "12"
    build(f"{THRESHOLD}=18")
    assert passed(first) == "12", "the newest failed its gate"
    build(f"{THRESHOLD}=3")  # reused from the other profile, and named by this one's reference now
    assert passed(first) == "18"
