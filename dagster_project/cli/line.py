"""Commands about the whole line: env, demo, run, plan, status, summary, report, doctor, fetch, crawls, profile."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import Annotated

import typer
import yaml

from dagster_project.factory import Factory, home_folder, make_factory, report_path
from dagster_project.instance import dagster_home, environment_lines
from dagster_project.profile import DEFAULT_PROFILE, load_profile
from dagster_project.tables import human_bytes, human_hours, text_table
from foundation.errors import TransumanzaError
from foundation.execution import JobSubmitted
from foundation.store import NotPublished


def register(app: typer.Typer) -> None:
    """Add the commands to the root."""
    for command in (env, demo, run, plan, status, summary, report, doctor, fetch, crawls):
        app.command()(command)
    app.command("profile")(show_profile)


def env() -> None:
    """Print the shell lines that set up Dagster for this profile: eval "$(transumanza env)"."""
    profile = os.environ.get("TRANSUMANZA_PROFILE") or DEFAULT_PROFILE
    name = load_profile(profile).profile.name  # a wrong profile is said here, not by Dagster later
    typer.echo("\n".join(environment_lines(home_folder(), profile, name)))


def demo() -> None:
    """Make the whole line of the profile, then print the summary and write the HTML report."""
    from dagster_project.whole_line import materialize_everything

    factory = make_factory()
    profile = factory.loaded.profile
    os.environ.setdefault("DAGSTER_HOME", str(dagster_home(factory.home, profile.name)))
    origin = f"your inputs in {factory.data.root}" if factory.data.root else "inputs that come with the project"
    typer.echo(f"profile {profile.name}: {len(factory.stages)} assets, {origin}, state in {factory.home}\n", err=True)
    logging.getLogger().handlers.clear()  # what the stages say reaches the console through Dagster
    clock = time.monotonic()
    before = _fingerprints(factory)
    try:
        succeeded = materialize_everything(factory)
    except JobSubmitted:
        typer.echo("")
        _print_summary(factory, before, stopped=True)
        raise
    typer.echo("")
    _print_summary(factory, before, stopped=not succeeded)
    if not succeeded:
        raise TransumanzaError("the line stopped; the lines above say where and why. Run the same command again to go on from there")
    path = _write_report(factory)
    typer.echo(f"\n{time.monotonic() - clock:.0f} s in all. Report: {path}")


def run(
    asset: Annotated[str, typer.Argument(help="The asset to make; `transumanza status` lists them.")],
    partition: Annotated[str | None, typer.Option(help="The snapshot, for a partitioned asset.")] = None,
) -> None:
    """Make one asset without Dagster; its event is reported to the Dagster instance where DAGSTER_HOME is set.

    Exit code 1 also where the asset was made and failed a gate. Exit code 75: its shards are with Slurm (execution.engine); the same command goes on with them later.
    """
    from dagster_project.assets import said
    from dagster_project.runless_events import report_event

    factory = make_factory()
    result = factory.run(asset, partition)
    typer.echo(said(result))
    report_event(factory, result)
    if not result.record.passed:
        raise typer.Exit(1)


def plan(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what the profile will cost before it runs: rows, bytes, core-hours, GPU-hours, disk per asset; requests and bytes per crawl."""
    import json

    from dagster_project.planning import crawl_plans, estimates, not_counted, rates_machine, uses_samples

    factory = make_factory()
    rows, crawls = estimates(factory), crawl_plans(factory)
    if as_json:
        typer.echo(json.dumps({"assets": [row.as_dict() for row in rows], "crawls": [crawl.as_dict() for crawl in crawls]}))
        return
    table = [
        (row.asset, f"{row.rows:,.0f}", human_bytes(row.bytes), human_hours(row.core_hours), human_hours(row.gpu_hours) if row.gpu_hours else "-", row.basis)
        for row in rows
    ]
    typer.echo(text_table(("asset", "rows", "disk", "core time", "GPU time", "basis"), table, right=(1, 2, 3, 4)))
    core, gpu = sum(row.core_hours for row in rows), sum(row.gpu_hours for row in rows)
    typer.echo(f"\nin all: {human_hours(core)} of one core, {human_hours(gpu) if gpu else 'nothing'} of a GPU, {human_bytes(sum(row.bytes for row in rows))} on disk")
    if uses_samples(factory):
        typer.echo("chats, instructions and EVALITA rows are the few samples of this project: set TRANSUMANZA_DATA to plan with your own")
    uncounted = not_counted(factory)
    if uncounted:
        typer.echo(f"not counted, since how many pages they hold is known only once they are read: {', '.join(uncounted)}")
    for crawl in crawls:
        typer.echo(f"\n{crawl.snapshot}, read by {crawl.chosen}:")
        found = [(cost.way, cost.site, f"{cost.requests:,.0f}", human_bytes(cost.bytes), human_hours(cost.days * 24)) for cost in crawl.costs]
        typer.echo(text_table(("way", "from", "requests", "bytes", "time"), found, right=(2, 3, 4)))
        typer.echo("\n".join(crawl.advice))
        typer.echo("\n".join(sorted({f"{cost.way}: {cost.basis.partition(';')[0]}" for cost in crawl.costs})))
    typer.echo(f"what this store has not measured is estimated from rates of {rates_machine()}; no GPU was measured yet; files that versions share count each time")


def status(
    why: Annotated[bool, typer.Option("--why/--no-why", help="Say why something is stale.")] = True,
) -> None:
    """Say what is built, what is stale and why, and what would follow; from the store alone."""
    from dagster_project.staleness import states, would_follow

    factory = make_factory(offline=True)
    found = states(factory)
    rows = []
    for state in found:
        record = state.record
        name = state.asset if state.partition is None else f"{state.asset}[{state.partition}]"
        pruned = ", rows pruned" if record and factory.workplace.store.published(record).pruned else ""
        rows.append((name, f"{state.state}{pruned}", record.version if record else "-", record.started_at[:16] if record else "-"))
    typer.echo(text_table(("asset", "state", "version", "built (UTC)"), rows))
    if why:
        for state in found:
            if state.state not in ("current", "missing"):
                name = state.asset if state.partition is None else f"{state.asset}[{state.partition}]"
                typer.echo(f"\n{name} is {state.state}:")
                for reason in state.reasons[:8]:
                    typer.echo(f"  {reason}")
    follow = would_follow(factory, found)
    if follow:
        typer.echo(f"\nwould follow, where rows change: {', '.join(follow)}")
    typer.echo(f"\nstore: {home_folder() / 'store'}")


def summary() -> None:
    """List every asset of the profile with version, rows and seconds."""
    _print_summary(make_factory(offline=True), None)


def report() -> None:
    """Write the HTML report of what is published under the profile."""
    typer.echo(_write_report(make_factory(offline=True)))


def doctor() -> None:
    """Say what this machine lacks, one fix per line."""
    from dagster_project.diagnosis import diagnose

    findings = diagnose(make_factory())
    for finding in findings:
        mark = {"ok": "ok     ", "note": "note   ", "problem": "PROBLEM"}[finding.level]
        typer.echo(f"{mark}  {finding.what}{': ' + finding.fix if finding.fix else ''}")
    if any(finding.level == "problem" for finding in findings):
        raise typer.Exit(1)


def fetch() -> None:
    """Stage all downloads of the profile in the cache, so that everything afterwards works without a network."""
    from foundation.stages import setup_of

    factory = make_factory()
    for stage, partition in factory.builds():
        setup = setup_of(stage, factory.workplace, partition)
        for source in (stage.fetch, stage.facts):
            if source is not None:
                source(setup)
        if stage.fetch or stage.facts:
            typer.echo(f"{stage.asset}: all that it downloads is in {factory.workplace.cache}")


def crawls() -> None:
    """Say which Common Crawl crawls are newer than the profile's, and what to write into its `snapshots:`; changes nothing."""
    from corpus.web.crawl.crawl_list import listed_crawls, new_crawls

    profile = load_profile().profile
    typer.echo(f"reading {profile.corpus.web.access.crawl_list} …", err=True)
    listed = listed_crawls(profile.corpus.web.access)
    found = new_crawls(listed, profile.snapshots)
    typer.echo(f"{len(listed)} crawls, {listed[0]} to {listed[-1]}")
    typer.echo(f"newer than those of profile {profile.name}: {', '.join(found.newer)}\n{found.proposal}" if found.newer else "none is newer than those of the profile")


def show_profile(
    keys: Annotated[bool, typer.Option("--keys", help="Print the reference of all keys instead (docs/profile-keys.md).")] = False,
) -> None:
    """Print the profile with every key, as it is validated."""
    if keys:
        from dagster_project.profile_reference import profile_reference

        typer.echo(profile_reference(), nl=False)
        return
    loaded = load_profile()
    typer.echo(yaml.safe_dump(loaded.profile.model_dump(mode="json"), sort_keys=False, allow_unicode=True))


def _fingerprints(factory: Factory) -> set[str]:
    """Fingerprints of everything that was ever built in this store."""
    store = factory.workplace.store
    return {record.fingerprint for stage, partition in factory.builds() for record in store.builds(stage.asset, partition)}


def _print_summary(factory: Factory, before: set[str] | None, *, stopped: bool = False) -> None:
    """The table of all assets; ``before`` holds what was built earlier, so that what is new can be told."""
    rows, published, reused = [], 0, 0
    for stage, partition in factory.builds():
        name = stage.asset if partition is None else f"{stage.asset}[{partition}]"
        try:
            record = factory.workplace.store.record(stage.asset, partition, ref=factory.loaded.profile.name)
        except NotPublished:
            rows.append((name, "-", "-", "-", "not published"))
            continue
        version = factory.workplace.store.published(record)
        fresh = before is not None and record.fingerprint not in before
        published, reused = published + fresh, reused + (not fresh)
        gates = "" if record.passed else "failed gate: " + ", ".join(gate.name for gate in record.gates if not gate.passed)
        state = "published" if fresh else ("" if before is None or stopped else "reused")
        size = f"{version.rows:,}" if version.tables else human_bytes(version.bytes)
        rows.append((name, record.version, size, f"{record.seconds:.1f}", gates or state))
    typer.echo(text_table(("asset", "version", "rows or size", "seconds to build", ""), rows, right=(2, 3)))
    if stopped:
        typer.echo(f"\n{published} published before the line stopped")
    elif before is not None:
        said = f"{published} published, {reused} reused" if published else f"nothing changed: nothing was published, {reused} versions reused"
        typer.echo(f"\n{said}")


def _write_report(factory: Factory) -> Path:
    from dagster_project.report import write_report

    return write_report(factory, report_path(factory))
