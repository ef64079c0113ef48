"""The whole line on the smoke profile, through Dagster: real parts end to end, reuse, staleness, report, commands."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from dagster_project.factory import Factory, report_path
from dagster_project.instance import dagster_home
from dagster_project.profile import load_profile
from dagster_project.report import write_report
from dagster_project.staleness import states, would_follow
from dagster_project.whole_line import materialize_everything
from foundation.release.repository import changed_files
from foundation.sources.data import DataFolder
from foundation.store import Store, TableSpec
from tests.conftest import CACHE, ROOT
from tests.dagster_project.dagster_view import stale_by_resolver
from tests.hub_server import hub_server

pytestmark = pytest.mark.end_to_end


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Factory]:
    """The smoke line, built once for this module."""
    home = tmp_path_factory.mktemp("line") / "home"
    home.mkdir()
    CACHE.mkdir(parents=True, exist_ok=True)
    (home / "cache").symlink_to(CACHE)
    factory = Factory(load_profile("smoke", []), home, DataFolder(None))
    earlier = os.environ.get("DAGSTER_HOME")
    os.environ["DAGSTER_HOME"] = str(dagster_home(home, "smoke"))
    try:
        assert materialize_everything(factory), "the smoke line failed; see the captured log"
        yield factory
    finally:
        if earlier is None:
            del os.environ["DAGSTER_HOME"]
        else:
            os.environ["DAGSTER_HOME"] = earlier


def test_every_asset_is_published_whole_and_passed_its_gates(built: Factory) -> None:
    for stage, partition in built.builds():
        published = built.workplace.store.resolve(stage.asset, partition, ref="smoke")
        assert published.damage(hashes=True) == []
        record = built.workplace.store.record(stage.asset, partition, ref="smoke")
        assert {gate.name for gate in record.gates} == set(stage.gates), stage.asset
    assert {state.state for state in states(built)} == {"current"}


def test_every_asset_has_a_face(built: Factory) -> None:
    """Columns, rows, numbers that Dagster plots, something worth looking at, the way to its card and to the report."""
    write_report(built, report_path(built))
    with dg.DagsterInstance.get() as instance:
        for stage, partition in built.builds():
            (record,) = instance.fetch_materializations(
                dg.AssetRecordsFilter(dg.AssetKey(stage.asset), asset_partitions=None if partition is None else [partition]), limit=1
            ).records
            shown = record.asset_materialization.metadata  # type: ignore[union-attr]
            if stage.tables:
                schema = shown["dagster/column_schema"].value
                assert [column.name for column in schema.columns] == stage.tables[0].schema.names, stage.asset
                assert shown["dagster/row_count" if partition is None else "dagster/partition_row_count"].value >= 0
            assert ("dagster/column_lineage" in shown) == bool(stage.carried or stage.derived)
            numbers = [name for name, value in shown.items() if isinstance(value, dg.IntMetadataValue | dg.FloatMetadataValue) and not name.startswith("dagster/")]
            assert len(numbers) >= 3, f"{stage.asset}: {numbers}"
            assert shown["contents"].records, stage.asset
            assert any(isinstance(value, dg.MarkdownMetadataValue) for value in shown.values()) or not stage.tables, stage.asset
            assert Path(str(shown["card"].value)).is_file() and Path(str(shown["report"].value)).is_file()


def test_column_lineage_is_true(built: Factory) -> None:
    """A carried column has the values that it has upstream, row by row of the key that both share; named columns exist."""

    def first_table(asset: str) -> tuple[TableSpec, pl.LazyFrame]:
        (snapshot,) = built.loaded.profile.snapshots
        stage = built.stages[asset]
        version = built.workplace.store.resolve(asset, snapshot if stage.partitioned else None, ref="smoke")
        return stage.tables[0], version.scan(stage.tables[0].name)

    checked = 0
    for stage in built.stages.values():
        for asset, columns in stage.carried.items():
            (spec, mine), (theirs_spec, theirs) = first_table(stage.asset), first_table(asset)
            key = [name for name in spec.key if name in theirs_spec.schema.names]
            for column in columns:
                wanted = list(dict.fromkeys([*key, column]))
                strangers = mine.select(wanted).unique().join(theirs.select(wanted).unique(), on=wanted, how="anti", nulls_equal=True)
                assert strangers.collect().is_empty(), f"{stage.asset}.{column} is not that of {asset}"
                checked += 1
        for column, sources in stage.derived.items():
            assert column in stage.tables[0].schema.names, f"{stage.asset}.{column}"
            for source in sources:
                asset, _, name = source.partition(".")
                assert asset in stage.upstream and name in built.stages[asset].tables[0].schema.names, f"{stage.asset}.{column} of {source}"
    assert checked > 20


def test_ledger_accounts_for_every_document(built: Factory) -> None:
    store = built.workplace.store
    (snapshot,) = built.loaded.profile.snapshots
    documents = store.resolve("documents", snapshot, ref="smoke").read("documents")
    clean = store.resolve("clean_corpus", ref="smoke")
    ledger, text = clean.read("ledger"), clean.read("text")
    assert set(ledger["document_id"]) == set(documents["document_id"])
    assert set(ledger.filter(pl.col("kept"))["document_id"]) == set(text["document_id"])
    assert ledger.filter(~pl.col("kept"))["reason"].null_count() == 0
    assert text.height > 0


def test_second_run_does_nothing(built: Factory) -> None:
    before = {(stage.asset, part): built.workplace.store.record(stage.asset, part, ref="smoke") for stage, part in built.builds()}
    assert materialize_everything(built)
    after = {(stage.asset, part): built.workplace.store.record(stage.asset, part, ref="smoke") for stage, part in built.builds()}
    assert after == before


def test_profile_that_differs_in_training_reuses_the_corpus(built: Factory) -> None:
    store = built.workplace.store
    other = Factory(load_profile("smoke", ["name=other", "training.adaptation.learning_rate=0.0001"]), built.home, built.data)
    corpus = [(stage, part) for stage, part in other.builds() if stage.group in ("sources", "corpus", "translation", "evalita")]
    for stage, part in corpus:
        result = other.run(stage.asset, part)
        assert result.reused, stage.asset
        assert result.published == store.resolve(stage.asset, part, ref="smoke")


def test_changed_threshold_is_stale_one_hop_at_a_time(built: Factory) -> None:
    overrides = ["corpus.web.clean.validation_share=0.5"]
    changed = Factory(load_profile("smoke", overrides), built.home, built.data)
    found = states(changed)
    stale = {state.asset: state for state in found if state.state != "current"}
    assert set(stale) == {"clean_corpus"} and stale["clean_corpus"].state == "stale"
    assert any("validation_share" in reason and "0.5" in reason for reason in stale["clean_corpus"].reasons)
    follow = would_follow(changed, found)
    assert {"adaptation_tokens", "adapted_model", "chat_model"} <= set(follow) and "translated_chats" not in follow


def test_status_agrees_with_dagster(built: Factory) -> None:
    """Dagster marks stale what the store calls stale, after a change of a content key."""
    changed = Factory(load_profile("smoke", ["corpus.web.clean.validation_share=0.5"]), built.home, built.data)
    ours = {state.asset for state in states(changed) if state.state == "stale"}
    with dg.DagsterInstance.get() as instance:
        theirs = stale_by_resolver(changed, instance)
    assert theirs == ours == {"clean_corpus"}


def test_failing_gate_stops_what_reads_it(built: Factory) -> None:
    from foundation.store import GateFailed, GateResult

    stages = dict(built.stages)
    original = stages["clean_corpus"]

    def failing(context):  # type: ignore[no-untyped-def]
        report = original.build(context)
        gates = [replace(gate, passed=False) if index == 0 else gate for index, gate in enumerate(report.gates)]
        assert gates and isinstance(gates[0], GateResult)
        return replace(report, gates=gates)

    stages["clean_corpus"] = replace(original, version="failing", build=failing)
    broken = Factory(load_profile("smoke", ["name=broken"]), built.home, built.data)
    broken.__dict__["stages"] = stages
    for stage, part in broken.builds():
        if stage.asset == "adaptation_tokens":
            with pytest.raises(GateFailed, match=r"clean_corpus.*failed its gates"):
                broken.run(stage.asset, part)
            break
        broken.run(stage.asset, part)


def test_report_shows_what_was_made(built: Factory, tmp_path: Path) -> None:
    html = write_report(built, tmp_path / "report.html").read_text(encoding="utf-8")
    for part in ("Bits per byte", "From records to kept words", "Drops by rule", "Ten dropped pages", "Ten translations side by side", "EVALITA", "data:image/png"):
        assert part in html
    assert str(built.home) not in html
    version = built.workplace.store.record("clean_corpus", ref="smoke").version
    assert version in html


def test_command_of_the_readme_makes_a_part_of_the_line(home: Path) -> None:
    """`dagster asset materialize`, with the selection that the README shows, on an empty store."""
    found = re.search(r"--select '([^']+)' --partition (\S+)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert found is not None
    selection, snapshot = found.groups()
    environment = {
        **os.environ,
        "TRANSUMANZA_HOME": str(home),
        "TRANSUMANZA_PROFILE": "smoke",
        "DAGSTER_HOME": str(dagster_home(home, "smoke")),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "dagster", "asset", "materialize", "-m", "dagster_project.definitions"]
    arguments = ["--select", selection, "--partition", snapshot]
    run = subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, check=False, cwd=ROOT)
    assert run.returncode == 0, run.stderr[-3000:]
    assert Store(home / "store").resolve("clean_corpus", ref="smoke").rows > 0


def test_reason_of_a_failure_reaches_the_console(built: Factory) -> None:
    """A gate that fails is said with its numbers, not only as a failed step."""
    environment = {**os.environ, "TRANSUMANZA_HOME": str(built.home), "TRANSUMANZA_PROFILE": "smoke", "PYTHONPATH": str(ROOT)}
    code = "from dagster_project.cli import main; main()"
    arguments = ["--set", "name=strict", "--set", "corpus.web.clean.min_language_share=1.0", "--set", "corpus.web.documents.max_html_bytes=1", "demo"]
    run = subprocess.run([sys.executable, "-c", code, *arguments], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "documents" in run.stderr and "not_empty" in run.stderr, run.stderr[-2000:]
    assert "Traceback" not in run.stderr.split("error:")[-1]


def call(built: Factory, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`transumanza` with these arguments, on the line that was built."""
    environment = {**os.environ, "TRANSUMANZA_HOME": str(built.home), "TRANSUMANZA_PROFILE": "smoke", "PYTHONPATH": str(ROOT), **variables}
    code = "from dagster_project.cli import main; main()"
    return subprocess.run([sys.executable, "-c", code, *arguments], env=environment, capture_output=True, text=True, check=False)


def test_commands_answer(built: Factory) -> None:
    status = call(built, "status")
    assert status.returncode == 0 and "clean_corpus" in status.stdout and "stale" not in status.stdout, status.stderr
    plan = call(built, "plan", "--json")
    assert plan.returncode == 0, plan.stderr
    rows = json.loads(plan.stdout)["assets"]
    assert {row["asset"] for row in rows} == set(built.stages)
    shown = call(built, "store", "show", "adapted_model", "--ref", "smoke", "--lineage")
    assert shown.returncode == 0 and "snapshot[" in shown.stdout, shown.stderr
    assert "record is gone" not in shown.stdout and "warc crawl-data/" in shown.stdout and "setting corpus.web.decisions.rules (rules/" in shown.stdout
    wanted = built.home / "domains.txt"
    used = built.workplace.store.resolve("adaptation_tokens", ref="smoke").read("documents")
    pages = built.workplace.store.resolve("clean_corpus", ref="smoke").read("text").join(used, on="document_id", how="semi")
    wanted.write_text(f"{pages['registered_domain'][0]}\n", encoding="utf-8")
    erasing = call(built, "store", "erase", "--domains", str(wanted))
    assert erasing.returncode == 0 and "documents[" in erasing.stdout and "withdrawn" in erasing.stdout, erasing.stderr
    assert "model trained on them: adapted_model@" in erasing.stdout and "nothing was changed" in erasing.stdout
    assert call(built, "store", "erase").returncode == 1
    verified = call(built, "store", "verify")
    assert verified.returncode == 0 and "are whole" in verified.stdout, verified.stderr
    tagged = call(built, "store", "tag", "clean_corpus", "first")
    assert tagged.returncode == 0, tagged.stderr
    same = call(built, "store", "diff", "clean_corpus", "first", "smoke")
    assert same.returncode == 0 and "table text: the same" in same.stdout, same.stderr
    exported = call(built, "store", "export", "clean_corpus", str(built.home / "exported"), "--format", "jsonl", "--table", "text")
    assert exported.returncode == 0 and {path.name for path in (built.home / "exported/text").iterdir()} == {"train.jsonl", "validation.jsonl"}, exported.stderr
    collected = call(built, "store", "gc", "--min-age", "0")
    assert collected.returncode == 0 and "to be removed: 0 versions" in collected.stdout and "nothing was changed" in collected.stdout, collected.stderr
    folder = built.home / "corpus report"
    report = call(built, "corpus", "report", "--output", str(folder), "--examples", "2")
    assert report.returncode == 0 and {path.name for path in folder.iterdir()} >= {"report.html", "report.md", "review.csv"}, report.stderr
    sheet = (folder / "review.csv").read_text(encoding="utf-8").replace(",,,clean_corpus@", ",right,,clean_corpus@")
    (folder / "review.csv").write_text(sheet, encoding="utf-8")
    review = call(built, "corpus", "review", str(folder / "review.csv"), "--json")
    found = json.loads(review.stdout)
    assert found["overall"]["share"] == 1 and found["overall"]["low"] < 1 and found["unjudged"] == 0, review.stderr
    wrong = call(built, "--set", "sed=1", "status")
    assert wrong.returncode == 1 and "did you mean 'seed'" in wrong.stderr and "Traceback" not in wrong.stderr


@pytest.mark.parametrize("asset", ["corpus_release", "dataset_release"])
def test_releases_open_with_what_people_use(built: Factory, asset: str, tmp_path: Path) -> None:
    """`datasets`, polars and DuckDB see the rows that the card counts; every file is that of the checksums."""
    import datasets
    import duckdb

    opened = 0
    version = built.workplace.store.resolve(asset, ref="smoke")
    for folder in sorted(version.files.iterdir()):
        assert changed_files(folder) == []
        card = (folder / "README.md").read_text(encoding="utf-8")
        (config,) = version.statistics[folder.name]
        rows = {split: count for split, count in version.statistics[folder.name][config]["rows"].items() if count}
        assert all(f"| {config} | {split} | {count} |" in card for split, count in rows.items())
        assert (folder / "NOT_FOR_RELEASE.md").is_file() == (not rows), folder.name
        for split, count in rows.items():
            pattern = str(folder / "data" / config / f"{split}-*.parquet")
            loaded = datasets.load_dataset(str(folder), config, split=split, cache_dir=str(tmp_path))
            (asked,) = duckdb.sql(f"select count(*) from read_parquet('{pattern}')").fetchall()
            assert loaded.num_rows == pl.scan_parquet(pattern).collect().height == asked[0] == count
            assert not {None, "none stated"} & set(loaded["licence"])
            opened += 1
    assert opened, f"no repository of {asset} holds rows"


def test_a_release_goes_to_the_hub_and_the_token_is_nowhere(built: Factory, tmp_path: Path) -> None:
    token, asset = "hf_a_secret_that_nobody_may_see", "corpus_release"
    version = built.workplace.store.record(asset, ref="smoke").version
    dry = call(built, "store", "push", asset)
    assert dry.returncode == 0 and "has no owner" in dry.stdout and "nothing was sent" in dry.stdout, dry.stderr
    never = call(built, "store", "push", asset, "--apply", HF_TOKEN=token)
    assert never.returncode == 1 and "release.push is never" in never.stderr
    owned = ["--set", "release.push=on-request", "--set", "release.corpus.name=someone/transumanza-corpus-ita"]
    with hub_server(tmp_path / "hub") as hub:
        hub.token = token
        for times in (1, 2):
            done = call(built, "--verbose", *owned, "store", "push", asset, "--apply", HF_TOKEN=token, HF_ENDPOINT=hub.endpoint, HF_HUB_OFFLINE="0", HF_HUB_DISABLE_XET="1", HF_HUB_VERBOSITY="debug")
            assert done.returncode == 0 and f"tag {version}" in done.stdout, (times, done.stderr)
            assert token not in done.stdout + done.stderr
        assert set(hub.tags) == {("someone/transumanza-corpus-ita", version)}
        there = hub.root / "someone/transumanza-corpus-ita" / hub.branches["main"]
        assert changed_files(there) == [] and len(hub.uploads) == len(set(hub.uploads))
    again = call(built, "--verbose", *owned, "run", asset, HF_TOKEN=token)
    assert again.returncode == 0 and "nothing changed" not in again.stdout, again.stderr
    assert call(built, "run", asset).returncode == 0  # the profile's own one counts again
    assert token not in again.stdout + again.stderr
    for path in built.home.rglob("*"):
        if path.is_file() and not path.is_relative_to(built.home / "cache"):
            assert token.encode() not in path.read_bytes(), path


def test_why_tells_a_page_s_story(built: Factory) -> None:
    ledger = built.workplace.store.resolve("clean_corpus", ref="smoke").read("ledger")
    kept = call(built, "corpus", "why", ledger.filter("kept")["url"][0])
    assert kept.returncode == 0 and "] kept (decided by clean_corpus)" in kept.stdout, kept.stderr
    dropped = call(built, "corpus", "why", ledger.filter(pl.col("reason") == "placeholder_text")["url"][0])
    assert "dropped: placeholder_text (decided by decisions)" in dropped.stdout
    assert "placeholder_text: placeholder is 1, at most 0 is asked for" in dropped.stdout
    unknown = call(built, "corpus", "why", "https://nowhere.example/")
    assert unknown.returncode == 1 and "nothing is known of https://nowhere.example/" in unknown.stderr and "Traceback" not in unknown.stderr


def test_why_goes_as_far_as_the_line_is_made(built: Factory) -> None:
    """Of two snapshots one is made, up to its signals: what is known is told, and what is missing is named."""
    (snapshot,) = built.loaded.profile.snapshots
    overrides = ["name=halfway", f"snapshots=[{snapshot}, SAMPLE-2026-02]"]
    flags = [part for override in overrides for part in ("--set", override)]
    page = built.workplace.store.resolve("clean_corpus", ref="smoke").read("ledger").filter(pl.col("reason") == "placeholder_text")["url"][0]
    nothing = call(built, *flags, "corpus", "why", page)
    assert nothing.returncode == 1 and f"documents[{snapshot}] is not published" in nothing.stderr
    halfway = Factory(load_profile("smoke", overrides), built.home, built.data)
    assert all(halfway.run(asset, snapshot).reused for asset in ("snapshot", "documents", "signals"))
    story = call(built, *flags, "corpus", "why", page)
    assert story.returncode == 0 and "not decided yet (known up to signals)" in story.stdout, story.stderr
    assert "not published: decisions, clean_corpus" in story.stdout and "placeholder_text: placeholder is 1" in story.stdout
    assert "documents of SAMPLE-2026-02 are not published" in story.stderr
    refused = call(built, *flags, "corpus", "what-if", "--rules", "rules/fineweb2_ita.yaml")
    assert refused.returncode == 1 and f"{snapshot} is left out: decisions[{snapshot}] is not published" in refused.stderr


def test_what_if_prints_the_difference(built: Factory, tmp_path: Path) -> None:
    (snapshot,) = built.loaded.profile.snapshots
    decisions = built.workplace.store.resolve("decisions", snapshot, ref="smoke")
    said = call(built, "corpus", "what-if", "--rules", "rules/fineweb2_ita.yaml", "--examples", "1")
    assert said.returncode == 0 and said.stdout.startswith(f"{snapshot} by fineweb2_ita: "), said.stderr
    assert f"of {decisions.rows} documents pass, and {decisions.statistics['passing']} did" in said.stdout
    assert "not applied: language_score: needs language identification by glotlid" in said.stdout
    own = tmp_path / "mine.yaml"
    own.write_text("name: mine\ndocuments:\n- {id: never, signal: words, comparison: at_least, threshold: 1.0e+9, source: s, why: w}\n", encoding="utf-8")
    found = call(built, "corpus", "what-if", "--rules", str(own), "--snapshot", snapshot, "--json")
    assert found.returncode == 0, found.stderr
    (line,) = found.stdout.splitlines()
    result = json.loads(line)
    assert (result["snapshot"], result["rules"], result["documents"], result["passing_after"]) == (snapshot, "mine", decisions.rows, 0)
    assert result["newly_failing_documents"] == result["passing_before"] == decisions.statistics["passing"]
    (never,) = [change for change in result["changes"] if change["rule"] == "never"]
    assert never["after"] == never["newly"] == decisions.rows and never["before"] == 0 and len(never["examples"]) == 3
    for arguments, message in (
        (["--rules", str(own), "--snapshot", "CC-MAIN-2024-22"], f"the profile has no ['CC-MAIN-2024-22']; it has ['{snapshot}']"),
        (["--rules", "rules/nowhere.yaml"], "there is no file rules/nowhere.yaml, here or below profiles/; name a rule file, or one of rules/clean_mc4_it.yaml"),
    ):
        refused = call(built, "corpus", "what-if", *arguments)
        assert refused.returncode == 1 and message in refused.stderr and "Traceback" not in refused.stderr, refused.stderr
