"""Plans before anything is built: every asset has rates, and the counts agree with one another."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from dagster_project.diagnosis import Finding, diagnose
from dagster_project.factory import Factory
from dagster_project.planning import RATES, Estimate, crawl_plans, estimates, not_counted
from dagster_project.profile import load_profile
from foundation.errors import TransumanzaError
from foundation.execution import compiled
from foundation.execution.compiled import VARIABLE
from foundation.sources.data import DataFolder


@pytest.mark.parametrize("profile", ["demo", "smoke"])
def test_plan_of_an_empty_store(profile: str, tmp_path: Path) -> None:
    factory = Factory(load_profile(profile, []), tmp_path, DataFolder(None), offline=True)
    rows = {row.asset: row for row in estimates(factory)}
    assert set(rows) == set(factory.stages) == set(yaml.safe_load(RATES.read_text(encoding="utf-8"))["assets"])
    assert rows["documents"].rows >= rows["signals"].rows * 0.9 >= rows["clean_corpus"].rows * 0.9 > 0
    assert rows["adapted_model"].core_hours > 0
    assert sum(row.bytes for row in rows.values()) > 0


@pytest.mark.parametrize("profile", ["llamantino-7b", "llamantino-13b"])
def test_plan_of_the_paper_s_recipe(profile: str, tmp_path: Path) -> None:
    factory = Factory(load_profile(profile, []), tmp_path, DataFolder(None), offline=True)
    rows = {row.asset: row for row in estimates(factory)}
    assert rows["documents"].rows > 1e6
    assert rows["adapted_model"].gpu_hours > 10 and rows["adapted_chat_model"].gpu_hours > 10  # a billion tokens, both lines
    parameters = factory.loaded.profile.training.base.parameters
    assert rows["adapted_model"].rows == pytest.approx(1e9 / (128 * 1024), abs=1)  # a row of the log for each step
    assert rows["model_release"].bytes > 2 * parameters == rows["adapted_model"].bytes  # several models of this size
    assert rows["language_report"].core_hours > 20 and "as on a CPU" in rows["language_report"].basis


def test_more_tokens_cost_more(tmp_path: Path) -> None:
    def hours(*overrides: str) -> float:
        factory = Factory(load_profile("demo", list(overrides)), tmp_path, DataFolder(None), offline=True)
        return next(row.core_hours for row in estimates(factory) if row.asset == "adapted_model")

    assert hours("training.tokens.token_budget=57000") == pytest.approx(2 * hours("training.tokens.token_budget=28500"))


def test_round_trips_are_in_the_plan(tmp_path: Path) -> None:
    def planned(*overrides: str) -> Estimate:
        factory = Factory(load_profile("demo", list(overrides)), tmp_path, DataFolder(None), offline=True)
        return next(row for row in estimates(factory) if row.asset == "translated_chats")

    once, twice = planned(), planned("translation.gates.round_trip={engine: openai}")
    assert twice.core_hours > once.core_hours > 0
    assert "and back" in twice.basis and "by openai" in twice.basis and "and back" not in once.basis


def test_plan_of_a_crawl_weighs_both_ways(tmp_path: Path) -> None:
    factory = Factory(load_profile("smoke", ["snapshots=[CC-MAIN-2024-22]", "corpus.web.snapshot.source=auto"]), tmp_path, DataFolder(None))
    (crawl,) = crawl_plans(factory)
    by_way = {(cost.way, cost.site): cost for cost in crawl.costs}
    assert len(by_way) == 4 and crawl.chosen == "index" and len(crawl.advice) == 2
    for site in {cost.site for cost in crawl.costs}:
        assert by_way["index", site].bytes < by_way["scan", site].bytes / 10
    documents = next(row for row in estimates(factory) if row.asset == "documents")
    assert 60e6 < documents.rows < 70e6  # 2.5 % of 2.7e9 captures


def test_plan_names_what_it_does_not_count_and_what_cannot_be_read(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()

    def factory(snapshot: str, location: str) -> Factory:
        overrides = [f"snapshots=[{snapshot}]", f"corpus.web.snapshot.corpora={{mc4: {{location: '{location}'}}}}"]
        return Factory(load_profile("smoke", overrides), tmp_path, DataFolder(None))

    assert not_counted(factory("mc4", str(corpus))) == ["mc4"]
    with pytest.raises(TransumanzaError, match=r"corpora\.mc4: no folder"):
        not_counted(factory("mc4", str(tmp_path / "none")))
    with pytest.raises(TransumanzaError, match="40 hex digits"):
        not_counted(factory("mc4", "hf://datasets/a/b@main/c"))
    with pytest.raises(TransumanzaError, match=r"CC-MAIN-24-22.*no source goes by this name"):
        not_counted(factory("CC-MAIN-24-22", str(corpus)))
    problems = [finding.what for finding in diagnose(factory("mc4", str(tmp_path / "none"))) if finding.level == "problem"]
    assert any("snapshot mc4" in what for what in problems)


def test_a_part_of_a_crawl_is_compared_with_the_same_part(tmp_path: Path) -> None:
    overrides = ["snapshots=[CC-MAIN-2024-22]", "corpus.web.snapshot.selection.way=scan", "corpus.web.snapshot.selection.max_files=90"]
    (crawl,) = crawl_plans(Factory(load_profile("smoke", overrides), tmp_path, DataFolder(None)))
    index, scan = (next(cost for cost in crawl.costs if cost.way == way) for way in ("index", "scan"))
    assert scan.bytes < 100e9 and index.requests < 200_000  # a thousandth of the records, and the index


def test_doctor_says_where_compiled_loops_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    factory = Factory(load_profile("smoke", []), tmp_path, DataFolder(None))

    def finding() -> Finding:
        return next(found for found in diagnose(factory) if "compiled loops" in found.what)

    monkeypatch.setenv(VARIABLE, str(tmp_path / "mine"))
    assert finding() == Finding("ok", f"compiled loops are kept in {tmp_path / 'mine'}")
    monkeypatch.setenv(VARIABLE, "/dev/null/mine")
    assert finding().level == "note" and "/dev/null/mine, which cannot be written" in finding().what and "a folder of yours" in finding().fix
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.setattr(compiled, "BESIDE", Path("/dev/null/beside"))
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/cache")
    assert finding() == Finding("ok", f"compiled loops are kept in {tmp_path / 'cache' / 'numba'}")
