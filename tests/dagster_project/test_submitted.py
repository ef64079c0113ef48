"""Work that is with a cluster: how Dagster, the whole line and the command tell it, and that nothing is published before."""

from __future__ import annotations

import sys
from pathlib import Path

import dagster as dg
import pytest

from dagster_project.assets import assets_of
from dagster_project.cli import SUBMITTED, main
from dagster_project.cli import line as commands
from dagster_project.instance import dagster_home
from dagster_project.whole_line import materialize_everything
from foundation.execution import JobSubmitted
from foundation.settings import content_of
from foundation.stages import StageContext, StageReport, fingerprint_of
from foundation.store import NotPublished
from tests.dagster_project.line_on_shards import SNAPSHOTS, line, sharded

MESSAGE = "squares: Slurm job 12 is submitted for 3 shards; watch it with `squeue --jobs=12`; materialize again to go on"


def submitting(flag: Path, snapshot: str, other: Exception | None = None):  # type: ignore[no-untyped-def]
    """A build whose shards of one snapshot are with a cluster as long as the flag is there."""

    def build(context: StageContext) -> StageReport:
        if flag.exists() and context.partition == snapshot:
            raise other or JobSubmitted(MESSAGE, job_id="12", done=1, total=3, logs="/logs")
        return sharded(context)

    return build


@pytest.fixture
def flag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DAGSTER_HOME", str(dagster_home(tmp_path / "home", "smoke")))
    (tmp_path / "flag").touch()
    return tmp_path / "flag"


def test_dagster_shows_the_job_and_does_not_retry(tmp_path: Path, flag: Path) -> None:
    factory = line(tmp_path / "home", submitting(flag, "FIRST"))
    with dg.DagsterInstance.get() as instance:
        outcome = dg.materialize(assets_of(factory), selection=["squares"], partition_key="FIRST", instance=instance, raise_on_error=False)
    (event,) = (event for event in outcome.all_events if event.is_step_failure)
    failure = event.step_failure_data.user_failure_data
    assert failure is not None and failure.description == MESSAGE
    assert {name: value.value for name, value in (failure.metadata or {}).items()} == {"job": "12", "shards done": 1, "shards": 3, "logs": "/logs"}
    assert not outcome.asset_materializations_for_node("squares")
    with pytest.raises(NotPublished):
        factory.workplace.store.record("squares", "FIRST", ref="smoke")


@pytest.mark.parametrize("snapshot", SNAPSHOTS)
def test_the_line_goes_as_far_as_it_can_and_on_afterwards(tmp_path: Path, flag: Path, snapshot: str, capsys: pytest.CaptureFixture[str]) -> None:
    factory = line(tmp_path / "home", submitting(flag, snapshot))
    store = factory.workplace.store
    with pytest.raises(JobSubmitted, match=r"the line stopped where its work is with the cluster \(jobs 12\); run the same command again"):
        materialize_everything(factory)
    other = next(name for name in SNAPSHOTS if name != snapshot)
    assert store.resolve("squares", other, ref="smoke").rows == 3
    with pytest.raises(NotPublished):  # never of one snapshot alone
        store.record("collected", ref="smoke")
    shown = capsys.readouterr().err
    assert MESSAGE in shown and "Traceback" not in shown
    assert not [text for text in shown.splitlines() if MESSAGE in text and "ERROR" in text]
    flag.unlink()
    assert materialize_everything(factory)
    assert store.resolve("collected", ref="smoke").rows == 6


def test_a_true_failure_is_a_failure(tmp_path: Path, flag: Path) -> None:
    factory = line(tmp_path / "home", submitting(flag, "FIRST", ValueError("bad")))
    assert not materialize_everything(factory)


@pytest.mark.parametrize("command", [["run", "squares", "--partition", "FIRST"], ["demo"]])
def test_the_command_ends_with_its_own_exit_code(
    tmp_path: Path, flag: Path, command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "make_factory", lambda: line(tmp_path / "home", submitting(flag, "FIRST")))
    monkeypatch.setattr(sys, "argv", ["transumanza", *command])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == SUBMITTED == 75
    said = capsys.readouterr().err
    assert MESSAGE in said and "error:" not in said


def test_execution_never_shapes_content(tmp_path: Path) -> None:
    """Neither a code version nor a fingerprint knows what the shards ran on."""
    plain = line(tmp_path)
    overrides = ["workers=3", "execution.engine=slurm", "execution.slurm.account=acme", "execution.slurm.cpus=4", "execution.ray.address=auto"]
    elsewhere = line(tmp_path, sharded, *overrides)
    assert elsewhere.workplace.engine.settings.engine == "slurm" and elsewhere.workplace.workers == 3
    assert content_of(elsewhere.loaded.profile.execution) == {}
    for field in ("slurm", "ray"):
        assert content_of(getattr(elsewhere.loaded.profile.execution, field)) == {}
    for asset, stage in plain.stages.items():
        other = elsewhere.stages[asset]
        assert plain.code_version(stage) == elsewhere.code_version(other)
    prints = [fingerprint_of(made.stages["squares"], made.workplace, "FIRST", {}).hexdigest() for made in (plain, elsewhere)]
    assert prints[0] == prints[1]
